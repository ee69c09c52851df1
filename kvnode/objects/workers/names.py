"""
How Cloudflare's names, options and promises look in Python.

A call of JavaScript's storage begins at once and returns a promise; whoever does not
await it has called it all the same.  Our storage answers on the spot, so the call is
over when it returns, and what it returns can be awaited.  Options are the last argument
of a call: an object there, a dict or arguments by name here.
"""

from collections.abc import Coroutine, Generator, Mapping
from typing import Any, ClassVar, Final, Generic, Never, TypeVar

from kvnode.errors import InvalidArgumentError

T = TypeVar("T")

GUIDE: Final = "docs/workers.md"

WITHOUT_EFFECT: Final = ("allowConcurrency", "allowUnconfirmed", "noCache")
"""Options that are taken and change nothing: storage awaits nothing, and keeps nothing
that it would be spared; and nothing unconfirmed ever leaves."""


def not_there(name: str) -> str:
    """Return what to say of something that only Cloudflare has."""
    return f"{name} is not there; see {GUIDE}"


class Facade:
    """Something under Cloudflare's names; says clearly which of them it lacks."""

    _called: ClassVar[str]
    """What code calls it, such as `ctx.storage`."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- any name of Cloudflare's
        """Refuse a name that is not there."""
        self._refuse(name)

    def _refuse(self, name: str) -> Never:
        raise AttributeError(not_there(f"{self._called}.{name}"), name=name, obj=self)


class Answer(Generic[T]):
    """What was done already; awaiting it gives what came of it, at once."""

    def __init__(self, value: T) -> None:
        self._value = value

    def __await__(self) -> Generator[Any, None, T]:
        return self._value
        yield  # which makes it a generator


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """Run *work*, which awaits nothing, to its end; return what comes of it."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    work.close()
    msg = f"{work} awaits something"
    raise AssertionError(msg)


def options(
    call: str,
    given: Mapping[str, Any] | None,
    named: Mapping[str, Any],
    *,
    known: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """
    Return the options of a call under our names; those of no value count as not given.

    Args:
        call: What is called, for the error.
        given: As the last argument, if they are.
        named: By name.
        known: Our names, by Cloudflare's.

    Raises:
        InvalidArgumentError: There is another one.
    """
    ours = known or {}
    merged = {**(given or {}), **named}
    for name in merged:
        if name not in ours and name not in WITHOUT_EFFECT:
            raise InvalidArgumentError(not_there(f"the option {name!r} of {call}"))
    return {
        ours[name]: value
        for name, value in merged.items()
        if name in ours and value is not None
    }
