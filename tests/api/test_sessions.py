"""Sessions: tokens hold what was seen, and nodes honour them (rules S1 to S3, D3)."""

import asyncio

import pytest

from kvnode._pb import kv_pb2 as pb
from kvnode.api.tokens import encode_session
from kvnode.api.write_replies import DataRequest
from kvnode.core.clocks.hybrid_logical_clock import from_millis
from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.crdt.counter import PnCounter
from kvnode.core.node.events import PeerUp
from kvnode.core.replication.messages import Push, Report
from kvnode.core.versions.floor import GROUND
from kvnode.core.versions.record import WIRE, decode
from kvnode.core.versions.roster import Member, Standing
from kvnode.core.versions.session import Session
from kvnode.core.versions.store_view import PeerAddress
from kvnode.core.versions.version import Kind
from kvnode.limits import SESSION_AHEAD_MILLIS_MAX
from kvnode.runtime import inbox
from kvnode.types import Dot, HlcTimestamp, Millis
from tests.api.services import Api, own_dot, peer_dot
from tests.runtime.nodes import NOW, PEER, THIRD, foreign, until

OTHER_DOT = Dot(THIRD, 9)


def _token(*dots: Dot, hlc: int = 0) -> bytes:
    return encode_session(Session(tuple(sorted(dots)), HlcTimestamp(hlc)), GROUND)


# -- what a token holds (S1, D3) ---------------------------------------------------


async def test_write_goes_into_the_session(api: Api) -> None:
    """Its dot and its time, on top of what was there before."""
    await api.hear(b"theirs", foreign(1))
    options = pb.Options(session=_token(peer_dot(1)))

    reply = await api.put(pb.PutRequest(key=b"k", options=options))

    session = api.session(reply.session)
    assert session.seen == (own_dot(1), peer_dot(1))
    assert session.hlc == (await api.get(b"k")).hlc


async def test_read_goes_into_the_session(api: Api) -> None:
    """A value, and a deletion as well: it must not come back to life."""
    await api.write(b"k")
    assert api.session((await api.get(b"k")).session).seen == (own_dot(1),)

    await api.ask(pb.DeleteRequest(key=b"k"))

    assert api.session((await api.get(b"k")).session).seen == (own_dot(2),)
    assert api.session((await api.get(b"never")).session).seen == ()


async def test_expired_entry_goes_into_the_session(api: Api) -> None:
    """Reading its absence means having seen it."""
    await api.put(pb.PutRequest(key=b"k", ttl_ms=1))
    api.node.clock.now = Millis(NOW + 1)

    assert api.session((await api.get(b"k")).session).seen == (own_dot(1),)


async def test_refused_condition_goes_into_the_session(api: Api) -> None:
    """The caller was told of the version in the way."""
    await api.write(b"k")

    reply = await api.put(pb.PutRequest(key=b"k", if_absent=True))

    assert api.session(reply.session).seen == (own_dot(1),)


async def test_list_has_seen_all_that_is_covered(api: Api) -> None:
    """What is not on the page has been seen not to be there."""
    await api.write(b"k")
    await api.hear(b"theirs", foreign(1))

    page = await api.list(pb.ListRequest(prefix=b"nothing"))

    assert api.session(page.session).seen == (own_dot(1), peer_dot(1))


async def test_pushed_entry_that_is_not_covered_brings_its_dependencies(
    api: Api,
) -> None:
    """D4: effect must not be seen without cause."""
    await api.node.peer_up()
    await api.hear(b"k", foreign(1, dependencies=(OTHER_DOT,)))

    reply = await api.get(b"k")

    assert reply.value == b"theirs"
    assert api.session(reply.session).seen == (peer_dot(1), OTHER_DOT)


async def test_entry_of_an_unfinished_delta_brings_its_snapshot_clock(api: Api) -> None:
    """D3: all that it may depend on came with the same snapshot."""
    snapshot = VersionVector.of({PEER: 7, THIRD: 9})
    await api.hear_uncovered(b"k", foreign(5), snapshot)

    reply = await api.get(b"k")
    page = await api.list(pb.ListRequest())

    for token in (reply.session, page.session):
        assert api.session(token).seen == (peer_dot(7), OTHER_DOT)
    assert api.node.driver.clock().newest(PEER) == 0


async def test_write_upon_an_uncovered_contribution_brings_its_cause(api: Api) -> None:
    """A counter's reply shows what the peer added, which is not covered."""
    snapshot = VersionVector.of({PEER: 7, THIRD: 9})
    entry = foreign(5, PnCounter().add(PEER, 40).encode())
    entry = entry._replace(version=entry.version._replace(kind=Kind.COUNTER))
    waiting = api.ask(pb.CounterRequest(key=b"n", delta=2))
    await api.hear_uncovered(b"n", entry, snapshot)
    await waiting

    result = await api.ask(pb.CounterRequest(key=b"n", delta=2))

    assert result.counter.value == 44
    seen = api.session(result.counter.session).seen
    assert seen == (own_dot(2), peer_dot(7), OTHER_DOT)


async def test_contribution_that_came_after_the_request_counts(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    What is pending is asked when the reply is made, not when the request came.

    A page waits behind what clients ask in its own turn, and not in the next.
    """
    monkeypatch.setattr(inbox, "TURN_OPERATIONS_MAX", 1)
    snapshot = VersionVector.of({PEER: 7, THIRD: 9})
    entry = foreign(5, PnCounter().add(PEER, 40).encode())
    entry = entry._replace(version=entry.version._replace(kind=Kind.COUNTER))
    await api.node.peer_up(snapshot)
    api.node.store.hold()
    for _ in range(2):  # one turn on its way to disk, and one staged upon it
        api.ask(pb.PutRequest(key=b"other"))
        await api.node.settled()
    api.ask(pb.PutRequest(key=b"other"))  # the turn of the page
    await api.node.receive(api.first_page(b"n", entry, snapshot))
    adding = api.ask(pb.CounterRequest(key=b"n", delta=2))
    assert api.node.driver.pending() == VersionVector()

    api.node.store.gate.set()
    result = await adding

    assert result.counter.value == 42
    assert OTHER_DOT in api.session(result.counter.session).seen


async def test_tokens_are_not_made_unless_wanted(api: Api) -> None:
    """In frames they cost more than the operation; unary replies carry one."""
    await api.write(b"k")
    requests: list[DataRequest] = [
        pb.GetRequest(key=b"k"),
        pb.PutRequest(key=b"k"),
        pb.DeleteRequest(key=b"k"),
        pb.ListRequest(),
        pb.CounterRequest(key=b"n", delta=1),
        pb.CounterRequest(key=b"n"),
        pb.SetRequest(key=b"s", add=[b"a"]),
        pb.SetRequest(key=b"s"),
        pb.DocumentRequest(key=b"d"),
        pb.BatchRequest(),
        pb.BatchRequest(steps=[pb.BatchRequest.Step(get=pb.GetRequest(key=b"k"))]),
    ]
    for request in requests:
        for unary, wanted in ((False, False), (False, True), (True, False)):
            request.options.want_session = wanted
            result = await api.ask(request, unary=unary)
            kind = result.WhichOneof("kind")
            assert kind not in {None, "error"}
            token = getattr(result, kind or "").session
            assert bool(token) == (unary or wanted) or not api.session(token).seen


# -- honouring a token (S2) --------------------------------------------------------


async def test_request_waits_for_what_its_session_has_seen(api: Api) -> None:
    """Reads and writes alike; then the answer is not stale."""
    await api.node.peer_up()
    options = pb.Options(session=_token(peer_dot(1)), deadline_ms=60_000)
    reading = api.ask(pb.GetRequest(key=b"k", options=options))
    writing = api.ask(pb.PutRequest(key=b"mine", options=options))
    await api.node.settled()
    assert not reading.done()
    assert not writing.done()

    await api.hear(b"k", foreign(1))

    assert (await reading).get.value == b"theirs"
    assert not (await reading).get.stale
    assert (await writing).write.applied
    assert api.waiting == set()


async def test_writes_of_a_session_keep_their_order_when_they_waited(api: Api) -> None:
    """Writes of one frame are applied in order."""
    await api.node.peer_up()
    options = pb.Options(session=_token(peer_dot(1)), deadline_ms=60_000)
    replies = [
        api.ask(pb.PutRequest(key=b"k", value=b"%d" % n, options=options))
        for n in range(5)
    ]
    await api.node.settled()

    await api.hear(b"other", foreign(1))

    versions = [(await reply).write.version.partition("@")[0] for reply in replies]
    assert versions == ["1", "2", "3", "4", "5"]


async def test_request_that_waited_too_long_says_what_is_lacking(api: Api) -> None:
    """S2: nothing was done, and another node may be able to."""
    await api.write(b"k")
    options = pb.Options(session=_token(own_dot(4), peer_dot(3)), deadline_ms=1)

    error = await api.error(pb.PutRequest(key=b"k", value=b"w", options=options))

    assert error.code == pb.ERROR_CODE_NOT_COVERED
    assert not error.may_have_happened
    assert "lacks 2" in error.message
    assert "4@000000000000000a (has 1)" in error.message
    assert "3@000000000000000b (has 0)" in error.message
    assert (await api.get(b"k")).value == b"value"


async def test_stale_ok_answers_at_once_and_says_so(api: Api) -> None:
    """With what is here; the session keeps what it had seen."""
    await api.write(b"k")
    options = pb.Options(session=_token(peer_dot(3)), stale_ok=True)

    reply = await api.get(b"k", options)
    page = await api.list(pb.ListRequest(options=options))
    counter = await api.ask(pb.CounterRequest(key=b"n", options=options))

    assert reply.value == b"value"
    assert reply.stale
    assert page.stale
    assert counter.counter.stale
    assert api.session(reply.session).seen == (own_dot(1), peer_dot(3))


async def test_stale_write_says_so_and_does_not_depend_on_what_is_not_here(
    api: Api,
) -> None:
    """S2: the token goes on, the dependency cannot."""
    await api.node.peer_up()
    await api.hear(b"theirs", foreign(1))
    token = _token(peer_dot(1), OTHER_DOT, hlc=(NOW + 50) << 16)
    options = pb.Options(session=token, stale_ok=True)

    reply = await api.put(pb.PutRequest(key=b"k", options=options))
    counter = await api.ask(pb.CounterRequest(key=b"n", delta=1, options=options))
    members = await api.ask(pb.SetRequest(key=b"s", add=[b"a"], options=options))

    assert reply.stale
    assert counter.counter.stale
    assert members.set.stale
    assert api.session(reply.session).seen == (own_dot(1), peer_dot(1), OTHER_DOT)
    push = api.node.transport.messages(Push)[0]
    version = decode(push.entries[0].record, WIRE).version
    assert version.dependencies == (peer_dot(1),)
    assert version.hlc > (NOW + 50) << 16


async def test_covered_session_is_not_stale(api: Api) -> None:
    """Not even if that would have been all right."""
    await api.write(b"k")
    options = pb.Options(session=_token(own_dot(1)), stale_ok=True)
    assert not (await api.get(b"k", options)).stale


async def test_waiting_operations_end_with_their_caller(api: Api) -> None:
    """Nobody waits for an hour for a client that has gone."""
    options = pb.Options(session=_token(peer_dot(1)), deadline_ms=3_600_000)
    api.ask(pb.PutRequest(key=b"k", options=options))
    await api.node.settled()
    (task,) = api.waiting

    task.cancel()
    await api.node.settled()

    assert api.waiting == set()
    assert api.node.driver._covering == {}


# -- what is lost for good (docs/decisions/0034) -----------------------------------


async def _ends(api: Api, last: int) -> None:
    """Let the node hear that PEER is gone, and where its writes end."""
    ended = Member(
        PEER, "tokyo", standing=Standing.REMOVED, fenced_from=last + 1, lost_above=last
    )
    third = PeerAddress("lima", "", THIRD)
    await api.node.driver.deliver(
        PeerUp(third, VersionVector(), (), (ended,), GROUND, 2)
    )
    await api.node.settled()


async def test_session_that_has_seen_what_is_lost_is_told_at_once(api: Api) -> None:
    """By whom it was written, and with the token that is left; nothing is done."""
    await _ends(api, 2)
    token = _token(peer_dot(5), OTHER_DOT, hlc=7)
    options = pb.Options(session=token, deadline_ms=3_600_000)

    error = await api.error(pb.PutRequest(key=b"k", value=b"v", options=options))

    assert error.HasField("session_loss")
    assert not error.may_have_happened
    assert not error.retryable
    assert "3 to 5 of tokyo (000000000000000b)" in error.message
    [lost] = error.session_loss.lost
    assert (lost.replica, lost.name, lost.first, lost.last) == (PEER, "tokyo", 3, 5)
    left = api.session(error.session_loss.session)
    assert left == Session((peer_dot(2), OTHER_DOT), HlcTimestamp(7))
    assert (await api.get(b"k")).type == pb.VALUE_TYPE_ABSENT


async def test_request_that_waits_is_told_when_it_becomes_known(api: Api) -> None:
    """Not at its deadline: no waiting can help any more."""
    options = pb.Options(session=_token(peer_dot(1)), deadline_ms=3_600_000)
    waiting = api.ask(pb.GetRequest(key=b"k", options=options))
    await api.node.settled()
    assert not waiting.done()

    await _ends(api, 0)
    await api.node.settled()

    result = await asyncio.wait_for(waiting, 1)
    assert result.error.HasField("session_loss")
    assert "lost: 1 of tokyo" in result.error.message
    assert api.session(result.error.session_loss.session).seen == ()


async def test_session_is_not_told_of_a_loss_before_members_have_agreed(
    api: Api,
) -> None:
    """A fence is no agreement: another member may have it."""
    gone = Member(PEER, "tokyo", standing=Standing.REMOVED, fenced_from=1)
    up = PeerUp(PeerAddress("lima", "", THIRD), VersionVector(), (), (gone,), GROUND, 2)
    await api.node.driver.deliver(up)
    options = pb.Options(session=_token(peer_dot(1)), deadline_ms=1)

    error = await api.error(pb.GetRequest(key=b"k", options=options))

    assert error.code == pb.ERROR_CODE_NOT_COVERED


async def test_stale_ok_and_the_token_that_is_left_go_on(api: Api) -> None:
    """Who accepts the loss, for once or for good, is served."""
    await _ends(api, 0)
    await api.write(b"k")
    token = _token(own_dot(1), peer_dot(5))

    stale = await api.get(b"k", pb.Options(session=token, stale_ok=True))
    error = await api.error(pb.GetRequest(key=b"k", options=pb.Options(session=token)))
    left = pb.Options(session=error.session_loss.session)

    assert stale.stale
    assert api.session(stale.session).seen == (own_dot(1), peer_dot(5))
    assert not (await api.get(b"k", left)).stale


# -- bounded staleness (S3) --------------------------------------------------------


async def test_bound_needs_news_from_every_peer(api: Api) -> None:
    """Who has not been heard may have written anything."""
    await api.write(b"k")
    bounded = pb.Options(max_staleness_ms=2000, deadline_ms=1)
    assert (await api.get(b"k", bounded)).value == b"value"

    await api.node.peer_up()
    error = await api.error(pb.GetRequest(key=b"k", options=bounded))
    assert error.code == pb.ERROR_CODE_NOT_COVERED
    assert "not heard from tokyo" in error.message

    await api.node.receive(Report(VersionVector(), NOW))
    assert (await api.get(b"k", bounded)).value == b"value"

    api.node.clock.now = Millis(NOW + 2001)
    error = await api.error(pb.GetRequest(key=b"k", options=bounded))
    assert "2501 ms behind tokyo" in error.message  # its clock may be 500 ms off


async def test_report_counts_once_it_is_covered(api: Api) -> None:
    """What the peer had written by then must be here."""
    await api.node.peer_up()
    bounded = pb.Options(max_staleness_ms=2000, deadline_ms=1)
    await api.node.receive(Report(VersionVector.of({PEER: 1}), NOW))
    assert (await api.error(pb.GetRequest(key=b"k", options=bounded))).code

    await api.hear(b"k", foreign(1))

    assert (await api.get(b"k", bounded)).value == b"theirs"


@pytest.mark.parametrize("deadline_ms", [60_000])
async def test_bounded_read_waits_or_answers_stale(api: Api, deadline_ms: int) -> None:
    """As with a token: wait, or say that it is stale."""
    await api.node.peer_up()
    bounded = pb.Options(max_staleness_ms=2000, deadline_ms=deadline_ms)
    waiting = api.ask(pb.GetRequest(key=b"k", options=bounded))
    bounded.stale_ok = True
    assert (await api.get(b"k", bounded)).stale

    await api.node.receive(Report(VersionVector(), NOW))

    assert not (await asyncio.wait_for(waiting, 5)).get.stale


async def test_read_that_waited_is_not_answered_by_a_node_that_is_filled_by_then(
    api: Api,
) -> None:
    """D10: it served when the read came, and all that the read waits for is here."""
    await api.node.peer_up()
    bounded = pb.Options(max_staleness_ms=2000, deadline_ms=60_000)
    waiting = api.ask(pb.GetRequest(key=b"k", options=bounded))
    await api.node.settled()
    await api.node.receive(Report(VersionVector(), NOW))

    await api.node.peer_up(VersionVector.of({PEER: 1}), protocol=2)

    error = (await asyncio.wait_for(waiting, 5)).error
    assert error.code == pb.ERROR_CODE_UNAVAILABLE
    assert "being filled" in error.message
    assert not error.may_have_happened


# -- what every member covers is not named (S1) ------------------------------------


async def test_token_names_nothing_below_the_floor(api: Api) -> None:
    """And says so, by the floor's timestamp; a node with that floor covers it."""
    await api.write(b"k")
    api.node.driver.configure(())  # it is a member now, and the only one
    api.node.clock.now = Millis(api.node.clock.now + 60_000)
    await until(lambda: bool(api.node.driver.floor()))

    token = (await api.get(b"k")).session

    session = api.session(token)
    assert session.seen == ()
    assert session.floor == api.node.driver.floor().hlc
    reply = await api.get(b"k", pb.Options(session=token))
    assert reply.value == b"value"


async def test_node_that_may_not_be_a_member_takes_no_shortened_token(
    api: Api,
) -> None:
    """It was restored, say: what is not named may be lacking here."""
    token = encode_session(Session((), HlcTimestamp(0), HlcTimestamp(1)), GROUND)
    options = pb.Options(session=token, deadline_ms=20)

    error = await api.error(pb.GetRequest(key=b"k", options=options))

    assert "does not know yet" in error.message


# -- sessions from the future (C1) -------------------------------------------------


async def test_session_from_the_far_future_is_read_for_and_not_written_for(
    api: Api,
) -> None:
    """It may be this node's clock that is wrong, and reads go on."""
    await api.write(b"k")
    ahead = from_millis(Millis(NOW + 2 * SESSION_AHEAD_MILLIS_MAX))
    options = pb.Options(session=encode_session(Session((own_dot(1),), ahead), GROUND))

    assert (await api.get(b"k", options)).value == b"value"
    error = await api.error(pb.PutRequest(key=b"k", value=b"v", options=options))

    assert error.code == pb.ERROR_CODE_UNAVAILABLE
    assert not error.may_have_happened
    assert "ahead of this node's clock" in error.message
