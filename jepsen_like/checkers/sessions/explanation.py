"""Broken guarantees in words: which read missed which write, and how it was seen."""

from collections.abc import Sequence

from jepsen_like.checkers.sessions.guarantees import BY_RANK, Demand, Guarantee
from jepsen_like.checkers.sessions.observations import (
    INITIAL,
    NO_PROCESS,
    Event,
    Observations,
)
from jepsen_like.history.operation import Operation, Value
from jepsen_like.verdict import Witness

_VALUE_CHARS_MAX = 60

_KINDS = {
    Guarantee.READ_YOUR_WRITES: "own write missed",
    Guarantee.MONOTONIC_READS: "reads went back",
    Guarantee.MONOTONIC_WRITES: "writes of a session out of order",
    Guarantee.WRITES_FOLLOW_READS: "write seen without what its session had read",
}


def explain(
    observations: Observations, guarantee: Guarantee, cycle: Sequence[Demand]
) -> Witness:
    """Return the witness of *cycle*, which breaks *guarantee*."""
    return _Explainer(observations).explain(guarantee, cycle)


class _Explainer:
    """Writes down one cycle."""

    def __init__(self, observations: Observations) -> None:
        self._observations = observations
        self._involved: list[Operation] = []

    def explain(self, guarantee: Guarantee, cycle: Sequence[Demand]) -> Witness:
        """Return the witness of *cycle*."""
        sentences = [self._sentence(demand) for demand in cycle]
        others = {Guarantee(demand.kind) for demand in cycle if demand.kind}
        others.discard(guarantee)
        if cycle[-1].after == INITIAL:
            sentences.append("Nothing comes before the initial state.")
        elif others:
            titles = ", ".join(other.title for other in sorted(others))
            sentences.append(
                f"No order of these writes allows all of that: {guarantee.title} or"
                f" {titles} is broken, and nothing tells which."
            )
        else:
            sentences.append("No order of these writes allows all of that.")
        ordered = sorted(dict.fromkeys(self._involved), key=lambda one: one.called)
        key = self._observations.writes[cycle[0].before].key
        return Witness(_KINDS[guarantee], "\n".join(sentences), tuple(ordered), key)

    def _named(self, number: int) -> str:
        if number == INITIAL:
            return "the initial state"
        write = self._observations.writes[number]
        self._involved.append(write.operation)
        if write.process == NO_PROCESS:
            return f"{write.key}={_shown(write.value)} of a write not in the history"
        return f"{write.key}={_shown(write.value)} of process {write.process}"

    def _sentence(self, demand: Demand) -> str:
        before, after = self._named(demand.before), self._named(demand.after)
        if demand.kind == BY_RANK:
            return f"The store's order puts {before} before {after}."
        event = self._observations.events[demand.cause]
        self._involved.append(event.operation)
        reason = {
            Guarantee.READ_YOUR_WRITES: self._own_write,
            Guarantee.MONOTONIC_READS: self._earlier_read,
            Guarantee.MONOTONIC_WRITES: self._writes_of_a_session,
            Guarantee.WRITES_FOLLOW_READS: self._read_before_write,
        }[Guarantee(demand.kind)](demand, event)
        return f"{before} must come before {after}: {reason}."

    def _returned(self, demand: Demand, event: Event) -> str:
        what = "nothing" if event.source is None else self._named(demand.after)
        node = f" at {event.operation.node}" if event.operation.node else ""
        return f"process {event.process} read {event.key}{node} and got {what}"

    def _own_write(self, demand: Demand, event: Event) -> str:
        wrote = self._named(demand.before)
        return f"{self._returned(demand, event)}, after it had written {wrote}"

    def _earlier_read(self, demand: Demand, event: Event) -> str:
        for earlier in reversed(self._before(event)):
            if earlier.source == demand.before:
                self._involved.append(earlier.operation)
                break
        seen = self._named(demand.before)
        return f"{self._returned(demand, event)}, after it had read {seen}"

    def _writes_of_a_session(self, demand: Demand, event: Event) -> str:
        if event.write is not None:
            return f"process {event.process} wrote them in this order"
        write = self._observations.writes[demand.before]
        seen = self._seen_after(event, {write.process: write.position})
        return (
            f"{self._returned(demand, event)}, although it had been shown {seen}, which"
            f" process {write.process} wrote after {self._named(demand.before)}"
        )

    def _read_before_write(self, demand: Demand, event: Event) -> str:
        if event.write is not None:
            self._involve_read(event.process, event.position, demand.before)
            return (
                f"process {event.process} wrote the latter when it had read the former"
            )
        readers: dict[int, int] = {}
        for one in self._observations.events:
            if one.source == demand.before:
                readers.setdefault(one.process, one.position)
        readers.pop(event.process, None)
        seen = self._seen_after(event, readers)
        return (
            f"{self._returned(demand, event)}, although it had been shown {seen},"
            f" written when its process had read {self._named(demand.before)}"
        )

    def _involve_read(self, process: int, position: int, source: int) -> None:
        for one in reversed(self._observations.sessions[process][:position]):
            if one.source == source:
                self._involved.append(one.operation)
                return

    def _before(self, event: Event) -> list[Event]:
        return self._observations.sessions[event.process][: event.position]

    def _seen_after(self, event: Event, since: dict[int, int]) -> str:
        """Return what the session of *event* saw of a process after a position."""
        writes = self._observations.writes
        for one in reversed([*self._before(event), event]):
            if one.source is None or one.source == INITIAL:
                continue
            write = writes[one.source]
            if write.position > since.get(write.process, write.position):
                self._involved.append(one.operation)
                source = self._observations.sessions[write.process][
                    since[write.process]
                ]
                self._involved.append(source.operation)
                return self._named(one.source)
        msg = "a session is bound by what it has been shown"
        raise AssertionError(msg)


def _shown(value: Value) -> str:
    text = repr(value)
    if len(text) <= _VALUE_CHARS_MAX:
        return text
    return f"{text[:_VALUE_CHARS_MAX]}..."
