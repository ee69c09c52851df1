"""A batch is one transaction, in order; its reads see what was before it."""

import pytest

from kvnode._pb import kv_pb2 as pb
from kvnode.api import commands
from kvnode.core.versions.version import Entry
from kvnode.errors import CorruptRecordError
from kvnode.limits import BATCH_BYTES_MAX, BATCH_STEPS_MAX
from kvnode.types import EntryKey
from tests.api.services import Api, own_dot, peer_dot
from tests.runtime.nodes import at, foreign

Step = pb.BatchRequest.Step


def _put(key: bytes, value: bytes = b"v", *, if_absent: bool = False) -> Step:
    return Step(put=pb.PutRequest(key=key, value=value, if_absent=if_absent))


def _get(key: bytes) -> Step:
    return Step(get=pb.GetRequest(key=key))


def _delete(key: bytes) -> Step:
    return Step(delete=pb.DeleteRequest(key=key))


async def test_batch_is_applied_in_order_in_one_transaction(api: Api) -> None:
    """Each step has its result, where it stood."""
    await api.write(b"old", b"before")
    api.node.log.clear()

    reply = await api.batch(
        _get(b"old"), _put(b"a"), _delete(b"old"), _put(b"a", b"w"), _get(b"a")
    )

    kinds = [result.WhichOneof("kind") for result in reply.results]
    assert kinds == ["get", "write", "write", "write", "get"]
    assert reply.results[0].get.value == b"before"
    assert reply.results[4].get.type == pb.VALUE_TYPE_ABSENT
    assert [r.write.version.partition("@")[0] for r in reply.results[1:4]] == (
        ["2", "3", "4"]
    )
    assert api.node.log == ["durable 2"]
    assert (await api.get(b"a")).value == b"w"
    assert (await api.get(b"old")).type == pb.VALUE_TYPE_ABSENT


async def test_condition_that_fails_stops_only_its_step(api: Api) -> None:
    """And sees the steps before it."""
    reply = await api.batch(
        _put(b"a"), _put(b"a", b"w", if_absent=True), _put(b"b", if_absent=True)
    )

    applied = [result.write.applied for result in reply.results]
    assert applied == [True, False, True]
    assert reply.results[1].write.current_version == reply.results[0].write.version


async def test_batch_with_a_wrong_step_does_nothing_and_names_it(api: Api) -> None:
    """All or nothing, and the caller must find the step."""
    for wrong, reason in (
        (_put(b""), "empty"),
        (Step(), "nothing to do"),
        (_get(b"k" * 513), "513"),
    ):
        error = await api.error(pb.BatchRequest(steps=[_put(b"a"), wrong]))
        assert error.code == pb.ERROR_CODE_INVALID_ARGUMENT
        assert error.message.startswith("step 1 of the batch: ")
        assert reason in error.message
    assert (await api.get(b"a")).type == pb.VALUE_TYPE_ABSENT


async def test_batch_of_nothing_or_of_reads_is_answered(api: Api) -> None:
    """Without a turn of the node."""
    await api.write(b"k")
    api.node.log.clear()
    assert not (await api.batch()).results
    assert (await api.batch(_get(b"k"))).results[0].get.value == b"value"
    assert api.node.log == []


async def test_session_has_seen_what_the_batch_read_and_wrote(api: Api) -> None:
    """S1: every reply carries it, that of a batch of reads too."""
    await api.hear(b"theirs", foreign(1))
    reading = await api.batch(_get(b"theirs"))
    both = await api.batch(_get(b"theirs"), _put(b"k"))

    assert api.session(reading.session).seen == (peer_dot(1),)
    assert api.session(both.session).seen == (own_dot(1), peer_dot(1))
    assert not reading.results[0].get.session


async def test_batch_is_bounded_in_steps(api: Api) -> None:
    """Cloudflare's bulk write."""
    steps = [Step()] * (BATCH_STEPS_MAX + 1)
    error = await api.error(pb.BatchRequest(steps=steps))
    assert f"at most {BATCH_STEPS_MAX}" in error.message


async def test_batch_is_bounded_in_bytes(api: Api) -> None:
    """Of all it carries."""
    value = bytes(25 * 1024 * 1024)
    error = await api.error(pb.BatchRequest(steps=[_put(b"k", value)] * 4))
    assert f"at most {BATCH_BYTES_MAX}" in error.message


async def test_batch_is_bounded_in_what_it_reads(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few bytes of request could ask for more than fits into a reply."""
    await api.write(b"k", bytes(400))
    monkeypatch.setattr(commands, "BATCH_BYTES_MAX", 1000)

    error = await api.error(pb.BatchRequest(steps=[_get(b"k")] * 3))
    assert "more than 1000 bytes by step 2" in error.message
    assert len((await api.batch(_get(b"k"), _get(b"k"))).results) == 2


async def test_refused_step_beside_applied_ones_is_indeterminate(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged key must not make what did happen look as if it had not."""
    await api.write(b"k")
    image = type(api.node.store._image)
    intact = image.entry

    def damaged(_: object, key: EntryKey) -> Entry | None:
        if key == at(b"k"):
            message = "the record fails its checksum"
            raise CorruptRecordError(message)
        return intact(api.node.store._image, key)

    monkeypatch.setattr(image, "entry", damaged)
    monkeypatch.setattr(image, "growth", lambda *_: 0)
    error = await api.error(pb.BatchRequest(steps=[_put(b"a"), _put(b"k")]))

    assert error.code == pb.ERROR_CODE_INDETERMINATE
    assert error.may_have_happened
    assert "checksum" in error.message
    assert (await api.get(b"a")).value == b"v"
