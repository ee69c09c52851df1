"""
Results and errors in JSON.

    {"result": VALUE}
    {"error": {"name", "message", "retryable", "overloaded", "maybe_happened",
               "remote"}}

`remote` says that an object's own code has raised; `name` is the type of that then.
The name is in the header `kvnode-error` as well, which nothing that an object answers
by itself can have: so who fetches knows whose answer it is.

The status is for what looks at nothing else, such as a proxy.
"""

from typing import Final

from kvnode.api.status_map import to_message
from kvnode.errors import (
    DamagedRecordError,
    DeadlineError,
    InvalidArgumentError,
    KvError,
    ObjectRaisedError,
    RejectedError,
    RequestRefusedError,
    StoreFullError,
    UnavailableError,
)
from kvnode.fetching import Response
from kvnode.object_json import Json, json_text, near_json
from kvnode.object_values import Value

ERROR_HEADER: Final = "kvnode-error"
RETRY_SECONDS: Final = "1"  # a shard that nobody leads has a leader within three

_JSON: Final = ("content-type", "application/json")
_STATUSES: Final[tuple[tuple[type[KvError], int], ...]] = (
    (InvalidArgumentError, 400),
    (RejectedError, 400),
    (StoreFullError, 507),
    (UnavailableError, 503),
    (DamagedRecordError, 503),
    (DeadlineError, 504),
    (KvError, 500),
)


def document(value: Json, status: int = 200) -> Response:
    """Return an answer that is *value*."""
    return Response(status, (_JSON,), _line(value))


def result(value: Value) -> Response:
    """Return the answer of what went well."""
    return document({"result": near_json(value)})


def failure(error: KvError) -> Response:
    """Return the answer of what did not."""
    message = to_message(error)
    name = message.type_name or type(error).__name__
    body: Json = {
        "error": {
            "name": name,
            "message": str(error),
            "retryable": message.retryable,
            "overloaded": message.overloaded,
            "maybe_happened": message.may_have_happened,
            "remote": isinstance(error, ObjectRaisedError),
        }
    }
    is_word = name.isascii() and name.isidentifier()
    headers = [_JSON, (ERROR_HEADER, name if is_word else "Error")]
    if isinstance(error, RequestRefusedError):
        status = error.status
        if error.allowed:
            headers.append(("allow", ", ".join(error.allowed)))
    else:
        status = next(code for kind, code in _STATUSES if isinstance(error, kind))
    if message.retryable:
        headers.append(("retry-after", RETRY_SECONDS))
    return Response(status, tuple(headers), _line(body))


def _line(value: Json) -> bytes:
    """Return JSON with an end of line, for terminals."""
    return f"{json_text(value)}\n".encode()
