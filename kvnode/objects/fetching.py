"""
The `fetch` hook: objects that answer HTTP requests.

    class Page(DurableObject):
        async def fetch(self, request: Request) -> Response:
            return Response.of_text(f"{request.method} {request.url}")

A fetch is a call of the method `fetch` with one argument, so it passes the same gates,
is sent on like others, and happens once under an idempotency key.  Only here, next to
the object's code, do its argument and its result become what they stand for.
"""

from collections.abc import Awaitable, Callable, Coroutine
from functools import lru_cache
from typing import Any

from kvnode.errors import InvalidArgumentError
from kvnode.fetching import FETCH, Request, Response
from kvnode.object_values import Value

HOOKS_MAX = 1000  # that are remembered; as many as a node may have classes

Hook = Callable[[Any, Request], Awaitable[Response]]


@lru_cache(maxsize=HOOKS_MAX)
def as_method(hook: Hook) -> Callable[[Any, Value], Coroutine[Any, Any, Value]]:
    """Return the method that answers calls of `fetch` by *hook*."""

    async def fetch(self: Any, request: Value) -> Value:  # noqa: ANN401 -- of any class
        response = await hook(self, Request.from_value(request))
        if not isinstance(response, Response):
            raise no_response(type(self), response)
        return response.as_value()

    return fetch


def no_response(of: type, found: object) -> InvalidArgumentError:
    """Return the error for a `fetch` of class *of* that has returned *found*."""
    return InvalidArgumentError(
        f"fetch of {of.__name__} must return a Response, not {type(found).__name__}"
    )


__all__ = ["FETCH", "Request", "Response", "as_method", "no_response"]
