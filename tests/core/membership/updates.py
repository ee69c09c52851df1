"""Members, and claims about them, for tests of failure detection."""

from hypothesis import strategies as st

from kvnode.core.membership.messages import NOBODY, Health, Update
from kvnode.types import ReplicaId

OWN, A, B, C, D, E = (ReplicaId(number) for number in range(1, 7))
OTHERS = (A, B, C, D, E)
STRANGER = ReplicaId(99)

healths = st.sampled_from(Health)


@st.composite
def updates(
    draw: st.DrawFn, replicas: tuple[ReplicaId, ...] = OTHERS, incarnation_max: int = 3
) -> Update:
    """Claims about *replicas*, suspicions with an accuser."""
    health = draw(healths)
    accuser = draw(st.sampled_from((OWN, *OTHERS)))
    return Update(
        draw(st.sampled_from(replicas)),
        draw(st.integers(0, incarnation_max)),
        health,
        accuser if health is Health.SUSPECT else NOBODY,
    )


def alive(replica: ReplicaId, incarnation: int) -> Update:
    """Return the claim that *replica* is alive."""
    return Update(replica, incarnation, Health.ALIVE)


def suspect(replica: ReplicaId, incarnation: int, accuser: ReplicaId) -> Update:
    """Return the claim of *accuser* that *replica* does not answer."""
    return Update(replica, incarnation, Health.SUSPECT, accuser)


def dead(replica: ReplicaId, incarnation: int) -> Update:
    """Return the claim that *replica* is dead."""
    return Update(replica, incarnation, Health.DEAD)
