"""
What came of a call with an idempotency key: its result, or what it raised.

    row   [until, result, type of what was raised, its message]
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, NamedTuple

from kvnode.completion import is_being_cancelled
from kvnode.errors import CorruptRecordError, ObjectRaisedError
from kvnode.object_values import decode_value, encode_value
from kvnode.types import Millis

RESULT_BYTES_MAX: Final = 1024 * 1024
MESSAGE_CHARS_MAX: Final = 4096


class KeptResult(NamedTuple):
    """
    What is kept.

    Attributes:
        until: For how long, in ms since 1970.
        result: Encoded.
        raised: The type of what was raised; empty if nothing was.
        message: What that said.
    """

    until: Millis
    result: bytes = b""
    raised: str = ""
    message: str = ""

    def again(self) -> bytes:
        """
        Return the result.

        Raises:
            ObjectRaisedError: If the call did.
        """
        if self.raised:
            raise ObjectRaisedError(self.message, type_name=self.raised)
        return self.result

    def encode(self) -> bytes:
        """Return the row; the inverse of `decode_kept`."""
        subject, bytes_max = "a result that is kept", 2 * RESULT_BYTES_MAX
        return encode_value([*self], subject, bytes_max=bytes_max)


def decode_kept(row: bytes) -> KeptResult:
    """
    Return what a row keeps.

    Raises:
        CorruptRecordError: These are no such bytes.
    """
    match decode_value(row):
        case [int(until), bytes(result), str(raised), str(message)]:
            return KeptResult(Millis(until), result, raised, message)
        case _:
            msg = f"a kept result of {len(row)} bytes is damaged"
            raise CorruptRecordError(msg)


def raised_by(error: BaseException) -> ObjectRaisedError:
    """Return what a caller is told of *error*, which an object's code has raised."""
    name = type(error).__name__
    if isinstance(error, ObjectRaisedError):  # by another object
        name = error.type_name
    try:
        message = str(error)[:MESSAGE_CHARS_MAX]
    except Exception as failure:  # noqa: BLE001 -- that is the object's code, too
        message = f"it does not say why: {type(failure).__name__}"
    sendable = message.encode(errors="replace").decode()
    return ObjectRaisedError(sendable, type_name=name)


def is_of_code(error: BaseException) -> bool:
    """Tell whether an object's code has raised *error*, and nothing ends the task."""
    if isinstance(error, asyncio.CancelledError):
        return not is_being_cancelled()
    return not isinstance(error, GeneratorExit | KeyboardInterrupt | SystemExit)


async def run_kept(
    run: Callable[[], Coroutine[Any, Any, bytes]], until: Millis
) -> KeptResult:
    """Return what comes of *run*."""
    try:
        return KeptResult(until, await run())
    except BaseException as error:
        if not is_of_code(error):
            raise
        raised = raised_by(error)
    return KeptResult(until, b"", raised.type_name, str(raised))
