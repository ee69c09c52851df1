"""How long faults lasted follows from what was done."""

from jepsen_like.history.history import FaultSpan
from jepsen_like.nemesis.faults import (
    Cut,
    Disturb,
    Downgrade,
    Fault,
    FillDisk,
    FlipBits,
    FreeDisk,
    Heal,
    Kill,
    Pause,
    Resume,
    SetClock,
    SlowDisk,
    Start,
    Upgrade,
    Wipe,
)
from jepsen_like.nemesis.spans import Struck, fault_spans
from jepsen_like.plan import Strike


def _spans(*faults: Fault) -> list[tuple[str, int, int, tuple[str, ...]]]:
    """The spans of faults of which the k-th began at 10 k and was there 1 later."""
    struck = [
        Struck(Strike(0, fault), 10 * place, 10 * place + 1)
        for place, fault in enumerate(faults)
    ]
    return [
        (span.kind, span.began, span.ended, span.nodes)
        for span in fault_spans(struck, 1000)
    ]


def test_fault_lasts_until_all_its_nodes_are_well() -> None:
    """Two killed nodes, started one after the other."""
    assert _spans(Kill(("a", "b")), Start(("a",)), Start(("b",))) == [
        ("kill", 0, 21, ("a", "b"))
    ]


def test_heal_ends_cuts_and_disturbances_together() -> None:
    """Whatever is wrong with links is over."""
    links = (("a", "b"),)
    assert _spans(Cut(links), Disturb(links, loss=0.5), Heal()) == [
        ("partition", 0, 21, ("a", "b")),
        ("loss", 10, 21, ("a", "b")),
    ]


def test_what_nothing_ended_lasts_to_the_end() -> None:
    """Recovery ended it."""
    assert _spans(FillDisk("a"), FreeDisk("b")) == [("disk full", 0, 1000, ("a",))]


def test_fault_without_length_ends_when_it_is_there() -> None:
    """A bit flip is done at once."""
    assert _spans(FlipBits("a")) == [("bit flip", 0, 1, ("a",))]


def test_wipe_starts_a_node_that_was_down() -> None:
    """It ends the kill; and a kill ends a pause."""
    assert _spans(Pause(("a",)), Kill(("a",)), Wipe("a"), Resume(("a",))) == [
        ("pause", 0, 11, ("a",)),
        ("kill", 10, 21, ("a",)),
        ("wipe", 20, 21, ("a",)),
    ]


def test_previous_version_lasts_until_the_upgrade_which_starts_the_node() -> None:
    """A node that is down is up after it, with the one version or the other."""
    assert _spans(
        Downgrade("a"), Kill(("a",)), Downgrade("a"), Kill(("a",)), Upgrade("a")
    ) == [
        ("previous version", 0, 41, ("a",)),
        ("kill", 10, 21, ("a",)),
        ("previous version", 20, 41, ("a",)),
        ("kill", 30, 41, ("a",)),
    ]


def test_clock_set_anew_ends_the_old_offset() -> None:
    """Each value of a clock is a span of its own; the right time is none."""
    assert _spans(
        SetClock("a", 5), SetClock("a", drift_ppm=9), SetClock("a"), SlowDisk("a", 0)
    ) == [("clock jump", 0, 11, ("a",)), ("clock drift", 10, 21, ("a",))]


def test_fault_that_never_came_is_no_span() -> None:
    """It is told elsewhere."""
    struck = Struck(Strike(0, Kill(("a",))), 0, 1, "not possible")

    assert fault_spans([struck], 10) == ()


def test_details_say_what_a_cut_and_a_disturbance_are() -> None:
    """Links cut both ways are drawn once."""
    cut = Cut((("a", "b"), ("b", "a"), ("a", "c")))
    slow = Disturb((("a", "b"),), delay_ms=20, loss=0.1)
    struck = [Struck(Strike(0, fault), 0, 1) for fault in (cut, slow)]

    assert fault_spans(struck, 9) == (
        FaultSpan("partition", 0, 9, ("a", "b", "c"), "cut a-b a>c"),
        FaultSpan("disturbance", 0, 9, ("a", "b"), "delay ms 20, loss 0.1 on a>b"),
    )
