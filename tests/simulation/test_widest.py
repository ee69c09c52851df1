"""Which states of a shard stand for others."""

import pytest

from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.events import AskAuthority
from kvnode.types import ReplicaId
from tests.simulation.authority_states import AuthorityStates
from tests.simulation.explored_authority import Authority
from tests.simulation.shard_space import Bounds, State
from tests.simulation.widest import Widest

HELD = Configuration(1, ReplicaId(1), (ReplicaId(1),))
QUIET = Authority((HELD,))

AUTHORITIES = AuthorityStates()
FEW = State((0,), (0b01,), AUTHORITIES.number(QUIET), 0, (), None, Bounds(takeovers=1))
ASKED = AUTHORITIES.number(QUIET.asked(0, (AskAuthority(),)))
MOVED = AUTHORITIES.number(Authority((HELD, HELD.taken_over_by(HELD.leader))))


@pytest.mark.parametrize(
    "more",
    [
        FEW,
        FEW._replace(inbound=(0b11,)),
        FEW._replace(authority=ASKED),
        FEW._replace(left=Bounds(takeovers=2)),
        FEW._replace(left=Bounds(takeovers=1, crashes=1)),
    ],
    ids=["the same", "a message", "a question", "a takeover", "a crash"],
)
def test_state_in_which_more_may_happen_stands_for_the_other(more: State) -> None:
    """In whichever order they come."""
    before, after = Widest(AUTHORITIES), Widest(AUTHORITIES)

    assert before.add(more)
    assert not before.add(FEW)
    assert after.add(FEW)
    assert after.add(more) is (more != FEW)
    assert more in after
    assert (FEW in after) is (more == FEW)


@pytest.mark.parametrize(
    "other",
    [
        FEW._replace(inbound=(0b10,)),
        FEW._replace(minds=(1,)),
        FEW._replace(authority=MOVED),
        FEW._replace(inbound=(0b11,), left=Bounds()),
        FEW._replace(told=1),
        FEW._replace(floors=(0,)),
        FEW._replace(crashing=(0, 0)),
        FEW._replace(left=Bounds(takeovers=1, proposals=1)),
        FEW._replace(left=Bounds(takeovers=1, reads=1)),
    ],
    ids=str,
)
def test_state_that_differs_otherwise_stands_for_none(other: State) -> None:
    """Or lacks something that may happen in the other."""
    widest = Widest(AUTHORITIES)

    assert widest.add(FEW)
    assert widest.add(other)
    assert FEW in widest
    assert other in widest
