"""Whom a node dials, and whose word counts for where somebody is."""

import pytest

from kvnode.core.node import address_book
from kvnode.core.node.address_book import configured, learn, learn_members
from kvnode.core.node.events import Dial, Effect, HangUp
from kvnode.core.node.turn import Turn
from kvnode.core.versions.roster import NOBODY, Member, Roster, Standing
from kvnode.core.versions.store_view import DurableState, PeerAddress
from kvnode.storage.memory_store import MemoryStore
from kvnode.types import ReplicaId
from tests.core.node.bench import START
from tests.core.replication.entries import A, B, C

CONFIGURED = PeerAddress("b-site", "b:1")
MET = PeerAddress("b-site", "b:1", B, "east")
MEMBER = Member(B, "b-site", "b:1", "east")


@pytest.fixture
def turn() -> Turn:
    """A turn of a node that knows nobody."""
    with MemoryStore(A).snapshot() as view:
        return Turn(DurableState(A), view, START)


def heard(turn: Turn, *said: PeerAddress, first_hand: bool = False) -> list[Effect]:
    """Let the node hear of peers; return what it does about it."""
    turn.effects.clear()
    learn(said, turn, own_name="a-site", first_hand=first_hand)
    return list(turn.effects)


def joined(turn: Turn, *members: Member) -> list[Effect]:
    """Let the node hear of members; return what it does about it."""
    turn.effects.clear()
    learn_members(members, turn, own_name="a-site")
    return list(turn.effects)


def test_new_peer_is_dialed_once(turn: Turn) -> None:
    """Hearing of it again changes nothing."""
    assert heard(turn, CONFIGURED) == [Dial(CONFIGURED)]
    assert not heard(turn, CONFIGURED)


def test_peer_without_an_address_is_known_and_not_dialed(turn: Turn) -> None:
    """It dials us."""
    assert not heard(turn, PeerAddress("b-site", "", B))
    assert [peer.replica for peer in turn.peers] == [B]


def test_node_does_not_dial_itself(turn: Turn) -> None:
    """Configurations often name all nodes of a cluster."""
    assert not heard(turn, PeerAddress("a-site", "a:1"))
    assert not turn.peers


def test_who_is_configured_is_known_before_anything_is_heard() -> None:
    """A hello must tell of it; where it is, the operator knows better than a store."""
    other = PeerAddress("c-site", "c:1", C)
    itself = PeerAddress("a-site", "a:1")
    moved = CONFIGURED._replace(address="b:2")

    assert configured((), (other, CONFIGURED), NOBODY, own_name="a-site") == (
        CONFIGURED,
        other,
    )
    assert configured((MET, other), (itself, moved), NOBODY, own_name="a-site") == (
        MET._replace(address="b:2"),
        other,
    )
    assert configured((), (moved,), Roster((MEMBER,)), own_name="a-site") == (
        MET._replace(address="b:2"),
    )


def test_hearsay_completes_what_was_configured_and_no_more(turn: Turn) -> None:
    """It may be of an address that the peer had before."""
    heard(turn, CONFIGURED, first_hand=True)

    heard(turn, PeerAddress("b-site", "elsewhere:1", B, "east"))
    assert turn.peers == (MET,)
    heard(turn, PeerAddress("b-site", "elsewhere:1", C, "west"))

    assert turn.peers == (MET,)


def test_peer_itself_says_who_and_where_it_is(turn: Turn) -> None:
    """A wiped node is another replica under its old name."""
    heard(turn, MET)
    moved = PeerAddress("b-site", "b:2", C, "west")

    assert heard(turn, moved, first_hand=True) == [Dial(moved)]
    assert turn.peers == (moved,)


def test_operator_says_where_a_peer_is_and_not_who(turn: Turn) -> None:
    """An identity is not lost by naming a new address."""
    heard(turn, MET)

    heard(turn, PeerAddress("b-site", "b:2"), first_hand=True)

    assert turn.peers == (MET._replace(address="b:2"),)


def test_full_book_takes_no_newcomer(
    turn: Turn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names cost a connection each."""
    monkeypatch.setattr(address_book, "PEERS_MAX", 1)
    heard(turn, CONFIGURED)

    assert not heard(turn, PeerAddress("c-site", "c:1"))
    assert len(turn.peers) == 1


def test_new_member_is_dialed(turn: Turn) -> None:
    """A roster says where its members are."""
    assert joined(turn, MEMBER) == [Dial(MET)]
    assert not joined(turn, MEMBER)
    assert turn.roster.counts(B)


def test_removed_member_is_let_go_and_not_heard_of_again(turn: Turn) -> None:
    """M2: no third party's gossip brings it back."""
    joined(turn, MEMBER)
    removed = MEMBER._replace(standing=Standing.REMOVED)

    assert joined(turn, removed) == [HangUp(MET)]
    assert not turn.peers
    assert not heard(turn, MET)
    assert not joined(turn, MEMBER)


def test_successor_of_a_removed_member_keeps_its_name(turn: Turn) -> None:
    """A node that started over is found where it was before."""
    joined(turn, MEMBER)
    fresh = MEMBER._replace(replica=C)

    effects = joined(turn, MEMBER._replace(standing=Standing.REMOVED), fresh)

    assert effects == [HangUp(MET), Dial(PeerAddress("b-site", "b:1", C, "east"))]


def test_who_had_the_name_of_a_removed_member_by_then_is_found(turn: Turn) -> None:
    """
    Somebody had said hello in the name of the removed one since: a replay, say.

    Found by watch under mixed,wipe-removal, seed 300003582: the name was as that of a
    peer that was never met, for which nothing was forgotten any more.
    """
    fresh = MEMBER._replace(replica=C)
    joined(turn, fresh, MEMBER)
    heard(turn, MET, first_hand=True)

    effects = joined(turn, MEMBER._replace(standing=Standing.REMOVED))

    successor = PeerAddress("b-site", "b:1", C, "east")
    assert effects == [HangUp(MET), Dial(successor)]
    assert turn.peers == (successor,)


def test_peer_that_members_have_met_is_not_waited_for_as_for_a_stranger(
    turn: Turn,
) -> None:
    """Who tells of it has not met it yet, or had not when it said so."""
    fresh = MEMBER._replace(replica=C)
    joined(turn, MEMBER, MEMBER._replace(standing=Standing.REMOVED))
    turn.roster = turn.roster.join((fresh,))

    heard(turn, CONFIGURED)

    assert [peer.replica for peer in turn.peers] == [C]


@pytest.mark.parametrize("gone", [B, C])
def test_which_of_two_members_has_a_name_is_known_when_one_is_removed(
    turn: Turn, gone: ReplicaId
) -> None:
    """Before that it would be a guess, and `members remove --former` trusts it."""
    turn.roster = turn.roster.join((MEMBER, MEMBER._replace(replica=C)))
    heard(turn, CONFIGURED)
    assert turn.peers == (CONFIGURED,)

    joined(turn, MEMBER._replace(replica=gone, standing=Standing.REMOVED))

    assert [peer.replica for peer in turn.peers] == [B + C - gone]
