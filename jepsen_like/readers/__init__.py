"""Histories that others have written, each format in its file."""

from jepsen_like.readers.detection import Format, Initial, detect, read
from jepsen_like.readers.source import Source

__all__ = ["Format", "Initial", "Source", "detect", "read"]
