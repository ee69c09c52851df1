"""
What this project wants to reach, judged by the rows of the same run.

An aim is met or missed by figures that were measured side by side.  A rival's
fastest row counts, whatever consistency or durability it gives up for its speed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.benchmarks.measurement import Measurement, Section
from tests.benchmarks.systems.subject import Family, Subject

BUSY_CALLERS = 64

Subjects = Mapping[str, Subject]
"""Subjects by name."""


@dataclass(frozen=True, slots=True)
class Rival:
    """What ours are compared with: the fastest subject that `includes` takes."""

    name: str
    includes: Callable[[Subject], bool]


ETCD = Rival(
    "etcd, 3 nodes", lambda subject: subject.family is Family.ETCD and subject.nodes > 1
)
REDIS_DURABLE = Rival(
    "redis-py, fsync",
    lambda subject: subject.family is Family.REDIS and subject.durability == "fsync",
)
REDIS = Rival("redis-py", lambda subject: subject.family is Family.REDIS)


@dataclass(frozen=True, slots=True)
class Aim:
    """In *section*, with 64 calls in flight, be *times* as fast as the rival."""

    section: Section
    rival: Rival
    times: int

    def __str__(self) -> str:
        what = f"{self.section} with {BUSY_CALLERS} in flight"
        return f"{what} >= {self.times}x {self.rival.name}"


AIMS = (
    Aim(Section.GETS, ETCD, times=5),
    Aim(Section.PUTS, ETCD, times=5),
    Aim(Section.GETS, REDIS, times=3),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one subject of ours stands to one aim; rates are operations a second."""

    aim: str
    subject: str
    ours_per_second: int
    rival_per_second: int
    is_met: bool

    @property
    def ratio(self) -> float:
        """Ours against the rival's."""
        return self.ours_per_second / self.rival_per_second


def rival_rate(
    rival: Rival, like: Measurement, rows: Iterable[Measurement], subjects: Subjects
) -> int | None:
    """
    Return the rival's best rate in the section and at the load of *like*.

    None if *rows* have no such row.
    """
    return max(
        (
            row.per_second
            for row in rows
            if row.section is like.section
            and row.in_flight == like.in_flight
            and row.subject in subjects
            and rival.includes(subjects[row.subject])
        ),
        default=None,
    )


def judge(rows: Sequence[Measurement], subjects: Subjects) -> list[Verdict]:
    """Return a verdict for each aim and each subject of ours in *rows*."""
    verdicts = []
    for aim in AIMS:
        for row in rows:
            subject = subjects.get(row.subject)
            if (
                row.section is not aim.section
                or row.in_flight != BUSY_CALLERS
                or subject is None
                or subject.family is not Family.KVNODE
            ):
                continue
            rival = rival_rate(aim.rival, row, rows, subjects)
            if rival is not None:
                is_met = row.per_second >= aim.times * rival
                verdicts.append(
                    Verdict(str(aim), row.subject, row.per_second, rival, is_met)
                )
    return verdicts
