"""The checker of the kill test can tell right from wrong."""

from tests.system.history import Ended, History, Tally


def _history(*attempts: tuple[bytes | None, Ended]) -> History:
    history = History()
    for state, ended in attempts:
        history.note(state, ended)
    return history


def test_acknowledged_state_is_the_only_one_allowed() -> None:
    """Older states, indeterminate ones too, are gone for good."""
    history = _history(
        (b"1", Ended.ACKNOWLEDGED),
        (b"2", Ended.INDETERMINATE),
        (b"3", Ended.ACKNOWLEDGED),
    )

    assert history.allowed() == {b"3"}


def test_indeterminate_states_after_it_are_allowed_and_failed_ones_are_not() -> None:
    """Only what may have happened since can be there."""
    history = _history(
        (b"1", Ended.ACKNOWLEDGED),
        (b"2", Ended.INDETERMINATE),
        (b"3", Ended.FAILED),
        (None, Ended.INDETERMINATE),
    )

    assert history.allowed() == {b"1", b"2", None}


def test_acknowledged_deletion_allows_nothing_to_be_there() -> None:
    """A deleted key stays deleted."""
    history = _history((b"1", Ended.ACKNOWLEDGED), (None, Ended.ACKNOWLEDGED))

    assert history.allowed() == {None}


def test_tally_allows_what_lies_between_its_bounds() -> None:
    """All that was acknowledged counts; what is in doubt may count."""
    tally = Tally()
    tally.note(5, Ended.ACKNOWLEDGED)
    tally.note(2, Ended.INDETERMINATE)
    tally.note(9, Ended.FAILED)

    assert [total for total in range(20) if tally.allows(total)] == [5, 6, 7]
