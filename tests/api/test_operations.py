"""Each operation does what the protocol says, and says it in its reply."""

import json

import pycrdt
import pytest

from kvnode._pb import kv_pb2 as pb
from kvnode.api.write_replies import DataRequest
from kvnode.errors import OverloadedError
from kvnode.limits import COUNTER_ABS_MAX, KEY_BYTES_MAX
from kvnode.types import Millis
from tests.api.services import Api
from tests.runtime.nodes import NOW, OWN, at

INVALID = pb.ERROR_CODE_INVALID_ARGUMENT
HOUR = 3_600_000


# -- registers ---------------------------------------------------------------------


async def test_put_is_read_back_with_all_it_carries(api: Api) -> None:
    """Value, metadata, deadline; the version and the time that it got."""
    written = await api.put(
        pb.PutRequest(key=b"k", value=b"v", metadata='{"a":1}', ttl_ms=HOUR)
    )
    reply = await api.get(b"k")

    assert written.applied
    assert written.replicas == 1
    assert reply.type == pb.VALUE_TYPE_REGISTER
    assert (reply.value, reply.metadata) == (b"v", '{"a":1}')
    assert reply.version == written.version == f"1@{OWN:016x}"
    assert reply.expires_at_ms == NOW + HOUR
    assert reply.hlc >> 16 == NOW
    assert written.hlc == reply.hlc


async def test_absent_key_reads_as_absent(api: Api) -> None:
    """Never written, deleted, expired: a reader cannot tell."""
    await api.write(b"deleted")
    await api.ask(pb.DeleteRequest(key=b"deleted"))
    await api.put(pb.PutRequest(key=b"expired", value=b"v", ttl_ms=5))
    api.node.clock.now = Millis(NOW + 5)

    for key in (b"never", b"deleted", b"expired"):
        reply = await api.get(key)
        assert reply.type == pb.VALUE_TYPE_ABSENT
        assert (reply.value, reply.version, reply.hlc) == (b"", "", 0)


async def test_entry_is_there_until_its_deadline(api: Api) -> None:
    """R6: hidden at once, and not a moment before."""
    await api.put(pb.PutRequest(key=b"k", value=b"v", ttl_ms=5))
    api.node.clock.now = Millis(NOW + 4)
    assert (await api.get(b"k")).value == b"v"

    api.node.clock.now = Millis(NOW + 5)

    assert (await api.get(b"k")).type == pb.VALUE_TYPE_ABSENT
    assert not (await api.list(pb.ListRequest())).items


async def test_empty_value_is_a_value(api: Api) -> None:
    """It is not the absence of one."""
    await api.write(b"k", b"")
    assert (await api.get(b"k")).type == pb.VALUE_TYPE_REGISTER


async def test_delete_of_an_absent_key_is_applied(api: Api) -> None:
    """Others may have it: the deletion must reach them."""
    result = await api.ask(pb.DeleteRequest(key=b"never"))

    assert result.write.applied
    assert result.write.version


# -- conditions --------------------------------------------------------------------


async def test_if_absent_holds_for_what_a_reader_does_not_see(api: Api) -> None:
    """Deleted and expired keys are absent; others name the version in the way."""
    first = await api.put(pb.PutRequest(key=b"k", value=b"1", if_absent=True))
    second = await api.put(pb.PutRequest(key=b"k", value=b"2", if_absent=True))
    assert first.applied
    assert not second.applied
    assert second.current_version == first.version

    await api.ask(pb.DeleteRequest(key=b"k"))
    assert (await api.put(pb.PutRequest(key=b"k", if_absent=True, ttl_ms=3))).applied
    api.node.clock.now = Millis(NOW + 3)
    assert (await api.put(pb.PutRequest(key=b"k", if_absent=True))).applied


async def test_if_version_holds_for_exactly_that_version(api: Api) -> None:
    """Neither for an older one, nor for an absent key."""
    first = await api.write(b"k")
    second = await api.put(pb.PutRequest(key=b"k", if_version=first.version))
    stale = await api.put(pb.PutRequest(key=b"k", if_version=first.version))
    absent = await api.put(pb.PutRequest(key=b"other", if_version=first.version))

    assert second.applied
    assert (stale.applied, stale.current_version) == (False, second.version)
    assert (absent.applied, absent.current_version) == (False, "")


async def test_delete_can_have_a_condition(api: Api) -> None:
    """And does nothing if it does not hold."""
    first = await api.write(b"k")
    second = await api.write(b"k", b"newer")

    result = await api.ask(pb.DeleteRequest(key=b"k", if_version=first.version))
    assert not result.write.applied
    assert (await api.get(b"k")).value == b"newer"

    result = await api.ask(pb.DeleteRequest(key=b"k", if_version=second.version))
    assert result.write.applied
    assert (await api.get(b"k")).type == pb.VALUE_TYPE_ABSENT


# -- counters, sets, documents -----------------------------------------------------


async def test_counter_adds_and_reads(api: Api) -> None:
    """One that was never touched is 0; a delta of 0 reads."""
    assert (await api.ask(pb.CounterRequest(key=b"n"))).counter.value == 0
    assert (await api.ask(pb.CounterRequest(key=b"n", delta=5))).counter.value == 5
    written = (await api.ask(pb.CounterRequest(key=b"n", delta=-7))).counter
    read = (await api.ask(pb.CounterRequest(key=b"n"))).counter
    assert (written.value, read.value) == (-2, -2)
    assert written.version == read.version
    assert (await api.get(b"n")).value == b"-2"
    with api.node.driver.snapshot() as view:
        assert view.state().seq == 2


async def test_counter_refuses_what_would_leave_its_range(api: Api) -> None:
    """And is as it was."""
    await api.ask(pb.CounterRequest(key=b"n", delta=COUNTER_ABS_MAX))
    error = await api.error(pb.CounterRequest(key=b"n", delta=1))
    assert error.code == INVALID
    assert not error.may_have_happened
    read = await api.ask(pb.CounterRequest(key=b"n"))
    assert read.counter.value == COUNTER_ABS_MAX


async def test_set_adds_removes_and_reads(api: Api) -> None:
    """Members come sorted, and only if asked for; the size always."""
    added = await api.ask(pb.SetRequest(key=b"s", add=[b"b", b"a", b"c"]))
    removed = await api.ask(
        pb.SetRequest(key=b"s", remove=[b"b", b"never"], want_members=True)
    )
    read = await api.ask(pb.SetRequest(key=b"s", want_members=True))
    nothing = await api.ask(pb.SetRequest(key=b"empty", want_members=True))

    assert (added.set.size, list(added.set.members)) == (3, [])
    assert list(removed.set.members) == list(read.set.members) == [b"a", b"c"]
    assert nothing.set.size == 0
    assert (await api.get(b"s")).type == pb.VALUE_TYPE_SET
    assert json.loads((await api.get(b"s")).value) == ["YQ==", "Yw=="]


def _update(text: str) -> bytes:
    document = pycrdt.Doc[pycrdt.Text](client_id=7)
    document["t"] = pycrdt.Text(text)
    return document.get_update()


async def test_document_merges_and_answers_what_is_lacking(api: Api) -> None:
    """Yjs's own exchange: a state vector for an update."""
    written = await api.ask(
        pb.DocumentRequest(key=b"d", update=_update("hello"), want_update=True)
    )
    read = await api.ask(pb.DocumentRequest(key=b"d", want_update=True))
    mine = pycrdt.Doc[pycrdt.Text](client_id=8)
    mine.apply_update(read.document.update)
    nothing = await api.ask(
        pb.DocumentRequest(key=b"d", want_update=True, state_vector=mine.get_state())
    )

    assert written.document.update
    assert str(mine.get("t", type=pycrdt.Text)) == "hello"
    assert len(nothing.document.update) < len(read.document.update)
    assert json.loads((await api.get(b"d")).value) == {"t": "hello"}


async def test_malformed_state_vector_is_refused_before_the_write(api: Api) -> None:
    """An error that says "did not happen" must not follow a write that did."""
    request = pb.DocumentRequest(
        key=b"d", update=_update("x"), want_update=True, state_vector=b"\xff\xff"
    )

    error = await api.error(request)

    assert error.code == INVALID
    assert (await api.get(b"d")).type == pb.VALUE_TYPE_ABSENT


async def test_wrong_type_is_told_and_changes_nothing(api: Api) -> None:
    """For reads and for writes; after a delete the type is free again."""
    await api.write(b"k")
    requests: list[DataRequest] = [
        pb.CounterRequest(key=b"k"),
        pb.CounterRequest(key=b"k", delta=1),
        pb.SetRequest(key=b"k"),
        pb.SetRequest(key=b"k", add=[b"a"]),
        pb.DocumentRequest(key=b"k"),
        pb.DocumentRequest(key=b"k", update=_update("x")),
    ]
    for request in requests:
        error = await api.error(request)
        assert error.code == pb.ERROR_CODE_WRONG_TYPE
        assert "holds a register" in error.message
        assert not error.may_have_happened

    await api.ask(pb.DeleteRequest(key=b"k"))
    assert (await api.ask(pb.CounterRequest(key=b"k", delta=1))).counter.value == 1


# -- refusals ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (pb.GetRequest(), "empty"),
        (pb.GetRequest(key=b"k" * (KEY_BYTES_MAX + 1)), "at most 512"),
        (pb.PutRequest(key=b"k", metadata="{"), "not JSON"),
        (pb.PutRequest(key=b"k", if_absent=True, if_version="1@"), "not both"),
        (pb.PutRequest(key=b"k", if_version="x"), "not a version"),
        (pb.PutRequest(key=b"k", ttl_ms=1, expires_at_ms=1), "not both"),
        (pb.DeleteRequest(key=b"k", if_version="x"), "not a version"),
        (pb.ListRequest(limit=1001), "at most 1000"),
        (pb.ListRequest(cursor=b"c" * 513), "cursor has 513"),
        (pb.CounterRequest(key=b"k", delta=2**62 + 1), str(COUNTER_ABS_MAX)),
        (pb.SetRequest(key=b"k", add=[b""]), "1 to 512"),
        (pb.DocumentRequest(key=b"k", update=b"\xff"), "update"),
        (pb.GetRequest(key=b"k", options=pb.Options(session=b"\xff")), "not a token"),
        (
            pb.PutRequest(key=b"k", options=pb.Options(w=2, w_each_region=True)),
            "not both",
        ),
        (
            pb.PutRequest(key=b"k", options=pb.Options(w=2, deadline_ms=3_600_001)),
            "3600000",
        ),
        (pb.PutRequest(key=b"k", options=pb.Options(w=2)), "knows of 1 replica"),
        (pb.GetRequest(key=b"k", namespace="n" * 65), "at most 64"),
    ],
)
async def test_wrong_request_is_refused_with_the_reason(
    api: Api, request_: DataRequest, reason: str
) -> None:
    """Nothing of it happened, and sending it again cannot help."""
    error = await api.error(request_)

    assert error.code == INVALID
    assert reason in error.message
    assert not error.may_have_happened
    assert api.node.store.state().seq == 0


async def test_unknown_namespace_is_named(api: Api) -> None:
    """For each operation; the system's own namespace is known to nobody."""
    for namespace in ("nowhere", "_system"):
        requests: list[DataRequest] = [
            pb.GetRequest(namespace=namespace, key=b"k"),
            pb.PutRequest(namespace=namespace, key=b"k"),
            pb.DeleteRequest(namespace=namespace, key=b"k"),
            pb.ListRequest(namespace=namespace),
            pb.CounterRequest(namespace=namespace, key=b"k"),
            pb.SetRequest(namespace=namespace, key=b"k", add=[b"a"]),
            pb.DocumentRequest(namespace=namespace, key=b"k"),
        ]
        for request in requests:
            error = await api.error(request)
            assert error.code == pb.ERROR_CODE_NOT_FOUND
            assert repr(namespace) in error.message


async def test_operation_that_says_nothing_is_refused(api: Api) -> None:
    """By a newer client, perhaps."""
    result = await api.start(pb.Operation(id=9))
    assert result.id == 9
    assert result.error.code == INVALID


async def test_result_carries_the_id_of_its_operation(api: Api) -> None:
    """Whatever comes of it."""
    for request in (pb.GetRequest(key=b"k"), pb.GetRequest(), pb.PutRequest(key=b"k")):
        assert (await api.ask(request)).id == 7


async def test_full_inbox_is_overload_and_nothing_happened(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client may try again, here or elsewhere."""

    def refuse(operations: int, size_bytes: int) -> None:
        message = f"{operations} of {size_bytes} bytes are too many"
        raise OverloadedError(message)

    monkeypatch.setattr(api.node.inbox, "check_room", refuse)
    error = await api.error(pb.PutRequest(key=b"k", value=b"v"))

    assert error.code == pb.ERROR_CODE_OVERLOADED
    assert error.message == "1 of 2 bytes are too many"
    assert not error.may_have_happened


async def test_damaged_entry_harms_only_requests_for_it(api: Api) -> None:
    """A read says so; so does a write, which would lose what is damaged."""
    await api.ask(pb.SetRequest(key=b"s", add=[b"a"]))
    image = api.node.store._image
    stored = image.entry(at(b"s"))
    assert stored is not None
    image.entries[at(b"s").namespace].put(b"s", stored._replace(value=b"\xff"))

    assert (await api.error(pb.SetRequest(key=b"s"))).code == pb.ERROR_CODE_INTERNAL
    error = await api.error(pb.SetRequest(key=b"s", add=[b"b"]))
    assert "damaged" in error.message
    assert (await api.write(b"other")).applied


# -- write concern (S4) ------------------------------------------------------------


async def test_write_waits_for_as_many_replicas_as_it_asked_for(api: Api) -> None:
    """And the reply says how many have it."""
    await api.node.peer_up()
    options = pb.Options(w=2, deadline_ms=1000)
    reply = api.ask(pb.PutRequest(key=b"k", value=b"v", options=options))
    await api.node.settled()
    assert not reply.done()

    await api.node.acknowledge(1)

    assert (await reply).write.replicas == 2


async def test_write_that_too_few_have_in_time_is_indeterminate(api: Api) -> None:
    """S4: never reported as failure, for it is here and will spread."""
    await api.node.peer_up()
    options = pb.Options(w=2, deadline_ms=100)
    reply = api.ask(pb.PutRequest(key=b"k", value=b"v", options=options))
    await api.node.settled()

    api.node.clock.now = Millis(NOW + 100)
    error = (await reply).error

    assert error.code == pb.ERROR_CODE_INDETERMINATE
    assert error.may_have_happened
    assert (error.acknowledged, error.needed) == (1, 2)
    assert (await api.get(b"k")).value == b"v"


async def test_write_can_ask_for_one_replica_in_each_region(api: Api) -> None:
    """This node's own region has it already."""
    await api.node.peer_up()
    options = pb.Options(w_each_region=True, deadline_ms=1000)
    reply = api.ask(pb.PutRequest(key=b"k", value=b"v", options=options))
    await api.node.settled()
    assert not reply.done()

    await api.node.acknowledge(1)

    assert (await reply).write.applied
