"""
`env` under Cloudflare's names: other objects, and variables.

There, a configuration says which class a binding means.  Here it is the class whose
name is the same but for case and underscores: `env.COUNTER` is the class `Counter`, and
`env.SHOPPING_CART` is `ShoppingCart`.
"""

from collections.abc import Collection, Mapping
from secrets import token_bytes
from typing import Any, ClassVar, Final

from kvnode import fetching
from kvnode.errors import InvalidArgumentError
from kvnode.objects.durable_object import Environment
from kvnode.objects.object_id import ObjectId
from kvnode.objects.workers.context import WorkersId
from kvnode.objects.workers.fetching.request import Request
from kvnode.objects.workers.fetching.response import Response
from kvnode.objects.workers.js_values import as_js
from kvnode.objects.workers.names import Facade

_LOCATION_HINT: Final = "locationHint"


class Bindings(Facade):
    """What is around an object."""

    _called: ClassVar[str] = "env"

    def __init__(
        self, env: Environment, classes: Collection[str], variables: Mapping[str, Any]
    ) -> None:
        """
        Name what is there.

        Args:
            env: Other objects.
            classes: The names of those that are served.
            variables: What JSON can say, by name; these go before classes.
        """
        self._env = env
        self._classes = classes
        self._variables = variables

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- text, or a Namespace
        """Return a variable, or a class of objects."""
        if name in self._variables:
            return as_js(self._variables[name])
        found = [each for each in self._classes if folded(each) == folded(name)]
        if len(found) != 1:
            self._refuse(name)
        return Namespace(self._env, found[0])


class Namespace(Facade):
    """A class of objects, of which any can be called."""

    _called: ClassVar[str] = "a namespace of objects"

    def __init__(self, env: Environment, class_name: str) -> None:
        self._env = env
        self._class_name = class_name

    def idFromName(self, name: str) -> WorkersId:
        """Return the object of a name."""
        return WorkersId(ObjectId.from_name(self._class_name, name))

    def idFromString(self, text: str) -> WorkersId:
        """Return the object of an id that was written down."""
        return WorkersId(ObjectId.parse(self._class_name, text))

    def newUniqueId(self) -> WorkersId:
        """Return an object that nobody else has."""
        return WorkersId(ObjectId.drawn(self._class_name, token_bytes))

    def get(
        self,
        id_: WorkersId,
        options: Mapping[str, Any] | None = None,
        **named: Any,  # noqa: ANN401 -- as options
    ) -> "WorkersStub":
        """
        Return an object; its methods are called like one's own.

        Args:
            id_: Which.
            options: `locationHint`, the region in which it is to live if nothing was
                heard of it; may be given by name, too.
            named: The same.
        """
        if id_.target.class_name != self._class_name:
            msg = f"{id_} is an object of another class than {self._class_name}"
            raise InvalidArgumentError(msg)
        return WorkersStub(self._env, id_, _location_hint({**(options or {}), **named}))

    def getByName(
        self,
        name: str,
        options: Mapping[str, Any] | None = None,
        **named: Any,  # noqa: ANN401 -- as options
    ) -> "WorkersStub":
        """Return the object of a name; see `get`."""
        return self.get(self.idFromName(name), options, **named)


class WorkersStub(Facade):
    """
    Another object; has any method.

    Attributes:
        id: Which one.
        name: What it was called by; None if that is not known.
    """

    _called: ClassVar[str] = "a stub"

    def __init__(
        self, env: Environment, id_: WorkersId, location_hint: str = ""
    ) -> None:
        self.id = id_
        self.name = id_.name
        self._stub = env.object_at(id_.target, location_hint=location_hint)

    def __getattr__(self, method: str) -> Any:  # noqa: ANN401 -- any method
        """Return a method."""
        return getattr(self._stub, method)

    async def fetch(self, resource: Request | str, **named: Any) -> Response:  # noqa: ANN401 -- as Request's
        """Let it answer a request; arguments are those of Request."""
        request = Request(resource, **named)
        answer: fetching.Response = await self._stub.fetch(request.taken())
        return Response.received(answer, request)


def _location_hint(options: Mapping[str, Any]) -> str:
    """
    Return the region that options name; empty if none.

    Raises:
        InvalidArgumentError: There are others, or it is no text.
    """
    for option, value in options.items():
        if option != _LOCATION_HINT:
            msg = f"get knows {_LOCATION_HINT}, and no {option!r}"
            raise InvalidArgumentError(msg)
        if value is not None and not isinstance(value, str):
            msg = f"{_LOCATION_HINT} is the name of a region, unlike {value!r:.80}"
            raise InvalidArgumentError(msg)
    return options.get(_LOCATION_HINT) or ""


def folded(name: str) -> str:
    """Return what is the same of a class and of a binding that means it."""
    return name.replace("_", "").lower()
