"""A probe round at its prober, and pings made for others at a helper."""

from kvnode.core.membership.probe import RELAYS_MAX, ProbeRound, Relay, Relays
from kvnode.types import Millis
from tests.core.membership.updates import OWN, A, B, C, D


def started() -> ProbeRound:
    """Return a round for A, from 0 to 1000 ms, with helpers from 500 ms."""
    return ProbeRound(A, 7, Millis(0), Millis(0), Millis(500), Millis(1000))


def test_helpers_are_asked_once_and_only_after_the_timeout() -> None:
    """SWIM section 3.1."""
    probe = started()

    assert not probe.needs_helpers(Millis(499))
    assert probe.needs_helpers(Millis(500))
    probe.ask((B, C))
    assert not probe.needs_helpers(Millis(600))


def test_answered_round_asks_nobody() -> None:
    """There is nothing left to find out."""
    probe = started()
    probe.answer()

    assert not probe.needs_helpers(Millis(600))
    assert probe.answered


def test_ack_speaks_for_the_target_from_itself_or_a_helper_only() -> None:
    """An ack of an earlier round must not hide a fresh failure."""
    probe = started()
    probe.ask((B,))

    assert probe.acks(A, 7)
    assert probe.acks(B, 7)
    assert not probe.acks(A, 6)
    assert not probe.acks(C, 7)


def test_helpers_that_nacked_are_no_reason_to_doubt_oneself() -> None:
    """Lifeguard: a missed nack is; a foreign, late or repeated one is none."""
    probe = started()
    probe.ask((B, C, D))
    assert probe.doubts == 3

    for sender, number in ((B, 7), (B, 7), (OWN, 7), (C, 6)):
        probe.nack(sender, number)
    assert probe.doubts == 2

    probe.nack(C, 7)
    probe.nack(D, 7)
    assert probe.doubts == 0


def test_round_that_could_ask_nobody_is_a_reason_to_doubt_oneself() -> None:
    """Nobody has confirmed that this node hears anything."""
    probe = started()
    probe.ask(())

    assert probe.doubts == 1


def test_relayed_ack_is_forwarded_once_and_only_from_the_target() -> None:
    """The helper knows the prober's number by its own."""
    relays = Relays()
    relay = Relay(requester=A, number=7, target=B, nack_at=Millis(400))
    relays.add(1, relay)

    assert relays.answered(1, C) is None
    assert relays.answered(2, B) is None
    assert relays.answered(1, B) == relay
    assert relays.answered(1, B) is None


def test_nack_is_sent_once_and_the_ack_forwarded_even_after_it() -> None:
    """A slow answer is an answer."""
    relays = Relays()
    first, second = (Relay(A, n, B, Millis(400 + n)) for n in (1, 2))
    relays.add(11, first)
    relays.add(12, second)

    assert relays.overdue(Millis(400)) == []
    assert relays.overdue(Millis(401)) == [first]
    assert relays.overdue(Millis(900)) == [second]
    assert relays.overdue(Millis(900)) == []
    assert relays.answered(11, B) == first


def test_oldest_relay_is_given_up_when_there_are_too_many() -> None:
    """A storm of requests takes bounded memory, before the nack and after."""
    relays = Relays()
    for number in range(RELAYS_MAX + 1):
        relays.add(number, Relay(A, number, B, Millis(number)))
    assert len(relays.overdue(Millis(10**6))) == RELAYS_MAX
    for number in range(1000, 1001 + RELAYS_MAX):
        relays.add(number, Relay(A, number, B, Millis(10**6)))
    relays.overdue(Millis(10**6))

    assert relays.answered(0, B) is None
    assert relays.answered(1, B) is None
    assert relays.answered(1000 + RELAYS_MAX, B) is not None


def test_relays_of_removed_members_are_forgotten() -> None:
    """Whoever asked, or was asked about (M2)."""
    relays = Relays()
    for number, (requester, target) in enumerate(((A, B), (B, C), (C, D))):
        relays.add(number, Relay(requester, number, target, Millis(0)))
    relays.keep_of(frozenset({B, C, D}))

    assert relays.answered(0, B) is None
    assert relays.answered(1, C) is not None
    assert relays.answered(2, D) is not None
