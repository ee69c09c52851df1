"""
Files under their right name, whole, whenever the power fails.

A file is written beside its place, brought to the disk, and renamed: who looks finds
what was there before, or all that is there now.  The name itself is durable only once
the directory is.

References:
    Pillai et al., 2014.  All file systems are not created equal: on the complexity of
        crafting crash-consistent applications.
"""

import os
from pathlib import Path


def publish(partial: Path, file: Path) -> None:
    """
    Give *partial*, made durable, the name *file* in one step; blocks.

    Raises:
        OSError: It failed; *file* is what it was before, or what *partial* was.
    """
    with partial.open("rb") as source:
        os.fsync(source.fileno())
    partial.replace(file)
    sync_directory(file.parent)


def sync_directory(directory: Path) -> None:
    """Make new file names in *directory* durable; blocks."""
    file = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
