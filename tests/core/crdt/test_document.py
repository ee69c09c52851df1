"""Documents: nothing is lost, nothing leaks in, and bad input is only refused."""

import json
from random import Random

import pycrdt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.crdt import Document
from kvnode.core.crdt.yjs_update import DEPTH_MAX, read_update
from kvnode.errors import CorruptRecordError, InvalidArgumentError
from tests.strategies import YJS_UPDATES, documents


def whole(updates: tuple[bytes, ...] = YJS_UPDATES) -> Document:
    """Return the document of all *updates*, applied in their order."""
    state = Document()
    for update in updates:
        state = state.apply(update)
    return state


def client(number: int = 1) -> "pycrdt.Doc[pycrdt.Map[object]]":
    """Return an editor's document; its number shows in what it makes."""
    return pycrdt.Doc(client_id=number)


def rooted(document: "pycrdt.Doc[pycrdt.Map[object]]") -> "pycrdt.Map[object]":
    """Return the editor's root `m`."""
    document["m"] = root = pycrdt.Map[object]()
    return root


def rooted_at(
    document: "pycrdt.Doc[pycrdt.Map[object]]", name: str
) -> "pycrdt.Map[object]":
    """Return a root of the editor that is a map."""
    return document.get(name, type=pycrdt.Map[object])


def update_of(*blocks: bytes, clock: int = 0) -> bytes:
    """Return an update of client 1 with hand-made *blocks* and no deletions."""
    return bytes((1, len(blocks), 1, clock)) + b"".join(blocks) + b"\x00"


def test_updates_in_any_order_give_the_document_that_clients_see() -> None:
    """An editor that got them in order is the twin; the bytes are canonical."""
    editor = client()
    for update in YJS_UPDATES:
        editor.apply_update(update)
    expected = {
        "text": str(editor.get("text", type=pycrdt.Text)),  # type: ignore[arg-type]  # one type of root a Doc
        "map": rooted_at(editor, "map").to_py(),
    }

    states = set()
    for seed in range(12):
        shuffled = list(YJS_UPDATES)
        Random(seed).shuffle(shuffled)
        states.add(whole(tuple(shuffled)).encode())

    assert states == {whole().encode()}
    value = json.loads(whole().value)
    assert {name: value[name] for name in expected} == expected


def test_operations_that_wait_for_others_survive_encoding() -> None:
    """An update that comes before what it builds on shows once that has come."""
    editor = client()
    editor["t"] = text = pycrdt.Text()  # type: ignore[assignment]  # a Doc has one type of root
    text.insert(0, "early")
    seen = editor.get_state()
    text.insert(5, ", late")
    late, whole_of_it = editor.get_update(seen), editor.get_update()

    waiting = Document.decode(Document().apply(late).encode())

    assert "late" not in waiting.value
    assert waiting.fingerprint() != Document().fingerprint()
    assert json.loads(waiting.apply(whole_of_it).value) == {"t": "early, late"}


def test_a_deletion_that_comes_before_what_it_deletes_is_kept() -> None:
    """Deletions travel apart from operations and must not be dropped either."""
    editor = client()
    root = rooted(editor)
    root["a"] = 1
    made, seen = editor.get_update(), editor.get_state()
    del root["a"]
    deletion = editor.get_update(seen)

    state = Document.decode(Document().apply(deletion).encode())

    assert state != Document()
    assert state != state.update, "bytes are no document"
    assert json.loads(state.apply(made).value) == {"m": None}


@given(state=documents())
def test_states_name_no_client_but_those_that_made_operations(state: Document) -> None:
    """The core never edits, so no id of its own may show."""
    known = read_update(whole().update).operations.keys()

    assert read_update(state.update).operations.keys() <= known


@given(state=documents(), known=documents())
def test_a_diff_brings_whoever_knows_less_up_to_date(
    state: Document, known: Document
) -> None:
    """What a client sends a state vector for."""
    editor = client()
    editor.apply_update(known.update)

    caught_up = known.apply(state.diff(editor.get_state()))

    assert caught_up == known.merge(state)


def test_a_diff_against_nothing_is_everything_and_against_all_is_no_operation() -> None:
    """An empty state vector means that nothing is known."""
    editor = client()
    editor.apply_update(whole().update)

    assert Document().apply(whole().diff(b"")) == whole()
    assert read_update(whole().diff(editor.get_state())).blocks == []
    assert len(whole().diff(editor.get_state())) < len(whole().update)


@pytest.mark.parametrize("vector", [b"\x01", b"\x00\x00", b"\xff" * 12])
def test_a_malformed_state_vector_is_refused(vector: bytes) -> None:
    """Cut short, too long, or with endless integers."""
    with pytest.raises(InvalidArgumentError, match="state vector"):
        whole().diff(vector)


def test_roots_are_read_by_what_they_hold() -> None:
    """An update does not name the types of its roots."""
    editor: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc(client_id=1)
    text = editor.get("text", type=pycrdt.Text)
    text.insert(0, "héllo 😀", {"bold": True})
    gone = editor.get("gone", type=pycrdt.Text)
    gone.insert(0, "x", {"bold": True})
    gone.clear()
    state = whole().apply(editor.get_update())

    value = json.loads(state.value)

    assert value["gone"] is None
    assert "héllo 😀" in value["text"]
    assert isinstance(value["map"], dict)
    assert isinstance(value["list"], list)
    assert state.value == Document.decode(state.encode()).value


def test_values_that_json_lacks_are_read_as_documented() -> None:
    """Bytes as numbers, what is no number as null, XML as text."""
    editor = client()
    root = rooted(editor)
    root["bytes"], root["nan"] = b"\x01\xff", float("nan")
    root["big"], root["half"], root["none"] = 2**53, 0.5, None
    root["xml"] = pycrdt.XmlFragment([pycrdt.XmlElement("p", {}, [])])

    value = json.loads(Document().apply(editor.get_update()).value)["m"]

    assert value == {
        "bytes": [1, 255],
        "nan": None,
        "big": 2**53,
        "half": 0.5,
        "none": None,
        "xml": "<p></p>",
    }


@given(damage=st.data())
def test_damaged_updates_are_refused_or_merged_and_never_worse(
    damage: st.DataObject,
) -> None:
    """
    Flipped, cut and padded bytes: the process survives, merging goes on.

    Damage can forge an operation's id, or contradict itself; what is read then
    is undefined (see the module), but never worse than an error for this key.
    """
    update = bytearray(damage.draw(st.sampled_from(YJS_UPDATES)))
    for _ in range(damage.draw(st.integers(1, 3))):
        update[damage.draw(st.integers(0, len(update) - 1))] = damage.draw(
            st.integers(0, 255)
        )
    cut = damage.draw(st.integers(0, len(update)) | st.just(len(update)))
    state = whole(YJS_UPDATES[:4])

    try:
        after = state.apply(bytes(update[:cut]))
    except InvalidArgumentError:
        return
    for document in (after, after.merge(state).merge(whole()), whole().merge(after)):
        try:
            text = document.value
        except CorruptRecordError:
            continue
        assert isinstance(json.loads(text), dict)


@given(noise=st.binary(max_size=40))
def test_noise_is_refused(noise: bytes) -> None:
    """Arbitrary bytes are hardly ever an update; if they are, they are harmless."""
    try:
        state = Document().apply(noise)
    except InvalidArgumentError:
        return
    assert isinstance(json.loads(state.value), dict)


ROOT = b"\x01\x01m"  # parent: the root m
DEEP = b"\x75\x01" * (DEPTH_MAX + 1) + b"\x7e"  # lists within lists, then null


@pytest.mark.parametrize(
    ("update", "reason"),
    [
        pytest.param(b"", "ends early", id="empty"),
        pytest.param(b"\x00\x00\x00", "follow its end", id="trailing bytes"),
        pytest.param(b"\x01\x80\x80\x80\x80\x04\x01\x00\x00", "ends early", id="count"),
        pytest.param(b"\xff" * 12, "ten bytes", id="endless integer"),
        pytest.param(
            update_of(b"\x08" + ROOT + b"\x01" + DEEP), "DEPTH_MAX", id="nested values"
        ),
        pytest.param(
            update_of(b"\x08" + ROOT + b"\x01" + b"\x75\x01" * 200_000 + b"\x7e"),
            "DEPTH_MAX",
            id="values nested as deep as would overflow a native stack",
        ),
        pytest.param(
            update_of(b"\x88\x01\x00\x01\x7e"), "not earlier", id="its own neighbour"
        ),
        pytest.param(
            update_of(b"\x28\x00\x01\x05\x01k\x01\x7e"), "not earlier", id="its child"
        ),
        pytest.param(
            update_of(b"\x00\xff\xff\xff\xff\x0f"), "operations", id="block too long"
        ),
        pytest.param(
            b"\x01\x01\x01\xff\xff\xff\xff\x0f\x00\x01\x00", "range", id="late clock"
        ),
        pytest.param(
            b"\x00\x01\x01\x01\x00\xff\xff\xff\xff\x0f", "range", id="long deletion"
        ),
        pytest.param(update_of(b"\x04" + ROOT + b"\x02\xff\xfe"), "utf-8", id="text"),
        pytest.param(
            update_of(b"\x02" + ROOT + b"\x01\x011"), "type 2", id="content of old"
        ),
        pytest.param(update_of(b"\x09" + ROOT + b"\x01g"), "type 9", id="subdocument"),
        pytest.param(
            update_of(b"\x08" + ROOT + b"\x01\x7e", b"\x28\x00\x01\x00\x01k\x01\x7e"),
            "parent",
            id="a child of a plain value",
        ),
    ],
)
def test_hostile_updates_are_refused_with_the_reason(
    update: bytes, reason: str
) -> None:
    """Each would cost the native library memory, its stack or its sanity."""
    with pytest.raises(InvalidArgumentError, match=reason):
        Document().apply(update)


def test_shared_types_may_nest_to_the_limit_however_they_arrive() -> None:
    """What counts is the depth in the document, not in the update."""
    editor = client()
    inner = rooted(editor)
    state = Document()
    for _ in range(DEPTH_MAX):
        seen = editor.get_state()
        inner["k"] = nested = pycrdt.Map[object]()
        state = state.apply(editor.get_update(seen))
        inner = nested

    inner["k"] = pycrdt.Map[object]()
    with pytest.raises(InvalidArgumentError, match="DEPTH_MAX"):
        state.apply(editor.get_update())
    assert state.value.count("{") == 2 + DEPTH_MAX, (
        "the object of roots, the root, and those"
    )


def test_a_document_beyond_its_limit_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before anything is done with it, and after it was merged."""
    state = whole()
    small = YJS_UPDATES[0]

    monkeypatch.setattr("kvnode.core.crdt.document.DOCUMENT_BYTES_MAX", len(small))

    with pytest.raises(InvalidArgumentError, match="DOCUMENT_BYTES_MAX"):
        state.apply(small)
    with pytest.raises(InvalidArgumentError, match="DOCUMENT_BYTES_MAX"):
        Document().apply(small + b"\x00")


def test_contradictions_accepted_at_two_nodes_merge_and_are_told_to_readers() -> None:
    """Each half waits for the other; together no document can be made of them."""
    parent = Document().apply(update_of(b"\x08" + ROOT + b"\x01\x7e"))
    child = Document().apply(
        b"\x01\x01\x02\x00" + b"\x28\x00\x01\x00\x01k\x01\x7e" + b"\x00"
    )

    merged = parent.merge(child)

    assert merged.fingerprint() == child.merge(parent).fingerprint()
    assert merged.fingerprint() != parent.fingerprint()
    assert merged.merge(whole()) == whole().merge(child).merge(parent)
    with pytest.raises(CorruptRecordError, match="delete the key"):
        _ = merged.value


def test_deleted_content_is_dropped_from_the_state() -> None:
    """Compaction: a document's size follows its content, not its history."""
    editor = client()
    editor["t"] = text = pycrdt.Text()  # type: ignore[assignment]  # a Doc has one type of root
    for _ in range(50):
        text.insert(0, "some text that comes and goes")
        text.clear()

    assert len(Document().apply(editor.get_update()).encode()) < 40


def test_deletions_by_consequence_do_not_show_in_the_fingerprint() -> None:
    """Of two concurrent values of a map one is deleted, spelled out or not."""
    first, second, third = client(1), client(2), client(3)
    rooted(first)["k"], rooted(second)["k"] = 1, 2
    rooted(third)["k"] = 3
    seen = third.get_state()
    rooted(third)["k"] = 4
    waiting = Document().apply(third.get_update(seen))
    one, other = (Document().apply(made.get_update()) for made in (first, second))

    compacted_first = one.merge(other).merge(waiting)
    waiting_first = one.merge(waiting).merge(other)

    assert compacted_first.update != waiting_first.update
    assert compacted_first.fingerprint() == waiting_first.fingerprint()
    assert compacted_first.value == waiting_first.value


class PanicException(BaseException):
    """Stands in for the exception class that native code makes for itself."""


def test_a_panic_of_the_library_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    """It derives from BaseException, and would else end the node."""
    state = whole()

    def panic(*_: bytes) -> bytes:
        msg = "index out of bounds"
        raise PanicException(msg)

    monkeypatch.setattr("pycrdt.merge_updates", panic)

    with pytest.raises(InvalidArgumentError, match="index out of bounds"):
        Document().apply(YJS_UPDATES[0])
    with pytest.raises(CorruptRecordError, match="index out of bounds"):
        Document().merge(state)


def test_an_interrupt_within_the_library_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only panics are refusals: whoever stops the process shall stop it."""

    def interrupt(*_: bytes) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr("pycrdt.merge_updates", interrupt)

    with pytest.raises(KeyboardInterrupt):
        Document().apply(YJS_UPDATES[0])
