"""How patient the replicas of a shard are; but for leases the same at all of them."""

from dataclasses import dataclass
from typing import Final

from kvnode.types import Millis

HEARTBEAT: Final = Millis(100)
PATIENCE: Final = Millis(1000)
PATIENCE_SPREAD: Final = Millis(500)
LEASE: Final = Millis(600)
"""With these a leader that dies is missed for 1.0 to 1.5 s, and no lease is left."""

MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class ShardSettings:
    """
    Times in ms of each replica's steady clock.

    Attributes:
        heartbeat: A leader that has nothing to send is heard this often.
        patience: After so long without a leader a replica takes over ...
        patience_spread: ... or up to so much later: drawn, so that one is first.
        lease: For how long replicas promise not to be sealed; 0 = reads are always
            confirmed by a round of messages.  Whoever leads says so with each round.
        lease_max: The longest that another replica may ask for: who starts has
            forgotten what it has promised, and is not sealed for so long.  Below
            `patience`, or it delays those who take over.
        clock_error_ppm: By how much two steady clocks may differ in their rates.
        entries_max: In one message: other messages pass between two of them.
    """

    heartbeat: Millis = HEARTBEAT
    patience: Millis = PATIENCE
    patience_spread: Millis = PATIENCE_SPREAD
    lease: Millis = LEASE
    lease_max: Millis = LEASE
    clock_error_ppm: int = 10_000
    entries_max: int = 512

    def __post_init__(self) -> None:
        assert 0 < 2 * self.heartbeat < self.patience, "one may be lost"
        assert 0 <= self.lease <= self.lease_max, "others know of the longest"
        assert self.lease_max < self.patience, "a lease ends before patience does"
        assert self.entries_max > 0, "a message takes one at least"
        assert 0 <= self.clock_error_ppm < MILLION, "clocks go on"

    @property
    def lease_held(self) -> Millis:
        """
        Return for how long a leader relies on a lease from when it asked for it.

        A millisecond less than the rates of clocks alone would allow: they show whole
        ones, and a replica's promise may begin up to one later than it counts from.
        """
        promised = max(0, self.lease - 1)
        return Millis(promised * (MILLION - self.clock_error_ppm) // MILLION)


SETTINGS_DEFAULT: Final = ShardSettings()
