"""What of a call can be refused before anything runs."""

from collections.abc import Callable, Coroutine, Mapping
from functools import lru_cache
from inspect import Signature, signature
from typing import Any, Final

from kvnode.errors import InvalidArgumentError
from kvnode.object_values import Value

IDEMPOTENCY_KEY_BYTES_MAX: Final = 256

Method = Callable[..., Coroutine[Any, Any, Any]]


def checked_method(
    class_name: str,
    methods: Mapping[str, Method],
    method: str,
    count: int,
    named: Mapping[str, Value],
) -> Method:
    """
    Return the function of *method*, which takes *count* arguments and those *named*.

    Raises:
        InvalidArgumentError: There is none, or it does not.
    """
    function = methods.get(method)
    if function is None:
        known = ", ".join(sorted(methods)) or "none"
        msg = f"class {class_name} has no method {method!r} to call; it has {known}"
        raise InvalidArgumentError(msg)
    misfit = _misfit(function, count, named)
    if misfit:
        msg = f"{class_name}.{method} cannot be called so: {misfit}"
        raise InvalidArgumentError(msg)
    return function


def checked_key(idempotency_key: str) -> bytes:
    """
    Return *idempotency_key* as it is stored; empty for none.

    Raises:
        InvalidArgumentError: It is too long.
    """
    key = idempotency_key.encode()
    if len(key) > IDEMPOTENCY_KEY_BYTES_MAX:
        msg = (
            f"an idempotency key has {len(key)} bytes; it takes at most"
            f" {IDEMPOTENCY_KEY_BYTES_MAX}"
        )
        raise InvalidArgumentError(msg)
    return key


def _misfit(
    function: Callable[..., Any], count: int, named: Mapping[str, Value]
) -> str:
    """Return why a method does not take such arguments; empty if it does."""
    # Names are anybody's, so many of them are not kept.
    return (
        _misfit_by_place(function, count)
        if not named
        else _tried(function, count, named)
    )


@lru_cache(maxsize=1000)
def _misfit_by_place(function: Callable[..., Any], count: int) -> str:
    """Return the same for arguments without names; to try takes as long as a call."""
    return _tried(function, count, {})


def _tried(function: Callable[..., Any], count: int, named: Mapping[str, Value]) -> str:
    try:
        _signature(function).bind(None, *range(count), **named)
    except TypeError as error:
        return str(error)
    return ""


@lru_cache(maxsize=1000)
def _signature(function: Callable[..., Any]) -> Signature:
    """Return what *function* takes; to find out takes longer than a call."""
    return signature(function)
