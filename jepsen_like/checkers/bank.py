"""
Bank: money moves between accounts, and none appears or disappears.

Each transfer takes from one account what it gives to another, so a read of all
accounts in one transaction shows the same total under snapshot isolation or
better.  Where overdrafts are refused no balance is ever negative.

Reference:
    Kingsbury, 2013-.  Jepsen: tests/bank.
"""

from jepsen_like.checkers.access import FINAL
from jepsen_like.history.history import History
from jepsen_like.history.operation import Key, Operation, Outcome, Value
from jepsen_like.verdict import Judgement, Verdict, Witness

NAME = "bank"

READS = "reads of all accounts"
"""How a judgement calls the number of reads that it rests on."""


def check(
    history: History,
    *,
    accounts: tuple[Key, ...],
    total: int,
    overdrafts: bool = False,
) -> Judgement:
    """
    Judge each transaction that has read all accounts and written none.

    Accounts are opened together: a read that finds none of them says nothing.

    Args:
        history: Reads are `txn` with micro-operations ("r", account, balance).
        accounts: All there are.
        total: Of all balances.
        overdrafts: Balances may be negative.

    Returns:
        UNKNOWN if no transaction has read all accounts.  Costs O(n).
    """
    if not accounts:
        msg = "a bank has at least one account; none was given"
        raise ValueError(msg)
    witnesses: list[Witness] = []
    reads = 0
    for operation in history.operations:
        balances = _balances(operation)
        if balances is None or any(account not in balances for account in accounts):
            continue
        if all(balances[account] is None for account in accounts):
            continue  # the accounts have not been opened yet
        reads += 1
        found = _wrong(operation, balances, accounts, total, overdrafts=overdrafts)
        if found is not None:
            witnesses.append(found)
    figures = {READS: reads}
    if witnesses:
        reason = f"{len(witnesses)} of {reads} reads show wrong balances"
        return Judgement(NAME, Verdict.INVALID, reason, tuple(witnesses), figures)
    if not reads:
        reason = "no transaction has read all accounts"
        return Judgement(NAME, Verdict.UNKNOWN, reason, figures=figures)
    return Judgement(NAME, Verdict.VALID, figures=figures)


def _balances(operation: Operation) -> dict[Value, Value] | None:
    """Return what a transaction read, if it did nothing else."""
    result = operation.result
    asked = operation.f.removeprefix(FINAL) == "txn"
    if (
        not asked
        or operation.outcome is not Outcome.OK
        or not isinstance(result, tuple)
    ):
        return None
    balances: dict[Value, Value] = {}
    for micro in result:
        match micro:
            case ("r", account, balance):
                balances[account] = balance
            case _:
                return None
    return balances


def _wrong(
    operation: Operation,
    balances: dict[Value, Value],
    accounts: tuple[Key, ...],
    total: int,
    *,
    overdrafts: bool,
) -> Witness | None:
    held: list[int] = []
    for account in accounts:
        balance = balances[account]
        if isinstance(balance, bool) or not isinstance(balance, int):
            explanation = f"Account {account!r} was read as {balance!r}, not an amount."
            return Witness("no balance", explanation, (operation,), account)
        if balance < 0 and not overdrafts:
            explanation = (
                f"Account {account!r} was read with {balance}, and overdrafts are"
                " refused."
            )
            return Witness("negative balance", explanation, (operation,), account)
        held.append(balance)
    if sum(held) == total:
        return None
    explanation = (
        f"The accounts held {sum(held)} in one read, and {total} in all: money has"
        f" {'appeared' if sum(held) > total else 'disappeared'}."
    )
    return Witness("wrong total", explanation, (operation,))
