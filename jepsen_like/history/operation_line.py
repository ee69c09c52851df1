"""Operations as lines of our own format say them: defaults are left out."""

from typing import Final

from jepsen_like.history.fields import (
    Json,
    WrongError,
    key_of,
    only_known,
    text_of,
    value_of,
    whole_of,
)
from jepsen_like.history.operation import FOREVER, Operation, Outcome, Value

_FIELDS: Final = frozenset(Operation._fields)
_OUTCOMES: Final = {outcome.value: outcome for outcome in Outcome}


def operation_json(operation: Operation) -> dict[str, Value]:
    """Return *operation* as its line says it, defaults left out."""
    document: dict[str, Value] = {"process": operation.process, "f": operation.f}
    if operation.key is not None:
        document["key"] = operation.key
    if operation.argument is not None:
        document["argument"] = operation.argument
    if operation.result is not None:
        document["result"] = operation.result
    document["called"] = operation.called
    if operation.returned != FOREVER:
        document["returned"] = operation.returned
    document["outcome"] = operation.outcome.value
    if operation.node:
        document["node"] = operation.node
    if operation.version:
        document["version"] = operation.version
    if operation.error:
        document["error"] = operation.error
    return document


def operation_of(document: Json) -> Operation:
    """
    Return the operation that a line says.

    Raises:
        WrongError: A field is missing, unknown, or not what it should be.
    """
    if not document.keys() <= _FIELDS:
        only_known(document, _FIELDS)
    outcome = _OUTCOMES.get(text_of(document, "outcome"))
    if outcome is None:
        msg = f"`outcome` is ok, fail or info, not {document.get('outcome')!r}"
        raise WrongError(msg)
    called = whole_of(document, "called")
    if "returned" in document:
        returned = whole_of(document, "returned")
    elif outcome is Outcome.INFO:
        returned = FOREVER
    else:
        msg = f"an operation that ended `{outcome.value}` says when it `returned`"
        raise WrongError(msg)
    if returned < called:
        msg = f"returned at {returned}, before it was called at {called}"
        raise WrongError(msg)
    name = text_of(document, "f")
    if not name:
        msg = "`f` says what was asked: it is missing or empty"
        raise WrongError(msg)
    return Operation(
        whole_of(document, "process"),
        name,
        key_of(document.get("key")),
        value_of(document.get("argument")),
        value_of(document.get("result")),
        called,
        returned,
        outcome,
        text_of(document, "node"),
        text_of(document, "version"),
        text_of(document, "error"),
    )
