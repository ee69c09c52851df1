"""Calls go to who leads, and what is tried again is what may be."""

import asyncio
from collections import deque
from contextvars import ContextVar, copy_context
from typing import cast

import pytest

from kvnode.api.objects_port import Call
from kvnode.errors import (
    IndeterminateError,
    InvalidArgumentError,
    KvError,
    NotLeaderError,
    ObjectEndedError,
    ObjectRaisedError,
    Outcome,
    OverloadedError,
    StoreFullError,
    UnavailableError,
)
from kvnode.objects.telling import Tell, Told
from kvnode.runtime.objects.router import (
    ASK_AGAIN_SECONDS,
    PAUSE_SECONDS,
    ROUTING_SECONDS_MAX,
)
from kvnode.types import ReplicaId
from tests.runtime.objects.router_site import (
    NOBODY,
    SHARD,
    TARGET,
    A,
    B,
    C,
    Site,
    not_leader,
    now,
    on_a_site,
)

# -- whom a call goes to -----------------------------------------------------------


def test_call_of_an_object_that_lives_here_goes_nowhere_else() -> None:
    """As it came, but for how it came."""

    async def main(site: Site) -> None:
        site.objects.leads_here = True
        assert await site.call(key="k") == "here"
        assert await site.call(key="k", forwarded=True) == "here"
        assert site.objects.calls == [(SHARD, TARGET, "add", (1,), {"by": 2}, "k")] * 2
        assert site.peers.calls == []
        assert site.router.leader(SHARD) == "a"

    on_a_site(main)


def test_call_goes_to_whom_the_replica_here_has_heard_of() -> None:
    """Without asking the authority."""

    async def main(site: Site) -> None:
        site.hears_of(B)
        site.says("b", "there")
        assert site.router.leader(SHARD) == "b"
        assert await site.call(key="k") == "there"
        ((node, call),) = site.peers.calls
        assert node == "b"
        assert call == Call(TARGET, "add", (1,), {"by": 2}, "k")
        assert site.authority.times == []

    on_a_site(main)


def test_node_without_a_replica_learns_from_the_authority_and_remembers() -> None:
    """It asks once, and the next call goes there at once."""

    async def main(site: Site) -> None:
        site.authority.leader = C
        site.says("c", "there")
        assert await site.call() == "there"
        assert site.router.leader(SHARD) == "c"
        assert await site.call() == "there"
        assert site.peers.asked == ["c", "c"]
        assert len(site.authority.times) == 1

    on_a_site(main)


def test_who_does_not_lead_and_names_another_is_followed() -> None:
    """Nothing was done, so no key is needed."""

    async def main(site: Site) -> None:
        site.authority.leader = B
        site.says("b", not_leader("c"))
        site.says("c", "there")
        assert await site.call() == "there"
        assert site.peers.asked == ["b", "c"]
        assert len(site.authority.times) == 1
        assert await site.call() == "there"
        assert site.peers.asked == ["b", "c", "c"]

    on_a_site(main)


def test_who_names_this_node_is_not_believed() -> None:
    """It knows of itself; the call is not sent to itself over the network."""

    async def main(site: Site) -> None:
        site.hears_of(B)
        site.says("b", not_leader("a"), not_leader("a"), "there")
        assert await site.call() == "there"
        assert site.peers.asked == ["b", "b", "b"]

    on_a_site(main)


def test_authority_that_names_this_node_is_of_no_help() -> None:
    """Without a replica it leads nothing, whatever is held."""

    async def main(site: Site) -> None:
        site.authority.leader = A
        with pytest.raises(NotLeaderError, match="knows of none that does"):
            await site.call()
        assert site.peers.calls == []
        assert site.router.leader(SHARD) == ""

    on_a_site(main)


def test_what_the_replica_hears_is_newer_than_what_others_have_said() -> None:
    """A guess that was kept would send calls to a leader that is paused."""

    async def main(site: Site) -> None:
        site.hears_of(B)
        site.says("b", not_leader("c"))
        site.says("c", None)
        waiting = site.begin()
        await asyncio.sleep(0.5)
        assert site.router.leader(SHARD) == "c"
        waiting.cancel()
        await asyncio.wait([waiting])

        site.says("b", not_leader("c"))
        waiting = site.begin()
        await asyncio.sleep(0.5)
        site.hears_of(B)
        site.says("b", "there")
        assert site.router.leader(SHARD) == "b"
        with pytest.raises(IndeterminateError):
            await waiting
        assert await site.call() == "there"

    on_a_site(main)


def test_guess_that_holds_is_kept_until_the_replica_hears_of_a_leader() -> None:
    """A shard that has moved away leaves a replica that hears of nobody any more."""

    async def main(site: Site) -> None:
        site.hears_of(B)
        site.says("b", not_leader("c"))
        site.says("c", "there")
        assert await site.call() == "there"
        assert site.router.leader(SHARD) == "c"
        assert await site.call() == "there"
        assert site.peers.asked == ["b", "c", "c"]
        site.hears_of(B)  # in a later epoch
        assert site.router.leader(SHARD) == "b"

    on_a_site(main)


def test_forwarded_call_is_never_sent_on() -> None:
    """Else two nodes that hold each other for the leader would play ball with it."""

    async def main(site: Site) -> None:
        site.hears_of(B)
        start = now()
        with pytest.raises(NotLeaderError, match=r"s000, b does") as caught:
            await site.call(forwarded=True, key="k")
        assert caught.value.leader == "b"
        assert now() == start
        assert site.peers.calls == []

    on_a_site(main)


def test_forwarded_call_that_fails_here_is_not_tried_again() -> None:
    """Who has sent it knows best whether it may be."""

    async def main(site: Site) -> None:
        site.objects.leads_here = True
        for failure in (IndeterminateError("lost"), UnavailableError("no")):
            site.objects.answers = deque([failure, "again"])
            with pytest.raises(type(failure)):
                await site.call(forwarded=True, key="k")
            assert list(site.objects.answers) == ["again"]

    on_a_site(main)


# -- what is tried again -----------------------------------------------------------


def test_call_waits_while_nobody_leads() -> None:
    """And goes on with the first that does."""

    async def main(site: Site) -> None:
        site.shards.has = True
        calling = site.begin()
        await asyncio.sleep(1.5)
        assert not calling.done()
        site.objects.leads_here = True
        assert await calling == "here"
        assert site.authority.times == []  # a replica finds out by itself

    on_a_site(main)


@pytest.mark.parametrize(
    ("leader", "message"),
    [
        (NOBODY, "this node does not lead shard s000, and knows of none that does"),
        (B, "there is no connection to b"),
    ],
)
def test_call_gives_up_after_a_while_and_says_what_is_known(
    leader: ReplicaId, message: str
) -> None:
    """About as long as a takeover lasts, and not longer."""

    async def main(site: Site) -> None:
        site.hears_of(leader)
        site.says("b", UnavailableError("there is no connection to b"))
        start = now()
        with pytest.raises(UnavailableError, match=message):
            await site.call()
        assert 0.8 * ROUTING_SECONDS_MAX < now() - start <= ROUTING_SECONDS_MAX

    on_a_site(main)


@pytest.mark.parametrize("where", ["here", "there"])
def test_what_may_have_happened_is_not_done_twice_without_a_key(where: str) -> None:
    """The caller is told so."""

    async def main(site: Site) -> None:
        lost = IndeterminateError("the lead was lost")
        site.objects.leads_here = where == "here"
        site.objects.answers = deque([lost])
        site.hears_of(B)
        site.says("b", lost, "again")
        with pytest.raises(IndeterminateError, match="the lead was lost"):
            await site.call()
        assert len(site.objects.calls) + len(site.peers.calls) == 1

    on_a_site(main)


@pytest.mark.parametrize("where", ["here", "there"])
def test_what_may_have_happened_is_tried_again_with_a_key(where: str) -> None:
    """Under the same key, of which one call happens."""

    async def main(site: Site) -> None:
        lost = IndeterminateError("the lead was lost")
        site.objects.leads_here = where == "here"
        site.objects.answers = deque([lost, "again"])
        site.hears_of(B)
        site.says("b", lost, "again")
        assert await site.call(key="k") == "again"
        keys = {call.idempotency_key for _, call in site.peers.calls}
        keys |= {str(call[-1]) for call in site.objects.calls}
        assert keys == {"k"}
        assert len(site.objects.calls) + len(site.peers.calls) == 2

    on_a_site(main)


@pytest.mark.parametrize(
    "later",
    [
        not_leader(),
        UnavailableError("no connection"),
        OverloadedError("busy"),
        StoreFullError("full"),
        ObjectEndedError("it has ended itself"),
    ],
    ids=repr,
)
def test_doubt_outlives_tries_that_did_nothing(later: KvError) -> None:
    """That nothing was done the last time says nothing of the first."""

    async def main(site: Site) -> None:
        site.hears_of(B)
        site.says("b", IndeterminateError("the answer was lost"), later)
        with pytest.raises(IndeterminateError, match="the answer was lost") as caught:
            await site.call(key="k")
        assert caught.value.outcome is Outcome.INDETERMINATE
        assert len(site.peers.calls) > 1

    on_a_site(main)


@pytest.mark.parametrize(
    "error",
    [
        OverloadedError("busy"),
        StoreFullError("full"),
        ObjectEndedError("it has ended itself"),
        InvalidArgumentError("no such method"),
        ObjectRaisedError("no apples", type_name="ValueError"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("where", ["here", "there"])
def test_error_that_trying_again_does_not_mend_is_told_at_once(
    where: str, error: KvError
) -> None:
    """Under a key, too."""

    async def main(site: Site) -> None:
        site.objects.leads_here = where == "here"
        site.objects.answers = deque([error, "again"])
        site.hears_of(B)
        site.says("b", error, "again")
        with pytest.raises(type(error)) as caught:
            await site.call(key="k")
        assert caught.value is error
        assert len(site.objects.calls) + len(site.peers.calls) == 1

    on_a_site(main)


def test_leader_whose_object_has_ended_is_the_leader_still() -> None:
    """Calls of other objects need not look for it."""

    async def main(site: Site) -> None:
        site.authority.leader = C
        site.says("c", ObjectEndedError("it has ended itself"))
        with pytest.raises(ObjectEndedError):
            await site.call()
        assert site.router.leader(SHARD) == "c"
        await asyncio.sleep(ASK_AGAIN_SECONDS)
        with pytest.raises(ObjectEndedError):
            await site.call()
        assert site.peers.asked == ["c", "c"]
        assert len(site.authority.times) == 1

    on_a_site(main)


def test_object_that_moves_away_in_the_middle_is_followed() -> None:
    """The lead was lost before the call began."""

    async def main(site: Site) -> None:
        site.objects.leads_here = True
        site.says("b", "there")
        site.objects.answers = deque([not_leader()])
        calling = site.begin()
        await asyncio.sleep(0)
        site.objects.leads_here = False
        site.hears_of(B)
        assert await calling == "there"

    on_a_site(main)


def test_call_that_waits_goes_on_when_another_leader_is_heard_of() -> None:
    """Not when its pause is over, which has grown by then."""

    async def main(site: Site) -> None:
        site.hears_of(NOBODY)
        site.says("b", "there")
        waiting = site.begin()
        await asyncio.sleep(0.65)
        start = now()
        site.hears_of(B)
        assert await waiting == "there"
        assert now() - start < PAUSE_SECONDS

    on_a_site(main)


def test_call_that_is_refused_by_a_leader_just_heard_of_asks_again_soon() -> None:
    """It takes over and does not serve yet, which lasts for some milliseconds."""

    async def main(site: Site) -> None:
        site.hears_of(NOBODY)
        waiting = site.begin()
        await asyncio.sleep(0.65)
        start = now()
        site.says("b", not_leader(), "there")
        site.hears_of(B)
        assert await waiting == "there"
        assert now() - start < 2 * PAUSE_SECONDS

    on_a_site(main)


def test_call_that_is_tried_again_has_the_context_of_its_caller() -> None:
    """Not that of who has told that it failed, which may be in a section."""
    who = ContextVar("who", default="nobody")

    async def main(site: Site) -> None:
        seen: list[str] = []
        tells: list[Tell] = []

        def begin(*called: object) -> bool:
            tells.append(cast("Tell", called[-1]))
            return True

        async def call(*_: object, **__: object) -> str:
            seen.append(who.get())
            return "done"

        site.objects.leads_here = True
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(site.objects, "begin", begin)
            patch.setattr(site.objects, "call", call)
            told: list[Told] = []
            site.router.begin(Call(TARGET, "add"), told.append)
            another = copy_context()
            another.run(who.set, "somebody")
            another.run(tells[0], UnavailableError("the object has ended"))
            await asyncio.sleep(0.1)
        assert seen == ["nobody"]
        assert len(told) == 1

    on_a_site(main)
