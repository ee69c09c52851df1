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


def test_nothing_that_was_asked_stays_for_one_that_hears_nothing() -> None:
    """What it wants changed may be changed nevertheless."""
    asked = claimed(1, FIRST, SECOND).asked(1, (AskAuthority(),))

    kept = asked.worth_keeping(1, None)

    assert kept == claimed(1, FIRST, SECOND).deserted(1)
    assert kept.worth_keeping(0, None) == kept


def test_answers_of_earlier_epochs_are_over_for_who_leads_a_later_one() -> None:
    """What will be held yet may be said still; and another host may hear it all."""
    asked = Authority((FIRST,)).asked(0, (AskAuthority(),))
    later = asked._replace(held=(FIRST, SECOND))

    assert answers(later.worth_keeping(0, SECOND.epoch)) == [SECOND]
    over = later.worth_keeping(0, THIRD.epoch)
    assert answers(over) == []
    assert answers(over._replace(held=(FIRST, SECOND, THIRD))) == [THIRD]
    assert later.worth_keeping(1, THIRD.epoch) == later


def test_change_that_was_made_is_over_for_who_leads_later() -> None:
    """Who leads that very epoch may hear that its shard has arrived."""
    asked = claimed(1, FIRST, SECOND)
    done = asked.changed(asked.errands[0])
    assert done is not None

    assert done.worth_keeping(1, SECOND.epoch) == done
    assert done.worth_keeping(1, THIRD.epoch).errands == ()


def test_change_that_comes_too_late_is_a_question() -> None:
    """It is told all but what it has expected, as before."""
    late = claimed(2, FIRST, FIRST.taken_over_by(C))._replace(
        held=(FIRST, SECOND, THIRD)
    )

    kept = late.worth_keeping(2, 0)

    assert [errand.swap for errand in kept.errands] == [None]
    assert answers(kept) == answers(late) == [SECOND, THIRD]


def test_authority_is_within_one_that_may_say_more() -> None:
    """Something older, or something to one more."""
    none = Authority((FIRST, SECOND))
    late = none.asked(0, (AskAuthority(),))
    early = Authority((FIRST,)).asked(0, (AskAuthority(),))._replace(held=none.held)
    both = late.asked(0, (AskAuthority(),))

    assert none.is_within(late)
    assert late.is_within(early)
    assert late.is_within(both)
    assert not late.is_within(none)
    assert not early.is_within(both)
    assert not both.is_within(early)


def test_authority_is_within_none_that_has_held_something_else() -> None:
    """Nor does a question to one stand for a question to another, or for a change."""
    asked = Authority((FIRST,)).asked(0, (AskAuthority(),))

    assert not asked.is_within(asked._replace(held=(FIRST, SECOND)))
    assert not asked.is_within(Authority((FIRST,)).asked(1, (AskAuthority(),)))
    assert not asked.is_within(claimed(0, FIRST, SECOND))
