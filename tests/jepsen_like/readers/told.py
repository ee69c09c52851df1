"""Histories as text, for tests of what reads them."""

from io import BytesIO

from jepsen_like.history import Operation, Value
from jepsen_like.readers import Source


def source(text: str | bytes, name: str = "h") -> Source:
    """A source of *text*."""
    return Source(BytesIO(text.encode() if isinstance(text, str) else text), name)


def brief(operation: Operation) -> tuple[int, str, Value, Value, str]:
    """What most tests compare: who, what, with what, what came back, how it ended."""
    return (
        operation.process,
        operation.f,
        operation.argument,
        operation.result,
        operation.outcome.value,
    )
