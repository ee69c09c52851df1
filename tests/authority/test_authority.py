"""What every authority promises; and what a file does besides."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kvnode.authority.local_authority import LocalAuthority
from kvnode.authority.port import Authority
from kvnode.errors import CorruptRecordError, IndeterminateError, RejectedError
from tests.authority.contract import FIRST, AuthorityContract
from tests.authority.etcd_site import EtcdSite
from tests.authority.voter_site import VoterSite


@pytest.fixture(
    params=["local", "embedded", "embedded, one voter down", "etcd", "etcd, one down"]
)
async def authority(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Authority]:
    """Each authority, holding nothing."""
    if request.param == "local":
        local = LocalAuthority(tmp_path / "shards.json")
        yield local
        await local.close()
        return
    if request.param.startswith("etcd"):
        async with EtcdSite() as etcd:
            if request.param == "etcd, one down":
                await etcd.members[0].end()
            yield etcd.authority()
        return
    site = VoterSite()
    await site.found()
    if request.param != "embedded":
        await site.end("b")
    embedded = site.authority()
    yield embedded
    await embedded.close()
    await site.close()


class TestAuthority(AuthorityContract):
    """Each of them."""


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
