"""Opening the files of a node's objects: alone, or together with others."""

import asyncio
from pathlib import Path
from random import Random

import pytest

from kvnode.core.objects.voters.messages import Inquire, VoterAnswer, VoterRequest
from kvnode.errors import CorruptRecordError, KvError, RejectedError
from kvnode.objects import DurableObject
from kvnode.runtime.app import random_replica, wall_clock
from kvnode.runtime.clock import NodeClock
from kvnode.runtime.objects import opening
from kvnode.runtime.objects.objects import Objects
from kvnode.runtime.objects.opening import (
    AUTHORITY_FILE,
    DIRECTORY,
    VOTER,
    Site,
    open_alone,
    open_among,
)
from kvnode.runtime.objects.ports import Alone
from kvnode.types import ReplicaId

CLASSES: dict[str, type[DurableObject]] = {}


class Nobody(Alone):
    """The other nodes, none of which was met."""

    async def ask(
        self, voter: str, request: VoterRequest, deadline_seconds: float
    ) -> VoterAnswer:
        """Never happens: a node by itself is its only voter."""
        raise AssertionError(voter, request, deadline_seconds)


def site(directory: Path, name: str = "a") -> Site:
    """Return where and by whom objects are opened."""
    return Site(
        directory,
        name,
        CLASSES,
        NodeClock(wall_clock),
        Random(0),
        random_replica,
        is_moved=False,
    )


def among(directory: Path, *voters: str, name: str = "a") -> Objects:
    """Open the objects of a node that keeps them together with others."""
    return open_among(site(directory, name), voters, lambda own: Nobody(name, own))


async def led(objects: Objects) -> None:
    """Run objects until all shards are led here, and close them."""
    running = asyncio.create_task(objects.run())
    async with asyncio.timeout(20):
        while not all(each.is_led_here for each in objects.status()):  # noqa: ASYNC110 -- no event tells
            await asyncio.sleep(0.02)
    running.cancel()
    await asyncio.wait([running])
    await objects.close()


async def test_objects_of_a_node_alone_are_not_opened_among_others(
    tmp_path: Path,
) -> None:
    """The others would not know the shards, and found them a second time."""
    await led(open_alone(site(tmp_path)))
    for _ in range(2):
        with pytest.raises(RejectedError, match="start it without objects_voters"):
            among(tmp_path, "a", "b", "c")
    await open_alone(site(tmp_path)).close()


async def test_objects_of_several_nodes_are_not_opened_alone(tmp_path: Path) -> None:
    """The node would lead by its own word what others lead by theirs."""
    await led(among(tmp_path, "a"))
    for _ in range(2):
        with pytest.raises(RejectedError, match="set objects_voters as it was"):
            open_alone(site(tmp_path))
    await among(tmp_path, "a").close()


async def test_node_that_is_no_voter_keeps_nothing_and_has_no_vote(
    tmp_path: Path,
) -> None:
    """It finds objects of others, and founds nothing."""
    objects = among(tmp_path, "b", "c", name="a")
    assert not (tmp_path / DIRECTORY / VOTER).exists()
    assert {each.epoch for each in objects.status()} == {0}
    with pytest.raises(RejectedError, match="does not vote"):
        await objects.answer(Inquire())
    await objects.close()


async def test_identity_of_the_logs_is_told_to_whoever_meets_others(
    tmp_path: Path,
) -> None:
    """And it is the same when the node starts again."""
    told: list[ReplicaId] = []

    def meet(own: ReplicaId) -> Nobody:
        told.append(own)
        return Nobody("a", own)

    for _ in range(2):
        objects = open_among(site(tmp_path), ("a",), meet)
        await objects.close()
    assert told[0] == told[1] != 0


def _damage(directory: Path, name: str) -> None:
    """Put something else in the place of a file of objects."""
    path = directory / DIRECTORY / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"{")


@pytest.mark.parametrize("name", ["log", "voter"])
async def test_failure_among_others_leaves_nothing_open(
    tmp_path: Path, name: str
) -> None:
    """Files that stay open could not be opened again."""
    _damage(tmp_path, name)
    for _ in range(2):
        with pytest.raises((KvError, OSError)):
            among(tmp_path, "a")
    (tmp_path / DIRECTORY / name).unlink()
    await among(tmp_path, "a").close()


async def test_failure_alone_leaves_nothing_open(tmp_path: Path) -> None:
    """The same of a node by itself."""
    _damage(tmp_path, AUTHORITY_FILE)
    for _ in range(2):
        with pytest.raises(CorruptRecordError):
            open_alone(site(tmp_path))
    (tmp_path / DIRECTORY / AUTHORITY_FILE).unlink()
    await open_alone(site(tmp_path)).close()


async def test_failure_of_whoever_meets_others_leaves_nothing_open(
    tmp_path: Path,
) -> None:
    """It comes after the logs were opened."""

    def meet(own: ReplicaId) -> Nobody:
        msg = f"no road for {own:x}"
        raise OSError(msg)

    for _ in range(2):
        with pytest.raises(OSError, match="no road"):
            open_among(site(tmp_path), ("a",), meet)
    await among(tmp_path, "a").close()


async def test_failure_of_what_is_opened_last_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shards are read when all files are open, and one may be damaged."""

    def damaged(*_parts: object, **_others: object) -> Objects:
        msg = "a record is damaged"
        raise CorruptRecordError(msg)

    alone, together = tmp_path / "alone", tmp_path / "together"
    with monkeypatch.context() as patch:
        patch.setattr(opening, "Objects", damaged)
        for _ in range(2):
            with pytest.raises(CorruptRecordError, match="a record is damaged"):
                open_alone(site(alone))
            with pytest.raises(CorruptRecordError, match="a record is damaged"):
                among(together, "a")
    await open_alone(site(alone)).close()
    await among(together, "a").close()


async def test_files_that_are_in_use_are_refused(tmp_path: Path) -> None:
    """Two processes over one log would both promise for it."""
    objects = among(tmp_path, "a")
    with pytest.raises(KvError):
        among(tmp_path, "a")
    await objects.close()
    await among(tmp_path, "a").close()
