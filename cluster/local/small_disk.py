"""
A disk that is full at a word: a file system in memory, mounted for one node.

Filling shrinks the file system to what it holds, so that it takes no memory to
be full.  It takes root to mount one.
"""

import os
import subprocess
from pathlib import Path

PAGE_BYTES = 4096

SHRINK_ATTEMPTS_MAX = 20
"""A node that writes meanwhile is in the way; each attempt looks anew."""


class MountError(Exception):
    """The file system cannot be mounted, or not changed; says why."""


class SmallDisk:
    """A tmpfs at *place*; `unmount` must be called, whatever happens."""

    def __init__(self, place: Path, size_bytes: int) -> None:
        """Describe a disk of *size_bytes*, a multiple of a page, at *place*."""
        self.place = place
        self._size_bytes = size_bytes
        self._mounted = False

    def mount(self) -> None:
        """
        Make the file system, empty.

        Raises:
            MountError: It takes root, or this machine does not let root either.
        """
        if os.geteuid() != 0:
            msg = f"only root may mount a file system at {self.place}"
            raise MountError(msg)
        self.place.mkdir(parents=True, exist_ok=True)
        size = f"size={self._size_bytes}"
        _run("mount", "-t", "tmpfs", "-o", size, "tmpfs", str(self.place))
        self._mounted = True

    def fill(self) -> None:
        """
        Leave no room for more than a page.

        Raises:
            MountError: It was used faster than it could be shrunk.
        """
        for attempt in range(SHRINK_ATTEMPTS_MAX):
            state = os.statvfs(self.place)
            used = (state.f_blocks - state.f_bfree) * state.f_frsize
            try:
                self._resize(used + attempt * PAGE_BYTES)
            except MountError:
                if attempt == SHRINK_ATTEMPTS_MAX - 1:
                    raise
            else:
                return

    def free(self) -> None:
        """Give it the room back that it was made with."""
        self._resize(self._size_bytes)

    def unmount(self) -> None:
        """Remove the file system and all that is on it, if it is there."""
        if self._mounted:
            _run("umount", "--lazy", str(self.place))
            self._mounted = False

    def _resize(self, size_bytes: int) -> None:
        _run("mount", "-o", f"remount,size={size_bytes}", str(self.place))


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 -- our own words
    if done.returncode != 0:
        msg = f"{' '.join(command)}: {done.stderr.strip()}"
        raise MountError(msg)
