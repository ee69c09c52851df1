"""Clock alarms: told once, of the clock that is wrong, and of its end."""

from kvnode.core.membership.clock_alarms import ClockAlarms
from kvnode.core.membership.clock_offset import LIFT_AFTER
from kvnode.types import ReplicaId
from tests.core.membership.clocks import HOUR, LIMIT, World


def name_of(replica: ReplicaId) -> str:
    """Return what a replica is called here."""
    return f"node-{replica}"


class Watch:
    """Alarms of a world, all told so far."""

    def __init__(self, *peers: int, own: int = 0) -> None:
        self.world = World.of(*peers, own=own)
        self.alarms = ClockAlarms(offset_max=LIMIT, name_of=name_of)
        self.told: list[str] = []

    def look(self, seconds: int = 3) -> list[str]:
        """Let *seconds* pass, probing; return what is told meanwhile."""
        before = len(self.told)
        for _ in range(4 * seconds):
            world = self.world
            verdict = world.wait(250)
            self.told += self.alarms.changes(
                verdict, world.peers, world.offsets, world.now
            )
        return self.told[before:]


def test_right_clocks_are_no_news() -> None:
    """Nothing is told of small offsets."""
    assert Watch(50, -50).look() == []


def test_own_fault_is_told_once_and_peers_are_not_blamed() -> None:
    """All of them are an hour away."""
    watch = Watch(0, 0, own=HOUR)

    [told] = watch.look()
    assert told.startswith("client writes are refused: this node's clock is")
    assert watch.look() == []

    watch.world.own = 0
    assert watch.look(LIFT_AFTER // 1000 + 2) == [
        "this node's clock is right again: it takes client writes"
    ]


def test_wrong_peer_is_named_once_and_again_when_it_agrees() -> None:
    """This node is in step with the others."""
    watch = Watch(0, 0, -HOUR)

    [told] = watch.look()
    assert "the clock of node-3 is" in told
    assert "ms behind this node's" in told
    assert "set the other right" in told

    watch.world.peers[ReplicaId(3)] = 0
    assert watch.look() == ["the clocks of node-3 and of this node agree again"]


def test_of_two_clocks_nobody_can_tell_which_is_wrong() -> None:
    """The people at both ends hear of it."""
    [told] = Watch(HOUR).look()

    assert "ahead of this node's" in told
    assert "nobody can tell which is wrong" in told


def test_border_is_told_of_once() -> None:
    """Between the two limits neither the one nor the other."""
    watch = Watch(0, 0, LIMIT + 50)
    assert len(watch.look()) == 1

    for off in (LIMIT - 50, LIMIT + 50) * 3:
        watch.world.peers[ReplicaId(3)] = off
        assert watch.look() == []


def test_peer_that_is_gone_is_forgotten() -> None:
    """It is told of anew if it comes back as wrong."""
    watch = Watch(0, 0, HOUR)
    assert len(watch.look()) == 1
    gone = ReplicaId(3)
    del watch.world.peers[gone]
    watch.world.offsets.forget(gone, watch.world.now)
    assert watch.look() == []

    watch.world.peers[gone] = HOUR
    assert len(watch.look()) == 1
