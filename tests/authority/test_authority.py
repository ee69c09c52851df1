"""What every authority promises; and what a file does besides."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kvnode.authority.local_authority import LocalAuthority
from kvnode.authority.port import Authority
from kvnode.core.objects.configuration import Configuration
from kvnode.errors import CorruptRecordError, IndeterminateError, RejectedError
from kvnode.types import ReplicaId
from tests.authority.voter_site import VoterSite

A, B, C = map(ReplicaId, (1, 2, 3))
FIRST = Configuration(1, A, (A, B, C))


@pytest.fixture(params=["local", "embedded", "embedded, one voter down"])
async def authority(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Authority]:
    """Each authority, holding nothing."""
    if request.param == "local":
        local = LocalAuthority(tmp_path / "shards.json")
        yield local
        await local.close()
        return
    site = VoterSite()
    await site.found()
    if request.param != "embedded":
        await site.end("b")
    embedded = site.authority()
    yield embedded
    await embedded.close()
    await site.close()


async def test_shard_that_was_never_begun_has_no_configuration(
    authority: Authority,
) -> None:
    """Nobody leads it."""
    assert await authority.read("eu/1") is None


async def test_shard_begins_once(authority: Authority) -> None:
    """Who comes second is told who was first."""
    other = Configuration(1, B, (A, B, C))

    assert await authority.swap("eu/1", None, FIRST) == FIRST
    assert await authority.swap("eu/1", None, other) == FIRST
    assert await authority.read("eu/1") == FIRST


async def test_lead_changes_for_whom_knows_what_is_held(authority: Authority) -> None:
    """Who knows less changes nothing and is told what is held."""
    await authority.swap("eu/1", None, FIRST)
    second = FIRST.taken_over_by(B)

    assert await authority.swap("eu/1", FIRST, second) == second
    assert await authority.swap("eu/1", FIRST, FIRST.taken_over_by(C)) == second


async def test_change_that_has_happened_is_answered_alike_again(
    authority: Authority,
) -> None:
    """Who was not told may ask again."""
    await authority.swap("eu/1", None, FIRST)
    second = FIRST.taken_over_by(B)
    await authority.swap("eu/1", FIRST, second)

    assert await authority.swap("eu/1", FIRST, second) == second


async def test_shards_are_apart(authority: Authority) -> None:
    """Each has a register of its own."""
    await authority.swap("eu/1", None, FIRST)

    assert await authority.read("eu/2") is None


async def test_one_of_many_at_once_wins(authority: Authority) -> None:
    """And all others are told of it."""
    await authority.swap("eu/1", None, FIRST)
    wishes = [FIRST.taken_over_by(each) for each in (A, B, C)]

    answers = await asyncio.gather(
        *(authority.swap("eu/1", FIRST, wish) for wish in wishes)
    )

    assert len(set(answers)) == 1
    assert answers[0] in wishes
    assert await authority.read("eu/1") == answers[0]


async def test_file_holds_what_was_held_before(tmp_path: Path) -> None:
    """A node that starts again goes on in the next epoch."""
    path = tmp_path / "shards.json"
    await LocalAuthority(path).swap("eu/1", None, FIRST)

    assert await LocalAuthority(path).read("eu/1") == FIRST
    assert not path.with_suffix(".new").exists()


@pytest.mark.parametrize("text", ["", "[]", '{"format":1}', '{"format":1,"shards":[]}'])
def test_file_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    """Beginning anew in its place would give an epoch out twice."""
    path = tmp_path / "shards.json"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(CorruptRecordError, match="no file of configurations"):
        LocalAuthority(path)


def test_file_of_a_later_version_is_refused(tmp_path: Path) -> None:
    """It says which version is wanted."""
    path = tmp_path / "shards.json"
    path.write_text('{"format":2,"shards":{}}', encoding="utf-8")

    with pytest.raises(RejectedError, match="has format 2"):
        LocalAuthority(path)


async def test_file_that_cannot_be_written_changes_nothing_that_is_told(
    tmp_path: Path,
) -> None:
    """It may have happened: so the next reader decides, as after a crash."""
    path = tmp_path / "gone" / "shards.json"
    authority = LocalAuthority(path)

    with pytest.raises(IndeterminateError, match="cannot be written"):
        await authority.swap("eu/1", None, FIRST)

    path.parent.mkdir()
    assert await authority.swap("eu/1", None, FIRST) == FIRST
