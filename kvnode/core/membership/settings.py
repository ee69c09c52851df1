"""What may be set about failure detection; all members must set it alike."""

from dataclasses import dataclass

from kvnode.types import Millis

PROBE_INTERVAL = Millis(1000)  # both papers' protocol period
PROBE_TIMEOUT = Millis(500)  # the longest round trips on Earth, and half again
STALL_AFTER = Millis(250)  # five ticks

INDIRECT_COUNT_MAX = 16
"""Helpers asked at once: that many would be a storm in a bad moment already."""


@dataclass(frozen=True, slots=True)
class SwimSettings:
    """
    Spans and multipliers of failure detection.

    Attributes:
        probe_interval: From one probe to the next, in ms.
        probe_timeout: Until helpers are asked; more than the longest round trip
            between members, less than *probe_interval*, in ms.
        indirect_count: Helpers asked for each probe, SWIM's k.
        suspicion_multiplier: Lifeguard's alpha: the shortest suspicion in probe
            intervals, times log10 of the number of members.
        suspicion_max_multiplier: Lifeguard's beta: the longest, in shortest ones.
        retransmit_multiplier: SWIM's lambda: how often a rumor is sent.
        stall_after: Steps further apart than this, in ms, mean that the process
            did not run or its clock jumped; several times the span between ticks.
        lifeguard: False gives the SWIM of 2002, to compare with.

    Raises:
        ValueError: A value is out of range.
    """

    probe_interval: Millis = PROBE_INTERVAL
    probe_timeout: Millis = PROBE_TIMEOUT
    indirect_count: int = 3
    suspicion_multiplier: int = 4
    suspicion_max_multiplier: int = 6
    retransmit_multiplier: int = 4
    stall_after: Millis = STALL_AFTER
    lifeguard: bool = True

    def __post_init__(self) -> None:
        """Refuse what the machine cannot work with."""
        if not 0 < self.probe_timeout < self.probe_interval:
            msg = (
                "need 0 < probe_timeout < probe_interval:"
                f" {self.probe_timeout}, {self.probe_interval}"
            )
            raise ValueError(msg)
        if not 0 <= self.indirect_count <= INDIRECT_COUNT_MAX:
            msg = f"indirect_count is {self.indirect_count}: 0 to {INDIRECT_COUNT_MAX}"
            raise ValueError(msg)
        least = min(
            self.suspicion_multiplier,
            self.suspicion_max_multiplier,
            self.retransmit_multiplier,
            self.stall_after,
        )
        if least < 1:
            msg = f"multipliers and stall_after must be >= 1: {self}"
            raise ValueError(msg)
