"""Histories: operations, the faults they met, and their form on disk."""

from jepsen_like.history.history import FaultSpan, Header, History
from jepsen_like.history.malformed import MalformedHistoryError
from jepsen_like.history.operation import (
    FOREVER,
    Key,
    Operation,
    Outcome,
    Scalar,
    Value,
)
from jepsen_like.history.recorder import Recorder, RecorderFullError

__all__ = [
    "FOREVER",
    "FaultSpan",
    "Header",
    "History",
    "Key",
    "MalformedHistoryError",
    "Operation",
    "Outcome",
    "Recorder",
    "RecorderFullError",
    "Scalar",
    "Value",
]
