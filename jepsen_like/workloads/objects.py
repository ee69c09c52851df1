"""
What is asked of objects: single-leader units of state, each linearizable.

A key is an object, so that operations of several keys meet several leaders.  An
operation concerns one object; since linearizability is local, a history of many
objects is linearizable if and only if the part of each of them is; a history of
transactions of which each stays within an object is then strictly serializable as a
whole.

    object-register, object-cas     linearizable, by the registers' model
    object-counter                  additions that are sent again until it is known that
                                    they have happened, and count once
    object-list-append              transactions on lists of one object
    object-bank                     transfers between accounts of one object
    object-alarm                    elements that an alarm adds to a set, at least once
    object-restore                  registers that are made again what they were
                                    (jepsen_like.workloads.object_restore)

The names begin alike, since whoever runs a plan must know whom to ask: the store, or
its objects.

References:
    Herlihy & Wing, 1990.  Linearizability: a correctness condition for concurrent
        objects.  Section 3.3, locality.
    Varda, 2021.  Durable Objects: easy, fast, correct: choose three.  Cloudflare.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final as Constant

from jepsen_like.checkers import bank, counter, set_full
from jepsen_like.checkers.elle import check_list_append
from jepsen_like.checkers.finals import with_finals
from jepsen_like.history.history import History
from jepsen_like.history.operation import Key, Value
from jepsen_like.plan import Invoke
from jepsen_like.verdict import Judgement, Verdict, combined
from jepsen_like.workloads.bank import AMOUNT_MAX, OPENING
from jepsen_like.workloads.drawing import fresh_values, keys_of, slots, weighted
from jepsen_like.workloads.list_append import APPENDS, STEPS_MAX
from jepsen_like.workloads.workload import Extent, Final

PREFIX: Constant = "object-"

SETTLED: Constant = "settled"
"""Argument of the last read of a set: no answer while an alarm has still to run."""

_LISTS: Constant = 3
_ACCOUNTS: Constant = 3
_BANK_WEIGHTS: Constant = {"transfer": 6, "txn": 4}
_ALARM_WEIGHTS: Constant = {"insert": 6, "members": 4}


def asks_objects(workload_name: str) -> bool:
    """Tell whether a workload asks objects, and not the store."""
    return workload_name.startswith(PREFIX)


def exact_counter(history: History) -> tuple[Judgement, ...]:
    """Judge a counter that shows at once what was added, and counts it once."""
    return counter.check(history), counter.check_final(history)


@dataclass(frozen=True, slots=True)
class ObjectListAppendWorkload:
    """Transactions of appends and reads, each on the lists of one object."""

    name: str = "object-list-append"
    model: str = "list-append"

    def invocations(
        self, random: Random, nodes: Sequence[str], extent: Extent
    ) -> Iterator[Invoke]:
        """Yield what is asked for, in order of time."""
        elements = fresh_values()
        for at, worker, node, key in slots(random, nodes, extent):
            steps: list[Value] = []
            for _ in range(random.randint(1, STEPS_MAX)):
                touched = random.choice(_parts(key, _LISTS))
                if random.random() < APPENDS:
                    steps.append(("append", touched, next(elements)))
                else:
                    steps.append(("r", touched, None))
            yield Invoke(at, worker, node, "txn", key, tuple(steps))

    def finals(self, invocations: Sequence[Invoke]) -> tuple[Final, ...]:
        """Return a read of all lists of each object."""
        return tuple(
            Final("txn", key, _reads(_parts(key, _LISTS)))
            for key in keys_of(invocations)
        )

    def judge(self, history: History) -> tuple[Judgement, ...]:
        """Judge as strictly serializable."""
        return (check_list_append(with_finals(history), "strict-serializable"),)


@dataclass(frozen=True, slots=True)
class ObjectBankWorkload:
    """Transfers between accounts of one object, and reads of all of them."""

    name: str = "object-bank"
    model: str = "bank"

    def invocations(
        self, random: Random, nodes: Sequence[str], extent: Extent
    ) -> Iterator[Invoke]:
        """Yield what is asked for, in order of time: accounts are opened first."""
        asked = list(slots(random, nodes, extent))
        first = {slot.key: place for place, slot in reversed([*enumerate(asked)])}
        for number, key in enumerate(sorted(first)):
            opening = tuple(("w", part, OPENING) for part in _parts(key, _ACCOUNTS))
            worker, node = number % extent.workers, nodes[number % len(nodes)]
            yield Invoke(0, worker, node, "txn", key, opening)
        for place, (at, worker, node, key) in enumerate(asked):
            accounts = _parts(key, _ACCOUNTS)
            if first[key] == place:
                continue  # that was to open them
            if weighted(random, _BANK_WEIGHTS) == "txn":
                yield Invoke(at, worker, node, "txn", key, _reads(accounts))
            else:
                source, target = random.sample(accounts, 2)
                transfer = (source, target, random.randint(1, AMOUNT_MAX))
                yield Invoke(at, worker, node, "transfer", key, transfer)

    def finals(self, invocations: Sequence[Invoke]) -> tuple[Final, ...]:
        """Return a read of all accounts of each object."""
        return tuple(
            Final("txn", key, _reads(_parts(key, _ACCOUNTS)))
            for key in keys_of(invocations)
        )

    def judge(self, history: History) -> tuple[Judgement, ...]:
        """Judge the totals of what was read, object by object."""
        found = [
            bank.check(
                History(tuple(operations), history.faults, history.header),
                accounts=_parts(key, _ACCOUNTS),
                total=_ACCOUNTS * OPENING,
            )
            for key, operations in history.by_key().items()
        ]
        return (_together(found),)


@dataclass(frozen=True, slots=True)
class ObjectAlarmWorkload:
    """
    Elements that an alarm inserts some time after they were asked for.

    A read may miss those whose alarm has not run; the last one must have them all.
    """

    name: str = "object-alarm"
    model: str = "set"

    def invocations(
        self, random: Random, nodes: Sequence[str], extent: Extent
    ) -> Iterator[Invoke]:
        """Yield what is asked for, in order of time."""
        elements = fresh_values()
        for at, worker, node, key in slots(random, nodes, extent):
            f = weighted(random, _ALARM_WEIGHTS)
            argument = next(elements) if f == "insert" else None
            yield Invoke(at, worker, node, f, key, argument)

    def finals(self, invocations: Sequence[Invoke]) -> tuple[Final, ...]:
        """Return a read of each set once its alarms have run."""
        return tuple(Final("members", key, SETTLED) for key in keys_of(invocations))

    def judge(self, history: History) -> tuple[Judgement, ...]:
        """Judge that nothing that was asked for is missing in the end."""
        return (set_full.check(history),)


def _parts(key: Key, count: int) -> tuple[str, ...]:
    """Return the names of the lists or accounts of an object."""
    return tuple(f"{key}/{number}" for number in range(count))


def _reads(parts: Sequence[str]) -> tuple[tuple[str, str, None], ...]:
    return tuple(("r", part, None) for part in parts)


def _together(found: Sequence[Judgement]) -> Judgement:
    """
    Return what was found of all objects, and all witnesses.

    One whose accounts were never opened says nothing, of the others neither.
    """
    telling = [each for each in found if each.verdict is not Verdict.UNKNOWN]
    if not telling:
        reason = "no transaction has read all accounts of an object"
        return Judgement(bank.NAME, Verdict.UNKNOWN, reason)
    reads = sum(int(each.figures[bank.READS]) for each in telling)
    figures = {"objects": len(telling), bank.READS: reads}
    witnesses = tuple(witness for each in telling for witness in each.witnesses)
    reasons = [each.reason for each in telling if each.reason]
    verdict, reason = combined(telling), "; ".join(reasons)
    return Judgement(bank.NAME, verdict, reason, witnesses, figures)
