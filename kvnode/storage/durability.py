"""
When a commit counts as done (rule W1).

Both modes survive the death of the process.  They differ in what a power cut or
a crash of the operating system may take.
"""

from enum import Enum


class Durability(Enum):
    """How far a commit has got when `apply` returns."""

    FSYNC = "fsync"  # on disk
    RELAXED = "relaxed"  # in the page cache; on disk with the next `sync`
