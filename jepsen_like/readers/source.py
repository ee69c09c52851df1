"""
Where a reader gets its bytes: a stream with a name, read piece by piece.

Nothing here holds more than one piece, or one line: a file may be larger than
memory allows its text to be.
"""

import sys
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from jepsen_like.history.malformed import MalformedHistoryError

PIECE_BYTES: Final = 1 << 18
"""Read at once: small beside memory, large beside the cost of a call."""

HEAD_BYTES: Final = 1 << 16
"""Looked at to tell formats apart; the first operation is in it."""

LINE_BYTES_MAX: Final = 64 << 20
"""A line, or a token of EDN; more than a list of a million numbers."""

STANDARD_INPUT: Final = "-"
"""The path that means it."""


class Source:
    """
    A stream to be read once, from beginning to end.

    Attributes:
        name: What errors call it.
        line: The number of the line that `lines` gave last, from 1; 0 before.
    """

    def __init__(
        self,
        stream: BinaryIO,
        name: str,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """
        Begin at the beginning of *stream*.

        Args:
            stream: Need not be seekable.
            name: What errors call it.
            progress: Is told how many bytes were read so far, now and then.
        """
        self.name = name
        self.line = 0
        self._stream = stream
        self._progress = progress
        self._head = self._filled(HEAD_BYTES).removeprefix(BOM_UTF8)
        self._read_bytes = len(self._head)

    @property
    def head(self) -> bytes:
        """The first `HEAD_BYTES`, or all there is if less."""
        return self._head

    def pieces(self) -> Iterator[bytes]:
        """Yield all bytes from the beginning; call once."""
        piece, self._head = self._head, b""
        while piece:
            yield piece
            piece = self._stream.read(PIECE_BYTES)
            self._read_bytes += len(piece)
            if self._progress:
                self._progress(self._read_bytes)

    def raw_lines(self) -> Iterator[bytes]:
        """
        Yield all lines without their newlines; call once.

        Raises:
            MalformedHistoryError: A line is longer than `LINE_BYTES_MAX`.
        """
        begun: list[bytes] = []
        begun_bytes = 0
        for piece in self.pieces():
            first, *rest = piece.split(b"\n")
            begun.append(first)
            begun_bytes += len(first)
            if rest:
                self.line += 1
                yield b"".join(begun)
                for line in rest[:-1]:
                    self.line += 1
                    yield line
                begun, begun_bytes = [rest[-1]], len(rest[-1])
            if begun_bytes > LINE_BYTES_MAX:
                msg = f"a line of more than {LINE_BYTES_MAX} bytes: not a history?"
                raise self.malformed(msg, self.line + 1)
        if begun_bytes:
            self.line += 1
            yield b"".join(begun)

    def lines(self) -> Iterator[str]:
        """
        Yield all lines as text, without blanks at their ends; call once.

        Raises:
            MalformedHistoryError: A line is too long, or is not UTF-8.
        """
        for line in self.raw_lines():
            try:
                yield line.decode().strip()
            except UnicodeDecodeError as error:
                msg = f"not UTF-8 at byte {error.start + 1} of the line"
                raise self.malformed(msg) from None

    def malformed(self, message: str, line: int | None = None) -> MalformedHistoryError:
        """Return the error that says *message* of *line*, by default the last."""
        return MalformedHistoryError(self.name, line or self.line or None, message)

    def _filled(self, size: int) -> bytes:
        pieces: list[bytes] = []
        missing = size
        while missing and (piece := self._stream.read(missing)):
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)


@contextmanager
def opened(
    path: str, progress: Callable[[int], None] | None = None
) -> Iterator[Source]:
    """
    Open the file at *path*, or standard input for "-", for as long as it is used.

    Raises:
        OSError: It cannot be opened.
    """
    if path == STANDARD_INPUT:
        yield Source(sys.stdin.buffer, "standard input", progress)
        return
    with Path(path).open("rb") as stream:
        yield Source(stream, path, progress)
