"""The authority as a value: what it may say and do, and when."""

from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.events import AskAuthority, Swap
from kvnode.types import ReplicaId
from tests.simulation.explored_authority import Authority

A, B, C = OWNS = ReplicaId(1), ReplicaId(2), ReplicaId(3)
FIRST = Configuration(1, A, OWNS)
SECOND = FIRST.taken_over_by(B)
THIRD = SECOND.taken_over_by(C)


def claimed(by: int, expected: Configuration, desired: Configuration) -> Authority:
    """Return one that holds the first configuration, and was asked for a change."""
    return Authority((FIRST,)).asked(by, (Swap(expected, desired),))


def answers(authority: Authority) -> list[Configuration]:
    """Return what may be said of all that was asked."""
    return [
        answer
        for errand in authority.errands
        for _, answer in authority.answered(errand)
    ]


def test_question_is_answered_with_all_that_was_held_since() -> None:
    """The answer may have been late, or the reading."""
    asked = Authority((FIRST, SECOND)).asked(0, (AskAuthority(),))

    later = asked._replace(held=(FIRST, SECOND, THIRD))

    assert answers(asked) == [SECOND]
    assert answers(later) == [SECOND, THIRD]


def test_change_is_made_once_and_told_to_who_asked() -> None:
    """Until it is made there is nothing to say of it."""
    asked = claimed(1, FIRST, SECOND)

    (errand,) = asked.errands
    done = asked.changed(errand)

    assert done is not None
    assert done.held == (FIRST, SECOND)
    assert answers(asked) == []
    assert answers(done) == [SECOND]
    assert done.changed(done.errands[0]) is None


def test_change_of_what_is_held_no_more_fails() -> None:
    """Who asked for it hears what is held instead."""
    asked = claimed(2, FIRST, FIRST.taken_over_by(C))._replace(held=(FIRST, SECOND))

    assert asked.changed(asked.errands[0]) is None
    assert answers(asked) == [SECOND]


def test_change_that_nobody_waits_for_is_made_nevertheless() -> None:
    """Who asked for it has crashed meanwhile, and never hears of it."""
    deserted = claimed(1, FIRST, SECOND).deserted(1)

    done = deserted.changed(deserted.errands[0])

    assert answers(deserted) == []
    assert done == Authority((FIRST, SECOND))


def test_questions_of_who_has_crashed_are_void() -> None:
    """Another host's stay."""
    asked = Authority((FIRST,)).asked(0, (AskAuthority(),)).asked(1, (AskAuthority(),))

    assert [errand.host for errand in asked.deserted(0).errands] == [1]
