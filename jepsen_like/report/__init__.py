"""A run as one page: verdicts, timeline, faults, latency and staleness."""

from jepsen_like.report.page import Subject, write

__all__ = ["Subject", "write"]
