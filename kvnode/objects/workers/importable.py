"""
What `import workers` gives to a class of objects.

A file that was written for Cloudflare often holds more than objects: an entry point,
and requests that it sends elsewhere.  Those names can be imported, so that the file
loads; using them says that they are not there.
"""

from collections.abc import Callable
from typing import Any, Never, TypeVar

from kvnode.errors import InvalidArgumentError
from kvnode.objects.workers.bindings import Bindings
from kvnode.objects.workers.context import WorkersContext
from kvnode.objects.workers.fetching.request import Request
from kvnode.objects.workers.fetching.response import Response
from kvnode.objects.workers.names import not_there

Context = WorkersContext

F = TypeVar("F", bound=Callable[..., Any])

__all__ = [
    "Blob",
    "Context",
    "DurableObject",
    "File",
    "FormData",
    "Headers",
    "Request",
    "Response",
    "WorkerEntrypoint",
    "WorkflowEntrypoint",
    "fetch",
    "handler",
]


class DurableObject:
    """
    Base of all classes of objects that are written for Cloudflare.

    Attributes:
        ctx: What runs it.
        env: Other objects, and variables.
    """

    def __init__(self, ctx: WorkersContext, env: Bindings) -> None:
        self.ctx = ctx
        self.env = env


class WorkerEntrypoint:
    """What answers requests there; never used here."""


class WorkflowEntrypoint:
    """What runs workflows there; never used here."""


def handler(function: F) -> F:
    """Return *function*, which answers requests there and is never used here."""
    return function


class _Unusable:
    """Something that can be imported, and no more."""

    def __init__(self, *_: object, **__: object) -> None:
        _refuse(type(self).__name__)


class Headers(_Unusable):
    """Of a request or an answer."""


class FormData(_Unusable):
    """A form that was sent."""


class Blob(_Unusable):
    """Bytes that have a type."""


class File(_Unusable):
    """Bytes that have a name."""


async def fetch(*_: object, **__: object) -> Never:
    """Refuse to send a request."""
    _refuse("fetch")


def _refuse(name: str) -> Never:
    raise InvalidArgumentError(not_there(f"workers.{name}"))


def __getattr__(name: str) -> Never:
    """Refuse a name that is not there."""
    if name.startswith("__"):  # which the import system asks for
        raise AttributeError(name)
    raise ImportError(not_there(f"workers.{name}"))
