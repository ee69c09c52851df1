"""
How long isolation levels and session guarantees of 100,000 operations take.

The histories come from a toy store: replicas that pull from each other whatever the
other one has, so that each holds a causally closed set of writes, and of two writes
to a key keep the one with the later stamp.  Sessions stay with their replica.  What
breaks it on demand is what breaks real stores: an origin's writes left out of a pull
and applied later, a transaction applied in two halves, and a transaction that reads
from two replicas.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import NamedTuple

from jepsen_like.benchmarks.section import Section
from jepsen_like.checkers import isolation, sessions
from jepsen_like.history.history import Header, History
from jepsen_like.history.operation import Key, Operation, Outcome, Value
from jepsen_like.verdict import Judgement, Verdict, combined

OPERATIONS = 100_000
SESSIONS = 20
AIM_S = 10.0
_SEED = 20_250_616
_REPLICAS = 5
_FLAW_EVERY = 50
_LATE_EXCHANGES = 100


class Flaw(Enum):
    """What is wrong with the store."""

    NONE = "nothing"
    LATE = "writes of one origin come after what depends on them"
    TORN = "transactions are applied in halves"
    MIXED = "transactions read from two replicas"


class Extent(NamedTuple):
    """
    How large a history is, and of what.

    Attributes:
        operations: Micro-operations in all.
        sessions: Clients.
        keys: Keys.
        length_max: Micro-operations of one transaction; with 1, plain reads and
            writes are made.
        replicas: Copies.
        pull_every: Transactions for each time that a replica pulls from another.
    """

    operations: int
    sessions: int = SESSIONS
    keys: int = 200
    length_max: int = 1
    replicas: int = _REPLICAS
    pull_every: int = 4


class _Version(NamedTuple):
    """What a replica holds of a key; the larger wins."""

    stamp: int
    replica: int
    value: Value


class _Commit(NamedTuple):
    """Writes that belong together."""

    writes: tuple[tuple[Key, _Version], ...]


@dataclass(slots=True)
class _Replica:
    """A copy: values, its own commits in order, and how many it has of each origin."""

    name: int
    log: list[_Commit]
    known: list[int]
    values: dict[Key, _Version] = field(default_factory=dict)
    clock: int = 0

    def apply(self, writes: tuple[tuple[Key, _Version], ...]) -> None:
        """Keep what is later than what is here."""
        for key, version in writes:
            self.clock = max(self.clock, version.stamp)
            held = self.values.get(key)
            if held is None or held < version:
                self.values[key] = version


class ToyStore:
    """Replicas, and the flaw that they share."""

    def __init__(self, random: Random, extent: Extent, flaw: Flaw, every: int) -> None:
        count = extent.replicas
        self._random = random
        self._extent = extent
        self._flaw = flaw
        self._every = every
        self._replicas = [_Replica(name, [], [0] * count) for name in range(count)]
        self._late: list[tuple[int, _Commit]] = []
        self._next = 0
        self._clock = 0

    def _flawed(self, flaw: Flaw) -> bool:
        return self._flaw is flaw and self._random.randrange(self._every) == 0

    def _pull(self, ours: _Replica, theirs: _Replica) -> None:
        """Let *ours* have all that *theirs* has."""
        skipped = -1
        if self._flawed(Flaw.LATE):
            skipped = self._random.randrange(len(self._replicas))
        for origin, theirs_count in enumerate(theirs.known):
            for commit in self._replicas[origin].log[ours.known[origin] : theirs_count]:
                if origin == skipped:
                    self._late.append((ours.name, commit))
                elif len(commit.writes) > 1 and self._flawed(Flaw.TORN):
                    ours.apply(commit.writes[:1])
                    self._late.append((ours.name, commit))
                else:
                    ours.apply(commit.writes)
            ours.known[origin] = max(ours.known[origin], theirs_count)

    def _exchange(self) -> None:
        if self._late and self._random.randrange(_LATE_EXCHANGES) == 0:
            name, commit = self._late.pop(0)
            self._replicas[name].apply(commit.writes)
        ours, theirs = self._random.choices(self._replicas, k=2)
        self._pull(ours, theirs)

    def _run(self, process: int) -> Operation:
        """Run one transaction of *process*."""
        replica = self._replicas[process % len(self._replicas)]
        length = self._random.randint(1, self._extent.length_max)
        own: dict[Key, _Version] = {}
        done: list[tuple[str, Key, Value]] = []
        shown: _Version | None = None
        for _ in range(length):
            key = self._random.randrange(self._extent.keys)
            if self._random.random() < 0.5:  # noqa: PLR2004 - as many reads as writes
                self._next += 1
                shown = _Version(replica.clock + 1, replica.name, self._next)
                own[key] = shown
                done.append(("w", key, self._next))
            else:
                source = replica
                if self._flawed(Flaw.MIXED):
                    source = self._random.choice(self._replicas)
                shown = own.get(key) or source.values.get(key)
                done.append(("r", key, shown.value if shown else None))
        if own:
            replica.apply(tuple(own.items()))
            replica.log.append(_Commit(tuple(own.items())))
            replica.known[replica.name] += 1
        return self._recorded(process, replica, done, shown)

    def _recorded(
        self,
        process: int,
        replica: _Replica,
        done: list[tuple[str, Key, Value]],
        shown: _Version | None,
    ) -> Operation:
        called, self._clock = self._clock, self._clock + 2
        returned, node = called + 1, f"n{replica.name}"
        if self._extent.length_max > 1:
            steps = tuple(done)
            return Operation(
                process, "txn", None, steps, steps, called, returned, Outcome.OK, node
            )
        (f, key, value), *_ = done
        version = f"{shown.stamp:012}.{shown.replica:04}" if shown else ""
        writing = f == "w"
        return Operation(
            process,
            "write" if writing else "read",
            key,
            value if writing else None,
            None if writing else value,
            called,
            returned,
            Outcome.OK,
            node,
            version,
        )

    def operations(self) -> Iterator[Operation]:
        """Yield transactions of sessions chosen by chance."""
        done = 0
        while done < self._extent.operations:
            operation = self._run(self._random.randrange(self._extent.sessions))
            steps = operation.result if operation.f == "txn" else None
            done += len(steps) if isinstance(steps, tuple) else 1
            yield operation
            if self._random.randrange(self._extent.pull_every) == 0:
                self._exchange()


def made_by_toy_store(
    seed: int, extent: Extent, flaw: Flaw = Flaw.NONE, every: int = _FLAW_EVERY
) -> History:
    """
    Return a history of a causally consistent store, or of one with a *flaw*.

    Args:
        seed: What chance is drawn from; the same seed gives the same history.
        extent: How large.
        flaw: What is wrong, if anything.
        every: Once in how many occasions it goes wrong, >= 1.
    """
    store = ToyStore(Random(seed), extent, flaw, every)  # noqa: S311 - reproducible
    header = Header(system=f"toy store, flaw: {flaw.value}", seed=seed, timed=False)
    return History(tuple(store.operations()), header=header)


def rank_of_version(operation: Operation) -> int | None:
    """Return where the toy store puts the version that *operation* showed."""
    if not operation.version:
        return None
    stamp, _, replica = operation.version.partition(".")
    return int(stamp) * _REPLICAS + int(replica)


def _judged_sessions(history: History) -> Judgement:
    """Return one judgement for all four guarantees."""
    judgements = sessions.check(history, order_of=rank_of_version)
    verdict = combined(judgements)
    return next(one for one in judgements if one.verdict is verdict)


def _section(level: str, flaw: Flaw, *, long: bool) -> Section:
    length = 6 if long else 1
    extent = Extent(OPERATIONS, length_max=length)
    kind = "in transactions" if long else "one by one"
    good = "good" if flaw is Flaw.NONE else "bad"
    return Section(
        name=f"{level}, {OPERATIONS:,} operations {kind}, {SESSIONS} sessions, {good}",
        aim_s=AIM_S,
        make=lambda: made_by_toy_store(_SEED, extent, flaw),
        judge=lambda history: isolation.check(history, level),
        expected=Verdict.VALID if flaw is Flaw.NONE else Verdict.INVALID,
    )


def _made_without_versions(flaw: Flaw) -> History:
    made = made_by_toy_store(_SEED, Extent(OPERATIONS), flaw)
    operations = tuple(one._replace(version="") for one in made.operations)
    return History(operations, header=made.header)


def _session_section(flaw: Flaw, *, versions: bool) -> Section:
    good = "good" if flaw is Flaw.NONE else "bad"
    shown = "with" if versions else "without"
    return Section(
        name=(
            f"session guarantees, {OPERATIONS:,} operations {shown} versions,"
            f" {SESSIONS} sessions, {good}"
        ),
        aim_s=AIM_S,
        make=lambda: (
            made_by_toy_store(_SEED, Extent(OPERATIONS), flaw)
            if versions
            else _made_without_versions(flaw)
        ),
        judge=_judged_sessions,
        expected=Verdict.VALID if flaw is Flaw.NONE else Verdict.INVALID,
    )


def sections() -> tuple[Section, ...]:
    """Return what is measured: every level on good and bad histories."""
    return (
        _section("causal", Flaw.NONE, long=False),
        _section("causal", Flaw.LATE, long=False),
        _section("causal", Flaw.NONE, long=True),
        _section("causal", Flaw.LATE, long=True),
        _section("read-atomic", Flaw.NONE, long=True),
        _section("read-atomic", Flaw.TORN, long=True),
        _section("read-committed", Flaw.NONE, long=True),
        _section("read-committed", Flaw.MIXED, long=True),
        _session_section(Flaw.NONE, versions=True),
        _session_section(Flaw.LATE, versions=True),
        _session_section(Flaw.NONE, versions=False),
        _session_section(Flaw.LATE, versions=False),
    )
