"""How well a network carries what one node sends to another."""

from dataclasses import dataclass
from enum import Enum

DELAY_MILLIS_MAX = 60_000
"""A minute: longer than any deadline, so longer acts as a cut."""


class Passage(Enum):
    """Whether anything passes at all."""

    OPEN = "open"
    HELD = "held"  # a silent cut: connections stay open, nothing comes through
    RESET = "reset"  # connections are torn, and new ones too


@dataclass(frozen=True, slots=True)
class Conditions:
    """
    One direction of the way between two nodes.

    Attributes:
        passage: Whether anything passes.
        delay_ms: Flight time of each byte, 0 to a minute.
        jitter_ms: At most so much more, drawn for each piece; order is kept.
        loss: Chance of each packet to be lost, 0 to 1.  TCP sends it again, so
            what shows is a stall; see `cluster.fault_proxy.road`.
        bytes_per_second: Bandwidth, shared by all connections; 0 = no limit.

    Raises:
        ValueError: A number is out of range.
    """

    passage: Passage = Passage.OPEN
    delay_ms: int = 0
    jitter_ms: int = 0
    loss: float = 0.0
    bytes_per_second: int = 0

    def __post_init__(self) -> None:
        for name, value in (("delay_ms", self.delay_ms), ("jitter_ms", self.jitter_ms)):
            if not 0 <= value <= DELAY_MILLIS_MAX:
                msg = f"{name} is {value}: it must be 0 to {DELAY_MILLIS_MAX}"
                raise ValueError(msg)
        if not 0 <= self.loss <= 1:
            msg = f"loss is {self.loss}: a chance is 0 to 1"
            raise ValueError(msg)
        if self.bytes_per_second < 0:
            msg = f"bytes_per_second is {self.bytes_per_second}: it must be 0 or more"
            raise ValueError(msg)

    @property
    def latest_ms(self) -> int:
        """The longest flight that is no loss."""
        return self.delay_ms + self.jitter_ms


PERFECT = Conditions()
"""Everything passes, at once."""
