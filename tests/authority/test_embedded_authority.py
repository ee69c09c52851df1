"""The authority that nodes keep themselves: replacements, errors, and its status."""

import asyncio
from collections.abc import AsyncIterator, Callable
from random import Random

import pytest

from cluster.simulated.running import run as run_simulated
from kvnode.authority.embedded_authority import EmbeddedAuthority, Role
from kvnode.authority.replacement import _check_enlisted, _wish_in
from kvnode.core.objects import caspaxos
from kvnode.core.objects.caspaxos import Accept, Ballot, Look, Prepare
from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.voters.duty import Rest
from kvnode.core.objects.voters.electorate import Electorate, Member
from kvnode.core.objects.voters.memory import VoterMemory
from kvnode.core.objects.voters.messages import (
    REGISTER_NAME_BYTES_MAX,
    SUCCESSION,
    Enlist,
    Inquire,
    Install,
    Seal,
    Vote,
    VoterAnswer,
    VoterRequest,
)
from kvnode.errors import (
    IndeterminateError,
    InvalidArgumentError,
    RejectedError,
    UnavailableError,
)
from kvnode.types import ReplicaId
from tests.authority.voter_site import VOTERS, VoterSite, until

SHARD = "eu/1"
A, B, C = map(ReplicaId, (1, 2, 3))
FIRST = Configuration(1, A, (A, B, C))
FOUNDED = Electorate.founded_by(
    [Member(ReplicaId(n), name) for n, name in enumerate(VOTERS, 1)]
)


@pytest.fixture
async def site() -> AsyncIterator[VoterSite]:
    """Three voters that have founded."""
    site = VoterSite()
    await site.found()
    yield site
    await site.close()


def silenced(
    site: VoterSite, monkeypatch: pytest.MonkeyPatch, what: Callable[..., bool]
) -> None:
    """Let answers to some requests be lost, and the requests arrive."""
    ask = site.ask

    async def lossy(
        voter: str, request: VoterRequest, deadline_seconds: float
    ) -> VoterAnswer:
        answer = await ask(voter, request, deadline_seconds)
        if what(voter, request):
            msg = "the answer was lost"
            raise IndeterminateError(msg)
        return answer

    monkeypatch.setattr(site, "ask", lossy)


def watching(
    site: VoterSite, monkeypatch: pytest.MonkeyPatch
) -> list[caspaxos.Request]:
    """Note what voters are asked from now on of registers."""
    asked: list[caspaxos.Request] = []
    ask = site.ask

    async def watched(
        voter: str, request: VoterRequest, deadline_seconds: float
    ) -> VoterAnswer:
        if isinstance(request, Vote):
            asked.append(request.request)
        return await ask(voter, request, deadline_seconds)

    monkeypatch.setattr(site, "ask", watched)
    return asked


async def test_voter_with_a_new_disk_replaces_itself(site: VoterSite) -> None:
    """Under its old name, and another identity; what was held is held."""
    authority = site.authority()
    await authority.swap(SHARD, None, FIRST)
    await site.wipe("b")

    electorate = await authority.replace("b", "b")

    assert electorate.view.number == 2
    assert electorate.has(site.stores["b"].memory.voter)
    await site.until_votes("b")
    await site.end("a")
    assert await authority.read(SHARD) == FIRST


async def test_another_node_replaces_a_voter_that_is_gone(site: VoterSite) -> None:
    """A process that knows the old names alone finds the new voters."""
    await site.authority().swap(SHARD, None, FIRST)
    await site.end("c")
    site.start("d")

    electorate = await site.authority().replace("c", "d")

    assert set(electorate.names) == {"a", "b", "d"}
    await site.until_votes("d")
    await site.end("a")
    assert await site.authority().read(SHARD) == FIRST


async def test_replacement_that_has_happened_happens_once(site: VoterSite) -> None:
    """Who was not told may ask again."""
    site.start("d")
    first = await site.authority().replace("c", "d")

    assert await site.authority().replace("c", "d") == first


async def test_two_operators_at_once_choose_one_after_the_other(
    site: VoterSite,
) -> None:
    """The second finishes what the first has chosen, or finds that it was done."""
    site.start("d")

    outcomes = await asyncio.gather(
        site.authority().replace("c", "d"),
        site.authority().replace("b", "d"),
        return_exceptions=True,
    )

    assert sorted(type(each).__name__ for each in outcomes) == [
        "Electorate",
        "RejectedError",
    ]


@pytest.mark.parametrize(
    ("name", "newcomer", "message"),
    [
        ("x", "d", "x does not vote"),
        ("b", "c", "c is there as a voter already"),
        ("b", "b", None),
    ],
)
async def test_replacement_that_makes_no_sense_is_refused(
    site: VoterSite, name: str, newcomer: str, message: str | None
) -> None:
    """And one of a voter by itself that has lost nothing has happened already."""
    site.start("d")

    if message is None:
        assert (await site.authority().replace(name, newcomer)).view.number == 1
    else:
        with pytest.raises(RejectedError, match=message):
            await site.authority().replace(name, newcomer)


async def test_voter_of_others_does_not_come_over(site: VoterSite) -> None:
    """It has voted elsewhere, and would forget it."""
    site.start("d", names=("d",))
    await site.until_votes("d")

    with pytest.raises(RejectedError, match="disk must be new"):
        await site.authority().replace("b", "d")


async def test_newcomer_that_does_not_answer_changes_nothing(site: VoterSite) -> None:
    """So the operator may name another."""
    with pytest.raises(UnavailableError, match="d cannot be asked"):
        await site.authority().replace("b", "d")


async def test_newcomer_that_loses_its_disk_while_it_is_asked_is_not_chosen(
    site: VoterSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that was asked first would never vote."""
    site.start("d")
    ask = site.ask

    async def wiping(
        voter: str, request: VoterRequest, deadline_seconds: float
    ) -> VoterAnswer:
        if isinstance(request, Enlist):
            await site.wipe("d")
        return await ask(voter, request, deadline_seconds)

    monkeypatch.setattr(site, "ask", wiping)
    with pytest.raises(UnavailableError, match="become another"):
        await site.authority().replace("b", "d")

    status = await site.authority().status()
    assert status.electorate == FOUNDED


async def test_replacement_is_finished_by_the_voters(site: VoterSite) -> None:
    """Whoever began it may die once a single voter is sealed."""
    authority = site.authority()
    await authority.swap(SHARD, None, FIRST)
    site.start("d")
    present = site.hosts["a"].standing.electorate
    assert present is not None
    newcomer = next(iter(present.members))._replace(
        identity=site.stores["d"].memory.voter, name="d"
    )
    await site.end("c")

    await site.ask("a", Seal(present.with_replaced("c", newcomer)), 1.0)
    await site.until_votes("d")

    await site.end("a")
    assert await site.authority().read(SHARD) == FIRST


async def test_newcomer_is_enlisted_before_it_is_chosen(
    site: VoterSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it might found with others before it hears of its being a member."""
    site.start("d")
    barred_when_chosen: list[bool] = []
    ask = site.ask

    async def watched(
        voter: str, request: VoterRequest, deadline_seconds: float
    ) -> VoterAnswer:
        match request:
            case Vote(_, register, Accept(_, value)) if register == SUCCESSION:
                if value:
                    barred_when_chosen.append(site.stores["d"].memory.barred)
            case _:
                pass
        return await ask(voter, request, deadline_seconds)

    monkeypatch.setattr(site, "ask", watched)
    await site.authority().replace("c", "d")

    assert barred_when_chosen
    assert all(barred_when_chosen)


async def test_voter_that_was_replaced_hears_of_it(site: VoterSite) -> None:
    """It says so to whoever looks after its node."""
    site.start("d")
    await site.authority().replace("c", "d")
    site.hosts["c"]._look_now.set()

    await until(lambda: "was replaced" in repr(site.hosts["c"].duty))


async def test_status_tells_who_votes_and_who_does_not(site: VoterSite) -> None:
    """A wiped voter is a stranger, and one that is down is silent."""
    await site.wipe("b")
    site.silent.add("c")

    status = await site.authority().status()

    assert status.electorate is not None
    assert status.electorate.names == VOTERS
    assert [each.role for each in status.voters] == [
        Role.VOTES,
        Role.STRANGER,
        Role.SILENT,
    ]
    await until(lambda: "none of those who vote" in repr(site.hosts["b"].duty))
    assert status.voters[2].trouble == "c is down"


async def test_status_follows_to_voters_that_are_not_configured(
    site: VoterSite,
) -> None:
    """Those who vote are shown, whoever was named."""
    site.start("d")
    await site.authority().replace("c", "d")
    await site.end("c")

    roles = {e.name: e.role for e in (await site.authority().status()).voters}

    assert roles == {
        "a": Role.VOTES,
        "b": Role.VOTES,
        "c": Role.SILENT,
        "d": roles["d"],
    }
    assert roles["d"] in {Role.VOTES, Role.BEHIND}


async def test_name_that_no_shard_has_is_refused(site: VoterSite) -> None:
    """The empty one is the voters' own register."""
    for name in ("", "x" * (REGISTER_NAME_BYTES_MAX + 1)):
        with pytest.raises(InvalidArgumentError, match="1 to 200 bytes"):
            await site.authority().read(name)


def simulated(main: Callable[[VoterSite], object]) -> None:
    """Run *main* on three voters, on virtual time."""

    async def whole(_cluster: object) -> None:
        site = VoterSite()
        await site.found()
        await main(site)  # type: ignore[misc]
        await site.close()

    run_simulated(whole, nodes=())


def test_nothing_has_happened_without_a_majority() -> None:
    """The voters that are down are named."""

    async def main(site: VoterSite) -> None:
        await site.end("a")
        await site.end("b")
        began = asyncio.get_running_loop().time()
        with pytest.raises(UnavailableError, match=r"no majority.*a: a is down; b"):
            await site.authority().swap(SHARD, None, FIRST)
        assert asyncio.get_running_loop().time() - began < 2.0

    simulated(main)


def test_change_that_was_asked_for_and_not_confirmed_may_have_happened() -> None:
    """And who looks, or asks again, is told that it has."""

    async def main(site: VoterSite) -> None:
        with pytest.MonkeyPatch.context() as patch:
            silenced(
                site,
                patch,
                lambda _, request: (
                    isinstance(request, Vote) and isinstance(request.request, Accept)
                ),
            )
            with pytest.raises(IndeterminateError, match="no majority"):
                await site.authority().swap(SHARD, None, FIRST)
            assert await site.authority().read(SHARD) == FIRST
        assert await site.authority().swap(SHARD, None, FIRST) == FIRST

    simulated(main)


def test_replacement_that_was_chosen_and_not_finished_says_so() -> None:
    """Asking again finishes it."""

    async def main(site: VoterSite) -> None:
        site.start("d")
        with pytest.MonkeyPatch.context() as patch:
            silenced(site, patch, lambda _, request: isinstance(request, Seal))
            with pytest.raises(IndeterminateError, match="not in force yet"):
                await site.authority().replace("c", "d")
        assert (await site.authority().replace("c", "d")).view.number == 2

    simulated(main)


def test_replacement_of_which_nothing_more_is_heard_may_have_happened() -> None:
    """Once it was chosen, whatever cannot be reached then."""

    async def main(site: VoterSite) -> None:
        site.start("d")
        ask, chosen = site.ask, list[str]()

        async def until_chosen(
            voter: str, request: VoterRequest, deadline_seconds: float
        ) -> VoterAnswer:
            if len(chosen) >= 2:
                msg = "all is dark"
                raise UnavailableError(msg)
            answer = await ask(voter, request, deadline_seconds)
            match request:
                case Vote(_, register, Accept(_, value)):
                    if register == SUCCESSION and value:
                        chosen.append(voter)
                case _:
                    pass
            return answer

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(site, "ask", until_chosen)
            with pytest.raises(IndeterminateError, match="no majority"):
                await site.authority().replace("c", "d")

    simulated(main)


@pytest.mark.parametrize("newcomer", [Member(ReplicaId(9), "d"), FOUNDED.members[0]])
def test_newcomer_that_is_another_by_now_is_not_chosen(newcomer: Member) -> None:
    """Nor is one that could not be enlisted."""
    answer = VoterMemory(FOUNDED.members[0].identity).standing(VOTERS)

    with pytest.raises(UnavailableError, match="become another"):
        _check_enlisted(answer, newcomer)


def test_voters_that_have_never_voted_are_waited_for() -> None:
    """They may be about to found."""

    async def main(site: VoterSite) -> None:
        for name in VOTERS:
            await site.wipe(name)
        assert await site.authority().read(SHARD) is None

    simulated(main)


def test_first_bid_that_surfaces_later_is_what_is_told() -> None:
    """A voter that alone has accepted it brings it up."""

    async def main(site: VoterSite) -> None:
        other = FIRST.taken_over_by(B)
        ask = site.ask

        async def to_a_alone(
            voter: str, request: VoterRequest, deadline_seconds: float
        ) -> VoterAnswer:
            match request:
                case Vote(_, _, Accept()) if voter != "a":
                    msg = "lost"
                    raise UnavailableError(msg)
                case _:
                    return await ask(voter, request, deadline_seconds)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(site, "ask", to_a_alone)
            with pytest.raises(IndeterminateError):
                await site.authority().swap(SHARD, None, FIRST)
        await site.end("b")
        assert await site.authority().swap(SHARD, None, other) == FIRST

    simulated(main)


async def test_ballots_of_one_process_only_grow(
    site: VoterSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In all registers together, so that none comes twice."""
    watched = watching(site, monkeypatch)
    authority = site.authority()
    for shard, held, wanted in (
        ("eu/1", None, FIRST),
        ("eu/2", None, FIRST),
        ("eu/1", FIRST, FIRST.taken_over_by(B)),
    ):
        assert await authority.swap(shard, held, wanted) == wanted

    ballots = [each.ballot for each in watched if isinstance(each, Accept)]
    assert ballots == sorted(ballots)
    assert len(set(ballots)) == 3


async def test_read_writes_nothing(
    site: VoterSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither of what was never written, nor of what is held by all alike."""
    await site.authority().swap(SHARD, None, FIRST)
    before = {name: each.memory for name, each in site.stores.items()}
    watched = watching(site, monkeypatch)

    assert await site.authority().read(SHARD) == FIRST
    assert await site.authority().read("eu/2") is None

    assert {type(each) for each in watched} == {Look}
    assert {name: each.memory for name, each in site.stores.items()} == before


async def test_read_looks_twice_at_what_a_voter_has_never_heard_of(
    site: VoterSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has begun may be at it yet: the first look is no reason to bid."""
    site.silent = {"c"}
    await site.authority().swap(SHARD, None, FIRST)
    site.silent = {"b"}
    watched = watching(site, monkeypatch)

    assert await site.authority().read(SHARD) == FIRST

    ballots = {type(each): set[Ballot]() for each in watched}
    for each in watched:
        ballots[type(each)].add(each.ballot)
    assert {kind: len(of) for kind, of in ballots.items()} == {
        Look: 2,
        Prepare: 1,
        Accept: 1,
    }


async def test_read_settles_what_it_cannot_see(
    site: VoterSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who died after a promise leaves it behind: a bid goes over it, once."""
    await site.authority().swap(SHARD, None, FIRST)
    for name in VOTERS:
        ballot = Ballot(99, ReplicaId(99))
        await site.ask(name, Vote(FOUNDED.view, SHARD, Prepare(ballot)), 1.0)
    watched = watching(site, monkeypatch)

    assert await site.authority().read(SHARD) == FIRST
    assert isinstance(watched[0], Look)
    assert any(isinstance(each, Accept) for each in watched)

    watched.clear()
    assert await site.authority().read(SHARD) == FIRST
    assert {type(each) for each in watched} == {Look}


def test_reads_do_not_outbid_a_change() -> None:
    """However many there are, and however far from the voters."""

    async def main(site: VoterSite) -> None:
        ask = site.ask

        async def far(
            voter: str, request: VoterRequest, deadline_seconds: float
        ) -> VoterAnswer:
            await asyncio.sleep(0.2)
            return await ask(voter, request, deadline_seconds)

        async def reading() -> None:
            authority = site.authority()
            while True:
                await authority.read(SHARD)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(site, "ask", far)
            readers = [asyncio.ensure_future(reading()) for _ in range(4)]
            await asyncio.sleep(1.0)
            loop = asyncio.get_running_loop()
            held, seconds = None, list[float]()
            for _ in range(10):
                wanted = held.taken_over_by(B) if held else FIRST
                began = loop.time()
                assert await site.authority().swap(SHARD, held, wanted) == wanted
                seconds.append(loop.time() - began)
                held = wanted
            for each in readers:
                each.cancel()
            done = await asyncio.gather(*readers, return_exceptions=True)
            assert all(isinstance(each, asyncio.CancelledError) for each in done)
        # To learn who votes, to prepare, to accept: three round trips.
        assert sum(each < 0.65 for each in seconds) >= 8

    simulated(main)


def test_read_from_afar_gets_through_though_a_voter_is_behind() -> None:
    """That one answers first, and was away when the others took the last change."""

    async def main(site: VoterSite) -> None:
        ask = site.ask

        async def far(
            voter: str, request: VoterRequest, deadline_seconds: float
        ) -> VoterAnswer:
            await asyncio.sleep(0.117)
            answer = await ask(voter, request, deadline_seconds)
            await asyncio.sleep(0.117)
            return answer

        for number in range(10):
            shard = f"eu/{number}"
            site.silent = {"a"}
            await site.authority().swap(shard, None, FIRST)
            site.silent = set()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(site, "ask", far)
                assert await site.authority().read(shard) == FIRST

    simulated(main)


def test_authority_may_be_made_before_any_voter_is_there() -> None:
    """Nothing is asked until something is wanted."""

    class Nowhere:
        async def ask(self, voter: str, *_: object) -> VoterAnswer:
            raise AssertionError(voter)

    EmbeddedAuthority(VOTERS, Nowhere(), proposer=A, uniform=Random(1).uniform)


async def test_late_contents_of_a_view_change_nothing(site: VoterSite) -> None:
    """A message of the first installation may come at any time."""
    authority = site.authority()
    site.start("d")
    electorate = await authority.replace("c", "d")
    await site.until_votes("d")
    await authority.swap(SHARD, None, FIRST)

    for name in electorate.names:
        await site.ask(name, Install(electorate, {}), 1.0)

    assert await authority.read(SHARD) == FIRST
    assert await site.ask("a", Inquire(), 1.0) == site.hosts["a"].standing


async def test_process_that_knows_an_earlier_view_learns_the_next(
    site: VoterSite,
) -> None:
    """From whoever votes there already."""
    knowing = site.authority()
    await knowing.swap(SHARD, None, FIRST)
    site.start("d")
    await site.authority().replace("c", "d")

    assert await knowing.read(SHARD) == FIRST


async def test_voter_that_was_away_comes_after_when_it_hears_of_a_later_view(
    site: VoterSite,
) -> None:
    """At once, though it seldom looks by itself."""
    await until(lambda: site.hosts["c"].duty == Rest())
    site.start("d")
    site.silent.add("c")
    await site.authority().replace("b", "d")
    site.silent.clear()
    assert site.hosts["c"].standing.electorate == FOUNDED

    async with asyncio.timeout(2):
        await site.authority().read(SHARD)
        await until(lambda: site.hosts["c"].standing.electorate != FOUNDED)


def test_wish_is_for_one_view() -> None:
    """In another it would follow the wrong one; and what was chosen stays."""
    change_in = _wish_in(FOUNDED, b"wish")
    later = FOUNDED.with_replaced("a", Member(ReplicaId(9), "d"))

    assert change_in(FOUNDED)(b"") == b"wish"
    assert change_in(FOUNDED)(b"other") == b"other"
    assert change_in(later)(b"") == b""
