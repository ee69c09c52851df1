"""The steps of a batch, and their request."""

from collections.abc import Sequence
from dataclasses import dataclass

from kvnode._pb import kv_pb2
from kvnode.client.arguments import key_bytes, metadata_text, set_expiry, value_bytes
from kvnode.client.values import JsonValue, Key
from kvnode.errors import InvalidArgumentError
from kvnode.limits import BATCH_BYTES_MAX, BATCH_STEPS_MAX


@dataclass(frozen=True, slots=True)
class Put:
    """Store a value; the fields mean what `put`'s arguments mean."""

    key: Key
    value: bytes | str
    metadata: JsonValue = None
    ttl: float | None = None
    expires_at: float | None = None
    if_absent: bool = False
    if_version: str | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a key."""

    key: Key
    if_version: str | None = None


@dataclass(frozen=True, slots=True)
class Get:
    """Read what was stored before the batch."""

    key: Key


Step = Put | Delete | Get


def condition(version: str) -> str:
    """
    Return *version* if it can be a condition.

    Raises:
        InvalidArgumentError: It is empty, which on the wire means no condition.
    """
    if not version:
        msg = "if_version is empty: use if_absent to ask that there be no version"
        raise InvalidArgumentError(msg)
    return version


def fill_put(request: kv_pb2.PutRequest, put: Put, *, namespace: str) -> int:
    """
    Write *put* into *request*; return how many bytes its key and value have.

    Raises:
        InvalidArgumentError: A field breaks a limit, which the message names.
    """
    key, value = key_bytes(put.key), value_bytes(put.value)
    request.namespace = namespace
    request.key = key
    request.value = value
    if put.metadata is not None:
        request.metadata = metadata_text(put.metadata)
    if put.ttl is not None or put.expires_at is not None:
        set_expiry(request, put.ttl, put.expires_at)
    if put.if_absent:
        request.if_absent = True
    if put.if_version is not None:
        request.if_version = condition(put.if_version)
    return len(key) + len(value)


def fill_delete(
    request: kv_pb2.DeleteRequest, delete: Delete, *, namespace: str
) -> int:
    """
    Write *delete* into *request*; return how many bytes its key has.

    Raises:
        InvalidArgumentError: A field breaks a limit, which the message names.
    """
    key = key_bytes(delete.key)
    request.namespace = namespace
    request.key = key
    if delete.if_version is not None:
        request.if_version = condition(delete.if_version)
    return len(key)


def fill_batch(
    request: kv_pb2.BatchRequest, steps: Sequence[Step], *, namespace: str
) -> None:
    """
    Write *steps* into *request*.

    Raises:
        InvalidArgumentError: There are none or too many, one of them is wrong, or
            together they have more than 100 MB.
    """
    if not 0 < len(steps) <= BATCH_STEPS_MAX:
        msg = f"a batch has 1 to {BATCH_STEPS_MAX} steps, not {len(steps)}"
        raise InvalidArgumentError(msg)
    size_bytes = 0
    for step in steps:
        added = request.steps.add()
        match step:
            case Put():
                size_bytes += fill_put(added.put, step, namespace=namespace)
            case Delete():
                size_bytes += fill_delete(added.delete, step, namespace=namespace)
            case Get():
                added.get.namespace = namespace
                added.get.key = key_bytes(step.key)
                size_bytes += len(added.get.key)
    if size_bytes > BATCH_BYTES_MAX:
        msg = (
            f"a batch has at most {BATCH_BYTES_MAX} bytes of keys and values, not"
            f" {size_bytes}: split it"
        )
        raise InvalidArgumentError(msg)
