"""
What a path is about.

    /healthz
    /v1/objects                                 classes and shards
    /v1/objects/CLASS/ids                       a new id
    /v1/objects/CLASS/NAME/id                   the id of a name
    /v1/objects/CLASS/NAME/location             where an object lives
    /v1/objects/CLASS/NAME/alarm                when its alarm rings
    /v1/objects/CLASS/NAME/call/METHOD
    /v1/objects/CLASS/NAME/fetch[/PATH...]
    /v1/objects/Storage/NAME/storage/keys[/KEY]
    /v1/objects/Storage/NAME/storage/transaction

In place of NAME there may be `id/` and an id's 64 digits.  An object may itself be
named `id`: then one of the words above follows in place of the digits.
"""

from dataclasses import dataclass
from typing import ClassVar, Final

from kvnode.errors import RequestRefusedError
from kvnode.http.paths import decoded
from kvnode.objects.object_id import ObjectId, checked_class

STORAGE_CLASS: Final = "Storage"
HEALTH_PATH: Final = "/healthz"
OBJECTS_PATH: Final = "/v1/objects"

_VERBS: Final = ("id", "location", "alarm", "call", "fetch", "storage")
_READ: Final = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the node serves."""

    methods: ClassVar = _READ


@dataclass(frozen=True, slots=True)
class Overview:
    """Which classes are served, and what is known of the shards."""

    methods: ClassVar = _READ


@dataclass(frozen=True, slots=True)
class NewId:
    """An id that nobody has drawn before."""

    methods: ClassVar = ("POST",)
    class_name: str


@dataclass(frozen=True, slots=True)
class IdOf:
    """The id of an object that was named, or whether an id is one."""

    methods: ClassVar = _READ
    target: ObjectId


@dataclass(frozen=True, slots=True)
class LocationOf:
    """Where an object lives."""

    methods: ClassVar = _READ
    target: ObjectId


@dataclass(frozen=True, slots=True)
class AlarmOf:
    """When the alarm of an object rings."""

    methods: ClassVar = (*_READ, "PUT", "DELETE")
    target: ObjectId


@dataclass(frozen=True, slots=True)
class CallOf:
    """A call of a method."""

    methods: ClassVar = ("POST",)
    target: ObjectId
    method: str


@dataclass(frozen=True, slots=True)
class FetchOf:
    """A request that an object answers; *path* is not decoded, and begins with `/`."""

    methods: ClassVar[tuple[str, ...]] = ()  # all
    target: ObjectId
    path: str


@dataclass(frozen=True, slots=True)
class KeysOf:
    """The keys of a map."""

    methods: ClassVar = _READ
    target: ObjectId


@dataclass(frozen=True, slots=True)
class KeyOf:
    """One key of a map."""

    methods: ClassVar = (*_READ, "PUT", "DELETE")
    target: ObjectId
    key: str


@dataclass(frozen=True, slots=True)
class TransactionOf:
    """Steps on keys of a map that happen together."""

    methods: ClassVar = ("POST",)
    target: ObjectId


Route = (
    Health
    | Overview
    | NewId
    | IdOf
    | LocationOf
    | AlarmOf
    | CallOf
    | FetchOf
    | KeysOf
    | KeyOf
    | TransactionOf
)


def route_of(path: str) -> Route:
    """
    Return what *path*, which is not decoded, is about.

    Raises:
        RequestRefusedError: Nothing is there.
        InvalidArgumentError: Something is, but a name in it is none.
    """
    if path == HEALTH_PATH:
        return Health()
    if path in {OBJECTS_PATH, f"{OBJECTS_PATH}/"}:
        return Overview()
    if not path.startswith(f"{OBJECTS_PATH}/"):
        msg = f"nothing is at {path!r:.80}; there are {HEALTH_PATH} and {OBJECTS_PATH}"
        raise RequestRefusedError(msg, status=404)
    raw_class, *parts = path.removeprefix(f"{OBJECTS_PATH}/").split("/")
    class_name = checked_class(decoded(raw_class))
    match parts:
        case ["ids"]:
            return NewId(class_name)
        case ["id", digits, *rest] if digits not in _VERBS:
            return _of_object(ObjectId.parse(class_name, decoded(digits)), rest)
        case [name, *rest] if rest:
            return _of_object(ObjectId.from_name(class_name, decoded(name)), rest)
        case _:
            msg = (
                f"{path!r:.80} does not say what is wanted of class {class_name}: go on"
                f" with ids, or with a name and one of {', '.join(_VERBS)}"
            )
            raise RequestRefusedError(msg, status=404)


def _of_object(target: ObjectId, parts: list[str]) -> Route:
    match parts:
        case ["id"]:
            return IdOf(target)
        case ["location"]:
            return LocationOf(target)
        case ["alarm"]:
            return AlarmOf(target)
        case ["call", method]:
            return CallOf(target, decoded(method))
        case ["fetch", *rest]:
            return FetchOf(target, "/" + "/".join(rest))
        case ["storage", *rest]:
            return _of_map(target, rest)
        case ["call", *_]:
            msg = "call takes one method: call/METHOD, with a slash in it as %2F"
        case _:
            said = "/".join(parts)
            msg = (
                f"an object has no {said!r:.80}; it has id, location, alarm,"
                " call/METHOD and fetch/..."
            )
            if target.class_name == STORAGE_CLASS:
                msg += ", and storage/keys, storage/keys/KEY and storage/transaction"
    raise RequestRefusedError(msg, status=404)


def _of_map(target: ObjectId, parts: list[str]) -> Route:
    if target.class_name != STORAGE_CLASS:
        msg = (
            f"what an object of class {target.class_name} has stored is its own: call"
            f" its methods; only class {STORAGE_CLASS} has storage/..."
        )
        raise RequestRefusedError(msg, status=404)
    match parts:
        case ["keys"]:
            return KeysOf(target)
        case ["keys", *rest]:
            return KeyOf(target, decoded("/".join(rest)))
        case ["transaction"]:
            return TransactionOf(target)
        case _:
            msg = "a map has storage/keys, storage/keys/KEY and storage/transaction"
            raise RequestRefusedError(msg, status=404)
