"""
Schedules made by hand, for what chance would hardly ever bring about.

The true protocol keeps the rules in each of them; each is the one way that is known
to see a certain rule broken (tests.simulation.sabotage).
"""

from tests.simulation.schedule import SKEWS, Step
from tests.simulation.workload import COUNTER, KEYS, REGISTERS

A, B, C = range(3)
NEXT, NEXT_BUT_ONE = (0, 2), (1, 2)
"""Which site a step is about beside its own: the choice, and of how many."""


def pick(*choices: tuple[int, int]) -> int:
    """Return the number that stands for *choices*, each with how many there are."""
    number, scale = 0, 1
    for choice, count in choices:
        assert 0 <= choice < count, "one of those there are"
        number, scale = number + choice * scale, scale * count
    return number


AT_ONCE, ALONE = (1, 3), ((1, 8), (1, 4), (1, 8))


def _write(at: int, client: int, key: int, *rest: tuple[int, int]) -> Step:
    """Let *client* write once to the key of number *key*, in a turn of its own."""
    chosen = (NEXT, AT_ONCE, (client, 3), *ALONE, (key, len(KEYS)), *rest)
    return Step("write", at, pick(*chosen))


def _put(at: int, client: int, register: int = 0) -> Step:
    key = KEYS.index(REGISTERS[register])
    return _write(at, client, key, (0, 3), (0, 5), (1, 4), (2, 8))


def _add(at: int, client: int) -> Step:
    return _write(at, client, KEYS.index(COUNTER), (1, 6), (0, 5))


def _delete(at: int, client: int) -> Step:
    """Let *client* delete what was written last."""
    return Step("delete", at, pick(NEXT, (client, 3)))


def _skew(at: int, by: int) -> Step:
    return Step("skew", at, pick(NEXT, (SKEWS.index(by), len(SKEWS))))


def _deliver(at: int, sender: tuple[int, int]) -> Step:
    """Let *at* hear up to three messages, in a turn of its own."""
    return Step("deliver", at, pick(sender, (2, 3), (1, 4)))


def _agree(at: int = A) -> Step:
    """Let all hear each other for four rounds."""
    return Step("quiet", at, pick(NEXT, (3, 4), (1, 2)))


def _agree_late(at: int, sender: tuple[int, int]) -> Step:
    """The same, but nothing that *sender* sends *at* comes."""
    return Step("quiet", at, pick(sender, (3, 4), (0, 2)))


WRITTEN_AFTER_A_SET_BACK = [
    _agree(),
    _put(B, client=0),
    _agree(),
    # The deletion comes to A from so far ahead that it does not move the clock there.
    _skew(A, by=-5000),
    _delete(B, client=1),
    _deliver(A, NEXT),
    _skew(A, by=0),
    _agree(),
    _agree(),
    # It is forgotten: what A writes now must be stamped above it nevertheless.
    _skew(A, by=-5000),
    _put(A, client=2),
]
"""A clock is right when its node reports, and set back when the floor is adopted."""

WRITTEN_BEFORE_A_COPY_HEARS = [
    _add(A, client=0),
    _agree(),
    _agree(),
    Step("copy", A, 0),
    _delete(B, client=1),
    _deliver(A, NEXT),
    _deliver(C, NEXT_BUT_ONE),
    # B and A forget the deletion; C does not hear of it yet.
    _agree_late(C, NEXT_BUT_ONE),
    # A is what it was, meets C, and adds to the counter.
    Step("restore", A, 0),
    Step("connect", A, pick(NEXT_BUT_ONE)),
    Step("turn", C, 0),
    _add(A, client=2),
    # C forgets, and then hears of what A added.
    *[_deliver(C, NEXT_BUT_ONE)] * 2,
    _deliver(C, NEXT),
]
"""A replica that is no member yet writes upon what a forgotten deletion had ended."""

STARTED_ANEW_BEFORE_ALL_HAVE_FORGOTTEN = [
    # A's deletion is concurrent with what C has added, and ends it.
    _add(C, client=0),
    _delete(A, client=1),
    # B and C forget it.  A does not: what C added has not come there.
    Step("late", A, pick(NEXT_BUT_ONE, (0, 2))),
    # B, which has nothing, starts the counter anew: A hears of that first.
    _add(B, client=2),
    Step("late", A, pick(NEXT_BUT_ONE, (0, 2))),
]
"""What a forgotten deletion had ended comes late to where it is not forgotten."""

_B_AND_C_TALK = [
    Step("pause", A, pick(NEXT, (2, 6))),
    Step("tick", B, 0),
    Step("tick", C, 0),
    *[_deliver(C, NEXT_BUT_ONE), _deliver(B, NEXT)] * 3,
]
COPY_HAS_WHAT_WAS_GIVEN_UP = [
    _agree(),
    _put(A, client=2, register=2),
    _agree(),
    # B hears of A's third write, and not of the second: the link had broken.
    _put(A, client=0),
    Step("drop", A, pick(NEXT)),
    Step("connect", A, pick(NEXT)),
    Step("turn", B, 0),
    _put(A, client=1, register=1),
    _deliver(B, NEXT_BUT_ONE),
    # A is another replica on a copy that has all three.  B and C remove the former one
    # and give up its second write, before the copy is heard of.
    Step("copy", A, 0),
    Step("restore", A, 0),
    Step("turn", B, 0),
    *_B_AND_C_TALK * 6,
]
"""What is covered by agreement is in a copy of its writer's store (decision 15)."""
