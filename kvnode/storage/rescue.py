"""
Recovery files: entries that a node had to give up, for people to look at.

One JSON object a line, in the order in which they were met:

    namespace, type     texts; the type is `tombstone` for a deletion
    key, value          texts, or `key_base64` and `value_base64` where they are not
                        UTF-8; a counter's value is its sum, a set's its members,
                        a document's a Yjs update in base64
    metadata            JSON, if there is any
    expires_at          seconds since 1970, if the entry expires
    written_at          seconds since 1970, by its writer's clock
    version             of the write, as the API shows it

`kvnode recovery` lists such a file, and imports chosen entries as new writes.
"""

import base64
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from kvnode.core.clocks.hybrid_logical_clock import millis_of
from kvnode.core.crdt.counter import PnCounter
from kvnode.core.crdt.document import Document
from kvnode.core.crdt.set import ObservedRemoveSet
from kvnode.core.versions.version import NEVER, Entry, Kind
from kvnode.types import EntryKey, Millis, ReplicaId

DIRECTORY = "recovery"


class RescueFile(NamedTuple):
    """A recovery file as it lies there; `written_at` in ms since 1970."""

    name: str
    size_bytes: int
    written_at: Millis


def rescue_files(directory: Path) -> list[RescueFile]:
    """Return the recovery files in the data directory *directory*, by name."""
    found = []
    for path in sorted((directory / DIRECTORY).glob("*.jsonl")):
        facts = path.stat()
        written_at = Millis(facts.st_mtime_ns // 1_000_000)
        found.append(RescueFile(path.name, facts.st_size, written_at))
    return found


def rescue_to(
    directory: Path, replica: ReplicaId, entries: Iterable[tuple[EntryKey, Entry]]
) -> Path:
    """
    Append *entries* to the recovery file of *replica*, and wait for the disk.

    Args:
        directory: The node's data directory.
        replica: Whose entries they were.
        entries: What to put aside.

    Raises:
        OSError: The file cannot be written.
    """
    place = directory / DIRECTORY
    place.mkdir(mode=0o700, exist_ok=True)
    path = place / f"{replica:016x}.jsonl"
    with path.open("a", encoding="utf-8") as file:
        for key, entry in entries:
            file.write(json.dumps(_described(key, entry), ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return path


def _described(key: EntryKey, entry: Entry) -> dict[str, object]:
    version = entry.version
    line: dict[str, object] = {
        "namespace": key.namespace,
        "type": version.kind.name.lower(),
        **_text("key", key.key),
        **_value(entry),
        "written_at": millis_of(version.hlc) / 1000,
        "version": f"{version.dot.seq}@{version.dot.replica:016x}",
    }
    if entry.metadata:
        line["metadata"] = json.loads(entry.metadata)
    if version.deadline != NEVER:
        line["expires_at"] = version.deadline / 1000
    return line


def _value(entry: Entry) -> dict[str, object]:
    match entry.version.kind:
        case Kind.TOMBSTONE:
            return {}
        case Kind.REGISTER:
            return _text("value", entry.value)
        case Kind.COUNTER:
            return {"value": PnCounter.decode(entry.value).value}
        case Kind.SET:
            members = ObservedRemoveSet.decode(entry.value).value
            return {"value": [_text("member", member) for member in sorted(members)]}
        case Kind.DOCUMENT:
            update = Document.decode(entry.value).diff(b"")
            return {"value_base64": base64.b64encode(update).decode()}


def _text(name: str, data: bytes) -> dict[str, object]:
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(data).decode()}
