"""
Durability: nothing acknowledged is lost, nothing deleted comes back.

Judged from the final value of each key, for registers where the last writer
wins and no siblings are kept.  Of two concurrent writes either may win, so from
outside only these can be proved:

    lost write       the final value was written by W1, and W2, acknowledged,
                     came certainly after W1 (see `causality`): W2 is gone
    deleted back     the same with W2 a delete
    vanished         nothing is there, something was acknowledged, and each
                     delete ever tried was certainly overwritten
    phantom          the final value was never written, or by a write that failed

Where versions can be compared, the final one must be the largest of all that
were acknowledged, which proves every loss.

A write that only a node had which lost its store in a fault (wiped, restored from
a backup, damaged) may be gone: the client was told so when it chose to have
it acknowledged by one node.

References:
    Vogels, 2009.  Eventually consistent.
    Rules R1, R2 and W1 of the replication design.
"""

from collections.abc import Iterable

from jepsen_like.checkers.access import Access, OrderOf, reads_of, writes_of
from jepsen_like.checkers.causality import Causality
from jepsen_like.checkers.convergence import final_values
from jepsen_like.history.history import History
from jepsen_like.history.operation import Key, Operation, Outcome, Value
from jepsen_like.verdict import Judgement, Verdict, Witness

NAME = "durability"


def check(
    history: History,
    *,
    order_of: OrderOf | None = None,
    sessions: bool = True,
    places: bool = True,
) -> Judgement:
    """
    Judge whether each final value is one that may have won.

    Args:
        history: With final reads.
        order_of: How versions compare, if they do.
        sessions: Processes keep a session: their operations are in causal order.
        places: A node orders a write above what it has stored.

    Returns:
        UNKNOWN if there are no final reads.  Costs O(n log n) and, for each key,
        what came causally after its final write.
    """
    finals = final_values(history, "read")
    if not finals:
        reason = "there are no final reads, so nothing shows what is left"
        return Judgement(NAME, Verdict.UNKNOWN, reason)
    causality = Causality(history, sessions=sessions, places=places)
    judge = _Judge(history, causality, order_of)
    witnesses: list[Witness] = []
    for answers in finals.values():
        for final in _distinct(answers):
            found = judge.witness(final)
            if found is not None:
                witnesses.append(found)
                break
    figures = {
        "keys": len(finals),
        "acknowledged writes": sum(len(writes) for writes in judge.written.values()),
        "possibly lost with a store": judge.excused,
    }
    if witnesses:
        reason = f"{len(witnesses)} of {len(finals)} keys hold what they should not"
        return Judgement(NAME, Verdict.INVALID, reason, tuple(witnesses), figures)
    return Judgement(NAME, Verdict.VALID, figures=figures)


def _distinct(answers: Iterable[Operation]) -> list[Operation]:
    """Return the answers that differ: nodes that agree are judged once."""
    return list({(each.result, each.version): each for each in answers}.values())


class _Judge:
    """What was acknowledged of each key, and what that says of its final value."""

    def __init__(
        self, history: History, causality: Causality, order_of: OrderOf | None
    ) -> None:
        self.written: dict[Key, dict[int, Operation]] = {}
        self.excused = 0
        self._causality = causality
        self._order_of = order_of
        self._initial = history.header.initial
        self._deletes: dict[Key, list[int]] = {}
        self._failed: dict[tuple[Key, Value], Operation] = {}
        self._expiring: set[Key] = set()
        for operation in history.operations:
            if operation.outcome is Outcome.FAIL:
                for access in writes_of(operation):
                    self._failed[access.key, access.value] = operation
        for index, operation in enumerate(causality.operations):
            if operation.outcome is not Outcome.FAIL:
                for access in writes_of(operation):
                    self._note(index, operation, access)

    def _note(self, index: int, operation: Operation, access: Access) -> None:
        if access.value is None:
            self._deletes.setdefault(access.key, []).append(index)
        if operation.f == "write-expiring":
            self._expiring.add(access.key)
        if operation.outcome is Outcome.OK:
            if self._causality.may_be_lost(index):
                self.excused += 1
            else:
                self.written.setdefault(access.key, {})[index] = operation

    def witness(self, final: Operation) -> Witness | None:
        """Return what contradicts *final*, or None."""
        access = next(reads_of(final))
        source = self._causality.source(access)
        if source is not None and (access.value is not None or access.version):
            return self._outranked(final) or self._superseded(final, source)
        if self._causality.writers(access) and access.value is not None:
            return None  # written more than once: nobody can say which it is
        if access.value == self._initial:
            return self._vanished(final)
        if access.value is None:
            return None
        return self._phantom(final)

    def _outranked(self, final: Operation) -> Witness | None:
        last = self._last(final.key)
        if self._order_of is None or last is None or not final.version:
            return None
        if self._order_of(last.version) <= self._order_of(final.version):
            return None
        how = f"has the larger version {last.version}, and"
        return _lost(final, last, (last, final), how)

    def _last(self, key: Key) -> Operation | None:
        """Return the acknowledged write of *key* with the largest version."""
        order_of = self._order_of
        # The version of a transaction would be that of which of its writes?
        ranked = [
            operation
            for operation in self.written.get(key, {}).values()
            if operation.version and operation.f != "txn"
        ]
        if order_of is None or not ranked:
            return None
        return max(ranked, key=lambda operation: order_of(operation.version))

    def _superseded(self, final: Operation, source: int) -> Witness | None:
        acknowledged = self.written.get(final.key, {})
        for index, path in self._causality.after(source, final.key):
            later = acknowledged.get(index)
            if later is not None:
                how = "was made by someone who knew the final value's write, and"
                return _lost(final, later, (*path(), final), how)
        return None

    def _vanished(self, final: Operation) -> Witness | None:
        """Judge a key at which there is what was there before any write."""
        key = final.key
        acknowledged = self.written.get(key, {})
        losable = [
            (index, operation)
            for index, operation in acknowledged.items()
            if final.result is not None or index not in self._deletes.get(key, ())
        ]
        if not losable or key in self._expiring:
            return None
        if final.result is None and not all(
            self._overwritten(delete, key) for delete in self._deletes.get(key, ())
        ):
            return None
        _, lost = losable[-1]
        deletes = self._deletes.get(key, ())
        why = (
            f"each of the {len(deletes)} deletes was certainly overwritten"
            if deletes
            else "nobody has tried to delete it"
        )
        return Witness(
            "vanished",
            f"{final.node} has {final.result!r} at {key!r} in the end, but"
            f" {lost.argument!r} was acknowledged to process {lost.process} and {why}.",
            (lost, final),
            key,
        )

    def _overwritten(self, delete: int, key: Key) -> bool:
        """Tell whether a write that was acknowledged certainly came after *delete*."""
        operation, last = self._causality.operations[delete], self._last(key)
        if self._order_of is not None and last is not None and operation.version:
            return self._order_of(last.version) > self._order_of(operation.version)
        acknowledged = self.written.get(key, {})
        deletes = frozenset(self._deletes[key])
        return any(
            index in acknowledged and index not in deletes
            for index, _ in self._causality.after(delete, key)
        )

    def _phantom(self, final: Operation) -> Witness:
        failed = self._failed.get((final.key, final.result))
        how = "only by a write that failed" if failed else "by nobody"
        return Witness(
            "phantom",
            f"{final.node} has {final.result!r} at {final.key!r} in the end, which"
            f" was written {how}.",
            (failed, final) if failed else (final,),
            final.key,
        )


def _lost(
    final: Operation, later: Operation, operations: tuple[Operation, ...], how: str
) -> Witness:
    gone = "write" if any(a.value is not None for a in writes_of(later)) else "delete"
    kind = "lost write" if gone == "write" else "deleted back"
    return Witness(
        kind,
        f"{final.node} has {final.result!r} at {final.key!r} in the end, but the"
        f" {gone} of process {later.process} at {later.node or 'its node'} {how} was"
        " acknowledged.",
        operations,
        final.key,
    )
