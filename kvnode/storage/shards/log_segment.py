"""
One file of a log: frames, one behind the other, then zeros.

Its room is taken when it is made.  So a disk that is full is noticed then, when nothing
depends on it, and a write that is to be durable changes no size and no place of the
file: one barrier is enough for it.
"""

import os
import re
from pathlib import Path
from typing import Final, Self

from kvnode.durable_file import sync_directory
from kvnode.errors import StoreFullError
from kvnode.storage.disk.room import NO_ROOM

SEGMENT_BYTES: Final = 8 * 1024 * 1024
"""Some thousand turns; a new one costs about as much as ten of them."""

_NAME: Final = re.compile(r"log-(\d{10})")


class LogSegment:
    """
    One segment that is written.

    Attributes:
        number: Later ones have greater numbers; from 1.
        end: Where the next frame goes.
        size: How large it is, zeros included.
    """

    def __init__(self, path: Path, number: int, file: int, end: int) -> None:
        """Take over an open file; callers use `make` or `open`."""
        self.number = number
        self.end = end
        self.size = os.fstat(file).st_size
        self._path = path
        self._file = file

    @classmethod
    def make(cls, directory: Path, number: int, room_bytes: int) -> Self:
        """
        Make a segment with room for *room_bytes*, durably; blocks.

        Raises:
            StoreFullError: There is no room for it; there is no such segment.
            OSError: It cannot be made.
        """
        path = segment_path(directory, number)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        file = os.open(path, flags, 0o600)
        try:
            _allocate(file, max(SEGMENT_BYTES, room_bytes))
            os.fsync(file)
            sync_directory(directory)
        except OSError as error:
            os.close(file)
            path.unlink()
            if error.errno in NO_ROOM:
                raise _full(directory, error) from error
            raise
        return cls(path, number, file, 0)

    @classmethod
    def open(cls, directory: Path, number: int, end: int, *, is_torn: bool) -> Self:
        """
        Open a segment that is written on; blocks.

        Args:
            directory: Where it is.
            number: Its number.
            end: Of its last frame.
            is_torn: Something follows there that is not to be kept.

        Raises:
            OSError: It cannot be opened, or written.
        """
        path = segment_path(directory, number)
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            segment = cls(path, number, file, end)
            if is_torn:
                os.pwrite(file, bytes(segment.size - end), end)
                os.fsync(file)
        except BaseException:
            os.close(file)
            raise
        return segment

    def has_room(self, frame_bytes: int) -> bool:
        """Tell whether a frame fits behind the others."""
        return self.end + frame_bytes <= self.size

    def write(self, frame: bytes) -> None:
        """
        Append *frame*, durably; blocks.

        Raises:
            StoreFullError: There is no room after all; nothing has happened.
            OSError: Nobody knows what has happened.
        """
        assert self.has_room(len(frame)), "a larger segment is made for it"
        written = 0
        while written < len(frame):
            try:
                place = self.end + written
                written += os.pwrite(self._file, frame[written:], place)
            except OSError as error:
                if error.errno in NO_ROOM:  # where files are copied when written
                    raise _full(self._path.parent, error) from error
                raise
        _sync_data(self._file)
        self.end += len(frame)

    def close(self) -> None:
        """Release the file."""
        os.close(self._file)

    def abandon(self) -> None:
        """Remove the file: nothing depends on it."""
        os.close(self._file)
        self._path.unlink()


def segment_path(directory: Path, number: int) -> Path:
    """Return where a segment is."""
    return directory / f"log-{number:010}"


def segments_in(directory: Path) -> list[int]:
    """Return the numbers of the segments that are there, ascending."""
    names = (_NAME.fullmatch(path.name) for path in directory.iterdir())
    return sorted(int(name[1]) for name in names if name is not None)


def _allocate(file: int, size: int) -> None:
    """Take *size* bytes of the disk for *file*."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:
        os.truncate(file, size)


def _sync_data(file: int) -> None:
    """Bring what was written to the disk."""
    if hasattr(os, "fdatasync"):
        os.fdatasync(file)
    else:
        os.fsync(file)


def _full(directory: Path, error: OSError) -> StoreFullError:
    msg = (
        f"no room in {directory} for the logs of shards ({error.strerror}), nothing was"
        " written: free some disk space"
    )
    return StoreFullError(msg)
