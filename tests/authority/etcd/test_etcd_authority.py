"""The authority in etcd when endpoints fail, are silent, or lose their answers."""

import asyncio

import grpc
import pytest

from kvnode.core.objects.configuration_codec import encode_configuration
from kvnode.errors import CorruptRecordError, IndeterminateError, UnavailableError
from tests.authority.contract import FIRST, A, B, C
from tests.authority.etcd_site import (
    NO_LEADER,
    PREFIX,
    TIMED_OUT,
    EtcdSite,
    Refusal,
)

SHARD = "eu/1"
KEY = f"{PREFIX}{SHARD}".encode()
SECOND = FIRST.taken_over_by(B)
THIRD = SECOND.taken_over_by(C)

SHORT = 0.2
"""For calls that fail when their time is over."""

ENOUGH = 1.5
"""For those that succeed after an endpoint was silent for its third."""

DENIED = Refusal(grpc.StatusCode.PERMISSION_DENIED, "etcdserver: permission denied")
NOT_LEADER = Refusal(grpc.StatusCode.FAILED_PRECONDITION, "etcdserver: not leader")
OVERLOADED = Refusal(
    grpc.StatusCode.RESOURCE_EXHAUSTED, "etcdserver: too many requests"
)
PROXY = Refusal(grpc.StatusCode.UNAVAILABLE, "upstream reset")


# -- what is kept ------------------------------------------------------------------


async def test_key_is_the_prefix_and_the_shards_name(site: EtcdSite) -> None:
    """And people can read its value."""
    await site.authority().swap(SHARD, None, FIRST)

    assert site.store.pairs[KEY].value.startswith(b'{"epoch":1,"leader":"00')


async def test_register_that_is_empty_is_not_looked_at_first(site: EtcdSite) -> None:
    """The transaction says whether it is."""
    await site.authority().swap(SHARD, None, FIRST)

    assert site.members[0].asked == ["Txn"]


async def test_first_configuration_has_no_leader_but_its_own(site: EtcdSite) -> None:
    """Two processes that found at once agree on one of both."""
    theirs = FIRST.taken_over_by(A)

    answers = await asyncio.gather(
        site.authority().swap(SHARD, None, FIRST),
        site.authority().swap(SHARD, None, theirs),
    )

    assert answers[0] == answers[1]


async def test_who_was_faster_is_not_overwritten(site: EtcdSite) -> None:
    """Between the look and the transaction another leader has come."""
    authority = site.authority()
    await authority.swap(SHARD, None, FIRST)
    theirs = FIRST.taken_over_by(C)
    site.members[0].before_transaction = lambda: site.store.put(
        KEY, encode_configuration(theirs)
    )

    assert await authority.swap(SHARD, FIRST, SECOND) == theirs
    assert await authority.read(SHARD) == theirs


async def test_same_value_put_again_by_hand_holds_up_nobody(site: EtcdSite) -> None:
    """It is what is expected, only later."""
    authority = site.authority()
    await authority.swap(SHARD, None, FIRST)
    site.members[0].before_transaction = lambda: site.store.put(
        KEY, encode_configuration(FIRST)
    )

    assert await authority.swap(SHARD, FIRST, SECOND) == SECOND


async def test_register_that_was_removed_is_not_begun_anew(site: EtcdSite) -> None:
    """Its epochs were given out."""
    authority = site.authority()
    await authority.swap(SHARD, None, FIRST)
    del site.store.pairs[KEY]

    with pytest.raises(CorruptRecordError, match="removed it"):
        await authority.swap(SHARD, FIRST, SECOND)
    assert KEY not in site.store.pairs


async def test_value_of_somebody_else_is_told_with_its_key(site: EtcdSite) -> None:
    """It is not kvnode's, and is left alone."""
    site.store.put(KEY, b"somebody's")

    with pytest.raises(CorruptRecordError, match=f"{PREFIX}{SHARD}.*may write there"):
        await site.authority().read(SHARD)
    with pytest.raises(CorruptRecordError):
        await site.authority().swap(SHARD, None, FIRST)
    assert site.store.pairs[KEY].value == b"somebody's"


# -- endpoints ---------------------------------------------------------------------


async def test_silent_endpoint_leaves_time_for_others_and_is_asked_last_then(
    site: EtcdSite,
) -> None:
    """Who would wait for it again would wait at every takeover."""
    site.members[0].is_silent = True
    authority = site.authority(answer_seconds=ENOUGH)

    assert await authority.swap(SHARD, None, FIRST) == FIRST
    assert await authority.read(SHARD) == FIRST
    assert site.members[0].asked == ["Txn"]
    assert site.members[1].asked == ["Txn", "Range"]


async def test_connection_that_was_silent_is_given_up(site: EtcdSite) -> None:
    """What lies between may have lost it, and would for ever."""
    authority = site.authority(answer_seconds=ENOUGH)
    await authority.read(SHARD)
    site.members[0].is_silent = True
    await authority.read(SHARD)
    site.members[0].is_silent = False
    for member in site.members[1:]:
        await member.end()

    await authority.read(SHARD)

    first, silent, after = site.members[0].peers
    assert first == silent != after


async def test_endpoint_that_has_failed_is_asked_after_those_that_have_not(
    site: EtcdSite,
) -> None:
    """Even if it was named before them."""
    site.members[0].is_silent = True
    authority = site.authority(answer_seconds=ENOUGH)
    await authority.read(SHARD)
    await site.members[1].end()

    await authority.read(SHARD)

    assert len(site.members[0].asked) == 1
    assert site.members[2].asked == ["Range"]


async def test_member_that_is_cut_off_says_so_at_once(site: EtcdSite) -> None:
    """It is asked to; else it would be as silent as one that is paused."""
    for member in site.members:
        member.is_cut_off = True
    authority = site.authority(answer_seconds=SHORT)

    with pytest.raises(UnavailableError, match="no leader"):
        await authority.swap(SHARD, None, FIRST)
    assert all(member.asked for member in site.members)


async def test_endpoint_that_does_not_listen_is_passed_over(site: EtcdSite) -> None:
    """Two of them, even."""
    await site.members[0].end()
    await site.members[1].end()

    assert await site.authority().swap(SHARD, None, FIRST) == FIRST


async def test_silence_everywhere_is_told_when_time_is_over(site: EtcdSite) -> None:
    """Nothing was asked for but a look; each endpoint that was asked is named."""
    for member in site.members:
        member.is_silent = True
    authority = site.authority(answer_seconds=SHORT)

    with pytest.raises(UnavailableError) as caught:
        await authority.swap(SHARD, FIRST, SECOND)
    assert f"{site.members[0].endpoint} has not answered within" in str(caught.value)


async def test_etcd_that_comes_back_in_time_is_waited_for(site: EtcdSite) -> None:
    """Its members start again while it is asked."""
    for member in site.members:
        await member.end()
    reading = asyncio.create_task(site.authority(answer_seconds=10).read(SHARD))
    await asyncio.sleep(0.15)
    assert not reading.done()

    await site.members[2].start()

    assert await reading is None


async def test_nobody_who_listens_means_that_nothing_has_happened(
    site: EtcdSite,
) -> None:
    """A change was never sent; all endpoints are named, and what to look at."""
    for member in site.members:
        await member.end()

    with pytest.raises(UnavailableError) as caught:
        await site.authority(answer_seconds=SHORT).swap(SHARD, None, FIRST)
    for member in site.members:
        assert f"{member.endpoint} cannot be reached" in str(caught.value)
    assert "failed to connect" in str(caught.value), "gRPC's own reason"
    assert "is etcd listening there?" in str(caught.value)


@pytest.mark.parametrize("refusal", [NO_LEADER, NOT_LEADER, OVERLOADED])
async def test_endpoint_that_cannot_now_is_passed_over(
    site: EtcdSite, refusal: Refusal
) -> None:
    """Another member may; and if none can, nothing has happened."""
    site.members[0].refusal = refusal
    assert await site.authority().swap(SHARD, None, FIRST) == FIRST

    for member in site.members:
        member.refusal = refusal
    with pytest.raises(UnavailableError, match=refusal.details):
        await site.authority(answer_seconds=SHORT).swap(SHARD, None, SECOND)


async def test_refusal_for_good_is_not_asked_for_again(site: EtcdSite) -> None:
    """Every member would say the same."""
    for member in site.members:
        member.refusal = DENIED

    with pytest.raises(UnavailableError, match="read and write below the prefix"):
        await site.authority().swap(SHARD, None, FIRST)
    assert sum(len(member.asked) for member in site.members) == 1


# -- what may have happened --------------------------------------------------------


async def test_change_whose_answer_was_lost_is_found_at_another(
    site: EtcdSite,
) -> None:
    """It is asked for again there, and has happened already."""
    site.members[0].loses_answers = True
    authority = site.authority(answer_seconds=ENOUGH)

    assert await authority.swap(SHARD, None, FIRST) == FIRST
    assert site.members[0].asked == site.members[1].asked == ["Txn"]
    assert site.store.pairs[KEY].create_revision == site.store.revision


async def test_change_whose_answers_were_all_lost_may_have_happened(
    site: EtcdSite,
) -> None:
    """It has; and who asks again is told so."""
    for member in site.members:
        member.loses_answers = True
    authority = site.authority(answer_seconds=SHORT)

    with pytest.raises(IndeterminateError):
        await authority.swap(SHARD, None, FIRST)

    for member in site.members:
        member.loses_answers = False
    assert await authority.swap(SHARD, None, FIRST) == FIRST


@pytest.mark.parametrize("refusal", [TIMED_OUT, PROXY])
async def test_status_that_leaves_it_open_is_told_as_such(
    site: EtcdSite, refusal: Refusal
) -> None:
    """Etcd has stopped waiting, or it was not etcd that answered."""
    for member in site.members:
        member.refusal = refusal
    authority = site.authority(answer_seconds=SHORT)

    with pytest.raises(IndeterminateError, match=refusal.details):
        await authority.swap(SHARD, None, FIRST)
    with pytest.raises(UnavailableError, match=refusal.details):
        await authority.read(SHARD)


async def test_doubt_is_not_forgotten_over_a_later_refusal(site: EtcdSite) -> None:
    """The first endpoint may have done it; the second says only that it has not."""
    site.members[0].refusal = TIMED_OUT
    site.members[1].refusal = DENIED

    with pytest.raises(IndeterminateError, match="permission denied"):
        await site.authority().swap(SHARD, None, FIRST)


async def test_transaction_that_arrives_late_changes_nothing(site: EtcdSite) -> None:
    """It compares a revision that has passed; whoever leads by then goes on."""
    authority = site.authority(answer_seconds=ENOUGH)
    await authority.swap(SHARD, None, FIRST)
    late = site.members[0].late = asyncio.Event()
    assert await authority.swap(SHARD, FIRST, SECOND) == SECOND
    assert await authority.swap(SHARD, SECOND, THIRD) == THIRD
    before = site.store.revision

    late.set()
    await asyncio.gather(*site.members[0].behind)

    assert site.store.revision == before
    assert await authority.read(SHARD) == THIRD


async def test_call_under_way_fails_when_connections_end(site: EtcdSite) -> None:
    """With an error of ours: whoever asked was not cancelled."""
    for member in site.members:
        member.is_silent = True
    authority = site.authority(answer_seconds=30)
    reading = asyncio.create_task(authority.read(SHARD))
    while not site.members[0].asked:  # noqa: ASYNC110 -- nothing tells
        await asyncio.sleep(0.001)

    await authority.close()

    with pytest.raises(UnavailableError, match="closed by this node"):
        await reading
    with pytest.raises(UnavailableError, match="closed by this node"):
        await authority.read(SHARD)
    assert sum(len(member.asked) for member in site.members) == 1
