"""Recovery files: what a person, and `kvnode recovery`, finds in them."""

import base64
import json
import stat
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.clocks.hybrid_logical_clock import from_millis
from kvnode.core.crdt import Document, ObservedRemoveSet, PnCounter
from kvnode.core.versions.version import Entry, Kind, Version
from kvnode.storage.rescue import DIRECTORY, rescue_to
from kvnode.types import DEFAULT_NAMESPACE, Dot, EntryKey, Millis, Namespace, ReplicaId
from tests.storage.stores import OWN, at
from tests.strategies import YJS_UPDATES

WRITTEN = Millis(1_700_000_000_500)
DOT = Dot(ReplicaId(0xAB), 7)


def entry(
    kind: Kind, value: bytes = b"", metadata: str = "", deadline: int = 0
) -> Entry:
    """Return an entry of *kind*, written at WRITTEN."""
    version = Version(kind, from_millis(WRITTEN), DOT, deadline=Millis(deadline))
    return Entry(version, value, metadata)


def lines_of(path: Path) -> list[dict[str, object]]:
    """Return what is in a recovery file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def described(directory: Path, *entries: Entry) -> list[dict[str, object]]:
    """Return what is written of *entries*, less what is the same for all."""
    lines = lines_of(rescue_to(directory, OWN, [(at(b"k"), e) for e in entries]))
    same = {
        "namespace": "default",
        "key": "k",
        "written_at": 1_700_000_000.5,
        "version": "7@00000000000000ab",
    }
    for line in lines:
        for name, value in same.items():
            assert line.pop(name) == value
    return lines


def test_every_kind_is_told_by_its_value(tmp_path: Path) -> None:
    """Not by its encoding, which only this version of kvnode knows."""
    counter = PnCounter().add(OWN, 5).add(ReplicaId(9), -2)
    members = ObservedRemoveSet().update(DOT, add=(b"b", b"a", b"\xff"), remove=())
    document = Document().apply(YJS_UPDATES[0])

    lines = described(
        tmp_path,
        entry(Kind.TOMBSTONE),
        entry(Kind.REGISTER, "é".encode()),
        entry(Kind.REGISTER, b"\xff\x00"),
        entry(Kind.COUNTER, counter.encode()),
        entry(Kind.SET, members.encode()),
        entry(Kind.DOCUMENT, document.encode()),
    )
    update = lines[-1].pop("value_base64")

    assert lines == [
        {"type": "tombstone"},
        {"type": "register", "value": "é"},
        {"type": "register", "value_base64": "/wA="},
        {"type": "counter", "value": 3},
        {
            "type": "set",
            "value": [{"member": "a"}, {"member": "b"}, {"member_base64": "/w=="}],
        },
        {"type": "document"},
    ]
    assert isinstance(update, str)
    again = Document().apply(base64.b64decode(update))
    assert again.diff(b"") == document.diff(b"")


def test_metadata_and_deadline_are_told(tmp_path: Path) -> None:
    """An entry that has expired meanwhile can be told from one that has not."""
    [line] = described(tmp_path, entry(Kind.REGISTER, b"v", '{"a":[1]}', 2500))

    assert line["metadata"] == {"a": [1]}
    assert line["expires_at"] == 2.5


def test_file_is_appended_to_and_named_by_the_replica(tmp_path: Path) -> None:
    """A store is replaced in slices, and may start over more than once."""
    path, again = (
        rescue_to(tmp_path, OWN, [(at(b"k"), entry(Kind.REGISTER, value))])
        for value in (b"1", b"2")
    )
    other = rescue_to(tmp_path, ReplicaId(0xB), [(at(b"k"), entry(Kind.TOMBSTONE))])

    assert path == again == tmp_path / DIRECTORY / f"{OWN:016x}.jsonl"
    assert [line["value"] for line in lines_of(path)] == ["1", "2"]
    assert len(lines_of(other)) == 1


def test_directory_is_for_its_owner_alone(tmp_path: Path) -> None:
    """It holds what the store held."""
    path = rescue_to(tmp_path, OWN, [])

    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@given(key=st.binary(min_size=1, max_size=20), value=st.binary(max_size=20))
def test_any_key_and_value_can_be_read_back(
    tmp_path_factory: object, key: bytes, value: bytes
) -> None:
    """Whatever bytes they are, one line an entry."""
    del tmp_path_factory
    with TemporaryDirectory() as directory:
        place = EntryKey(Namespace("n"), key)
        path = rescue_to(Path(directory), OWN, [(place, entry(Kind.REGISTER, value))])
        [line] = lines_of(path)

    def told(name: str) -> bytes:
        text = line.get(name)
        if isinstance(text, str):
            return text.encode()
        return base64.b64decode(str(line[f"{name}_base64"]))

    assert (told("key"), told("value")) == (key, value)
    assert line["namespace"] == "n" != DEFAULT_NAMESPACE
