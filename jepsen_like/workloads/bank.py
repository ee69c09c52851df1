"""
Bank: transfers between accounts, whose total never changes.

It is for systems that have transactions.  The accounts are opened in one
transaction of writes.  A transfer is asked for as `transfer` with (source, target,
amount): the adapter does it in one transaction that reads both accounts, and fails
if there is too little or no account yet.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from jepsen_like.checkers import bank
from jepsen_like.history.history import History
from jepsen_like.history.operation import Key, Value
from jepsen_like.plan import Invoke
from jepsen_like.verdict import Judgement, Verdict
from jepsen_like.workloads.drawing import slots, weighted
from jepsen_like.workloads.workload import Extent, Final

_WEIGHTS = {"transfer": 6, "txn": 4}

OPENING = 100
"""What each account holds at first."""

AMOUNT_MAX = 20

_ACCOUNTS_MIN = 2


@dataclass(frozen=True, slots=True)
class BankWorkload:
    """Transfers, and reads of all accounts."""

    name: str = "bank"
    model: str = "bank"

    def invocations(
        self, random: Random, nodes: Sequence[str], extent: Extent
    ) -> Iterator[Invoke]:
        """Yield what is asked for, in order of time."""
        accounts = [f"k{number}" for number in range(max(_ACCOUNTS_MIN, extent.keys))]
        opened = False
        for at, worker, node, _ in slots(random, nodes, extent):
            f = weighted(random, _WEIGHTS)
            if not opened:
                opening = tuple(("w", account, OPENING) for account in accounts)
                yield Invoke(at, worker, node, "txn", None, opening)
                opened = True
            elif f == "txn":
                reads = tuple(("r", account, None) for account in accounts)
                yield Invoke(at, worker, node, f, None, reads)
            else:
                source, target = random.sample(accounts, 2)
                transfer = (source, target, random.randint(1, AMOUNT_MAX))
                yield Invoke(at, worker, node, f, None, transfer)

    def finals(self, invocations: Sequence[Invoke]) -> tuple[Final, ...]:
        """Return a read of all accounts."""
        accounts = _accounts(invocation.argument for invocation in invocations)
        reads = tuple(("r", account, None) for account in accounts)
        return (Final("txn", None, reads),) if reads else ()

    def judge(self, history: History) -> tuple[Judgement, ...]:
        """Judge the totals of what was read."""
        accounts = _accounts(operation.argument for operation in history.operations)
        if not accounts:
            reason = "no transaction has opened the accounts"
            return (Judgement(bank.NAME, Verdict.UNKNOWN, reason),)
        total = OPENING * len(accounts)
        return (bank.check(history, accounts=accounts, total=total),)


def _accounts(arguments: Iterable[Value]) -> tuple[Key, ...]:
    """Return the accounts that were opened."""
    for argument in arguments:
        match argument:
            case (("w", _, _), *_):
                assert isinstance(argument, tuple), "a list of micro-operations"
                return tuple(_account(micro) for micro in argument)
            case _:
                continue
    return ()


def _account(micro: Value) -> Key:
    match micro:
        case ("w", str() | int() as account, _):
            return account
        case _:
            msg = f"accounts are opened by writes alone, not by {micro!r}"
            raise ValueError(msg)
