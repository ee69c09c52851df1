"""
One process to a data directory.

LMDB itself would let two processes in, and two nodes would then live under one
identity (mistake: losing writes silently).  The lock is the kernel's: it ends
with the process, however that ends, and is never stale.
"""

import fcntl
import os
from pathlib import Path

from kvnode.errors import UnavailableError

LOCK_NAME = "lock"


class DirectoryLock:
    """
    An exclusive lock on a directory, held until `release`.

    Raises:
        UnavailableError: Another process, or this one, holds it already.
        OSError: The lock file cannot be created.
    """

    def __init__(self, directory: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._file = os.open(directory / LOCK_NAME, flags, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._file, 20, 0).decode("ascii", "replace").strip()
            os.close(self._file)
            msg = (
                f"data directory {directory} is in use by process"
                f" {holder or 'unknown'}: stop that process, or choose another"
                " directory"
            )
            raise UnavailableError(msg) from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let others in; the file stays, since removing it would race."""
        os.close(self._file)
