"""
A class that was written for Cloudflare, as one that a node runs.

It holds an object of that class instead of being derived from it: there, a method that
is no coroutine can be called from outside, too, and here it would have to become one;
the object itself would then call the other one when it means its own.
"""

from collections.abc import Callable, Collection, Mapping
from functools import wraps
from inspect import getattr_static, isawaitable, isfunction, signature
from typing import Any, ClassVar, Final

from kvnode import fetching
from kvnode.objects.durable_object import DurableObject, Environment, ObjectContext
from kvnode.objects.fetching import no_response
from kvnode.objects.storing.alarm import Alarm
from kvnode.objects.workers import importable
from kvnode.objects.workers.bindings import Bindings
from kvnode.objects.workers.context import WorkersContext
from kvnode.objects.workers.fetching.request import Request
from kvnode.objects.workers.fetching.response import Response
from kvnode.objects.workers.js_values import Fields
from kvnode.types import Millis

HOOKS: Final = frozenset(
    {"alarm", "fetch", "webSocketClose", "webSocketError", "webSocketMessage"}
)
"""What Cloudflare calls itself, and nobody from outside with arguments of their own."""


class HostedObject(DurableObject):
    """An object of a class that was written for Cloudflare."""

    _of: ClassVar[type[importable.DurableObject]]
    _classes: ClassVar[Collection[str]]
    _variables: ClassVar[Mapping[str, Any]]

    def __init__(self, ctx: ObjectContext, env: Environment) -> None:
        super().__init__(ctx, env)
        bindings = Bindings(env, self._classes, self._variables)
        self._held: Any = self._of(WorkersContext(ctx), bindings)

    async def _answer(self, request: fetching.Request) -> fetching.Response:
        result = self._held.fetch(Request.received(request))
        response = await result if isawaitable(result) else result
        if not isinstance(response, Response):
            raise no_response(self._of, response)
        return response.taken()

    async def _run_alarm(self) -> None:
        hook = self._held.alarm
        information = () if not signature(hook).parameters else (self._alarm_info(),)
        result = hook(*information)
        if isawaitable(result):
            await result

    def _alarm_info(self) -> Fields:
        """Return what an alarm is told of the runs before it, which have failed."""
        alarm = self.storage.alarm() or Alarm(Millis(0))
        retries = alarm.counted + alarm.uncounted
        return Fields(retryCount=retries, isRetry=retries > 0)


def is_written_for_workers(found: object) -> bool:
    """Tell whether *found* is a class of objects with Cloudflare's names."""
    return isinstance(found, type) and issubclass(found, importable.DurableObject)


def hosted(
    of: type[importable.DurableObject],
    *,
    classes: Collection[str],
    variables: Mapping[str, Any],
) -> type[HostedObject]:
    """
    Return a class of objects that does what *of* does.

    Args:
        of: With Cloudflare's names.
        classes: The names of all classes that are served; may grow after this.
        variables: What `env` has beside them.
    """
    body: dict[str, Any] = {
        "__doc__": of.__doc__,
        "__module__": of.__module__,
        "_of": of,
        "_classes": classes,
        "_variables": variables,
    }
    for name in dir(of):
        method = getattr_static(of, name)
        if isfunction(method) and not name.startswith("_") and name not in HOOKS:
            body[name] = _passed_on(name, method)
    if isfunction(getattr(of, "alarm", None)):

        async def alarm(self: HostedObject) -> None:
            await self._run_alarm()

        body["alarm"] = alarm
    if isfunction(getattr(of, "fetch", None)):

        async def fetch(
            self: HostedObject, request: fetching.Request
        ) -> fetching.Response:
            return await self._answer(request)

        body["fetch"] = fetch
    return type(of.__name__, (HostedObject,), body)


def _passed_on(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a coroutine method that has the object which is held do *method*."""

    @wraps(method)
    async def call(self: HostedObject, *arguments: object, **named: object) -> Any:  # noqa: ANN401 -- what it returns
        result = getattr(self._held, name)(*arguments, **named)
        return await result if isawaitable(result) else result

    return call
