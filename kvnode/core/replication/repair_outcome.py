"""What one repair has found and mended, in figures."""

from dataclasses import dataclass, field

from kvnode.types import EntryKey

KEYS_COUNTED_MAX = 10_000
"""Remembered to count each once: 2 MB.  From there on the count is a lower bound."""


@dataclass(slots=True)
class RepairOutcome:
    """
    Figures of one session, as one side knows them.

    Attributes:
        peer: Name of the other side.
        sent: Entries sent, since the peer lacked them or held others.
        received: Entries that came.
        changed_here: Entries stored here.
        changed_there: Entries stored by the peer.
        refused_here: Entries that were not this node's to take (rule D9).
        refused_there: The same at the peer.
        damaged: Records here that cannot be read, and are pulled again.
        messages: Both ways.
        size_bytes: Of these, both ways; large values that are pulled not counted.
        seconds: How long it took.
    """

    peer: str
    sent: int = 0
    received: int = 0
    changed_here: int = 0
    changed_there: int = 0
    refused_here: int = 0
    refused_there: int = 0
    damaged: int = 0
    messages: int = 0
    size_bytes: int = 0
    seconds: float = 0.0
    _keys: set[EntryKey] = field(default_factory=set)

    def note_key(self, key: EntryKey) -> None:
        """Note that the two sides differ in *key*."""
        if len(self._keys) < KEYS_COUNTED_MAX:
            self._keys.add(key)

    def note_message(self, size_bytes: int) -> None:
        """Count a message of either side."""
        self.messages += 1
        self.size_bytes += size_bytes

    @property
    def differing_keys(self) -> int:
        """Return in how many keys the sides differ; above KEYS_COUNTED_MAX at least."""
        return max(len(self._keys), self.sent, self.received)

    def told(self) -> str:
        """Return the outcome as a sentence for the log."""
        refused = self.refused_here + self.refused_there
        left = f", {refused} entries are left for the next one" if refused else ""
        damaged = f", {self.damaged} damaged records are pulled" if self.damaged else ""
        return (
            f"repair with {self.peer}: {self.differing_keys} keys differed,"
            f" {self.changed_here} mended here and {self.changed_there} there{left}"
            f"{damaged}; {self.messages} messages of {self.size_bytes} bytes in"
            f" {self.seconds:.1f} s"
        )
