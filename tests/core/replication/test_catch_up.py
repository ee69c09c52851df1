"""Catching up: pages in order, from one snapshot, and nothing claimed early (D2)."""

import pytest

from kvnode.core.clocks.version_vector import EMPTY, VersionVector
from kvnode.core.replication.catch_up import SILENCE_MAX, CatchUp
from kvnode.core.replication.messages import DeltaPage
from kvnode.errors import PeerProtocolError
from kvnode.types import Dot, Millis
from tests.core.replication.entries import A, at, register

CLOCK = VersionVector.of({A: 5})
KEY = at(b"k")


def page(number: int, *, last: bool = False, clock: VersionVector = CLOCK) -> DeltaPage:
    """Return an empty page."""
    return DeltaPage(1, number, clock, (), last)


def test_delta_is_complete_with_its_last_page_and_no_earlier() -> None:
    """D2."""
    catch_up = CatchUp(A, 1, Millis(0))

    catch_up.take(page(0), Millis(1))
    assert not catch_up.complete
    catch_up.take(page(1, last=True), Millis(2))

    assert catch_up.complete
    assert catch_up.snapshot_clock == CLOCK


def test_delta_waits_for_every_announced_value() -> None:
    """The last page does not end it (D6), nor does an older version of the value."""
    catch_up = CatchUp(A, 1, Millis(0))
    catch_up.missing[KEY] = register(Dot(A, 2)).version
    catch_up.take(page(0, last=True), Millis(1))

    assert not catch_up.arrived(KEY, register(Dot(A, 1)), EMPTY)
    assert not catch_up.complete
    assert not catch_up.arrived(at(b"other"), register(Dot(A, 2)), EMPTY)
    assert catch_up.arrived(KEY, register(Dot(A, 2)), EMPTY)

    assert catch_up.complete


@pytest.mark.parametrize("number", [0, 2])
def test_missing_or_repeated_page_is_refused(number: int) -> None:
    """A correct peer cannot send it: the link keeps order."""
    catch_up = CatchUp(A, 1, Millis(0))
    catch_up.take(page(0), Millis(1))

    with pytest.raises(PeerProtocolError, match=f"page {number} came where 1 was due"):
        catch_up.take(page(number), Millis(2))


def test_page_after_the_last_is_refused() -> None:
    """The snapshot clock has been claimed already."""
    catch_up = CatchUp(A, 1, Millis(0))
    catch_up.take(page(0, last=True), Millis(1))

    with pytest.raises(PeerProtocolError):
        catch_up.take(page(1), Millis(2))


def test_pages_of_two_snapshots_are_refused() -> None:
    """D1: an entry superseded in between would be in neither."""
    catch_up = CatchUp(A, 1, Millis(0))
    catch_up.take(page(0), Millis(1))

    with pytest.raises(PeerProtocolError, match="one snapshot"):
        catch_up.take(page(1, clock=VersionVector.of({A: 6})), Millis(2))


def test_silence_is_counted_from_the_last_page() -> None:
    """A long delta is not given up while its pages come."""
    catch_up = CatchUp(A, 1, Millis(0))
    catch_up.take(page(0), Millis(500))

    assert not catch_up.silent_since(Millis(500 + SILENCE_MAX))
    assert catch_up.silent_since(Millis(501 + SILENCE_MAX))


def test_clock_that_jumps_back_does_not_make_a_silent_peer_be_waited_for() -> None:
    """A lost request would be waited for as long as the jump was (seed 20094)."""
    catch_up = CatchUp(A, 1, Millis(60_000))

    assert catch_up.silent_since(Millis(59_999 - SILENCE_MAX))
