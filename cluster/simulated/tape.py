"""
Recordings of what nodes said to each other, to be played again by an attacker.

Of each directed link the last few connections are kept, each with its hello and
its last messages.
"""

from collections import deque

CONNECTIONS_KEPT = 4
MESSAGES_KEPT = 300


class Tape:
    """One connection, as one side spoke: its hello, then the last messages."""

    def __init__(self) -> None:
        self.hello = b""
        self.messages: deque[bytes] = deque(maxlen=MESSAGES_KEPT)

    def record(self, message: bytes) -> None:
        """Keep *message*; the first one is the hello."""
        if not self.hello:
            self.hello = message
        else:
            self.messages.append(message)


class Tapes:
    """The recordings of a cluster."""

    def __init__(self) -> None:
        self._tapes: dict[tuple[str, str], deque[Tape]] = {}

    def begin(self, sender: str, receiver: str) -> Tape:
        """Return the tape of a new connection."""
        tapes = self._tapes.setdefault(
            (sender, receiver), deque(maxlen=CONNECTIONS_KEPT)
        )
        tape = Tape()
        tapes.append(tape)
        return tape

    def toward(self, receiver: str) -> tuple[Tape, ...]:
        """Return the tapes of what *receiver* was told, hello included."""
        return tuple(
            tape
            for (_, to), tapes in self._tapes.items()
            if to == receiver
            for tape in tapes
            if tape.hello
        )
