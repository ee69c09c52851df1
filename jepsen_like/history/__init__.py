"""Histories: operations, the faults they met, and their form on disk."""

from jepsen_like.history.history import FaultSpan, Header, History
from jepsen_like.history.operation import (
    FOREVER,
    Key,
    Operation,
    Outcome,
    Scalar,
    Value,
)

__all__ = [
    "FOREVER",
    "FaultSpan",
    "Header",
    "History",
    "Key",
    "Operation",
    "Outcome",
    "Scalar",
    "Value",
]
