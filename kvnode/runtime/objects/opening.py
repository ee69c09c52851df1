"""
Opening the files of a node's objects.

    objects/log              the logs of shards, and this node's identity among them
    objects/state            what they have done
    objects/authority.json   who leads them, if the node keeps them by itself
    objects/voter            this node's part of the authority, if it has one
    objects/etcd             the prefix of keys, if etcd says who leads them

Which of the last three there is cannot be changed by a setting: the shards were founded
among certain nodes, and others know nothing of them.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Final, NamedTuple, Protocol

from kvnode.authority.embedded_authority import EmbeddedAuthority
from kvnode.authority.local_authority import LocalAuthority
from kvnode.authority.port import Authority
from kvnode.authority.voter_host import VoterHost
from kvnode.authority.voter_port import VoterTransport
from kvnode.core.objects.settings import SETTINGS_DEFAULT, ShardSettings
from kvnode.durable_file import publish
from kvnode.errors import RejectedError
from kvnode.objects.durable_object import DurableObject
from kvnode.objects.points.shard_history import HISTORY_DEFAULT, HistoryLimits
from kvnode.runtime.clock import Clock
from kvnode.runtime.objects.objects import Objects
from kvnode.runtime.objects.ports import Alone, ObjectParts, ObjectPeers
from kvnode.storage.shards.file_log_store import FileLogStore
from kvnode.storage.shards.sqlite_shard_states import SqliteShardStates
from kvnode.storage.voters.lmdb_voter_store import LmdbVoterStore
from kvnode.types import ReplicaId

DIRECTORY = "objects"
"""Within the node's data directory."""

AUTHORITY_FILE = "authority.json"
LOG = "log"
STATE = "state"
VOTER = "voter"
ETCD = "etcd"

_LED_OTHERWISE: Final = {
    AUTHORITY_FILE: (
        "that this node has kept by itself, and others would not know them: start it"
        " without objects_voters and objects_etcd"
    ),
    VOTER: "that several nodes keep: set objects_voters as it was",
    ETCD: "whose leaders are named in etcd: set objects_etcd as it was",
}
"""What is said, by what is there, to a node that would have another authority."""


class Site(NamedTuple):
    """
    Where objects are opened, and by whom.

    Attributes:
        data_directory: The node's; theirs is in it.
        name: The node's.
        classes: What objects are made of, by name.
        clock: The node's.
        rng: Draws patience and jitter.
        random_replica: Draws a fresh identity.
        is_moved: See kvnode.storage.shards.file_log_store.FileLogStore.open.
        history: How much is kept of what objects were.
        spreads: See kvnode.runtime.objects.objects.Objects.
        settings: Of the shards.
        region: Where the node is; may be empty.
    """

    data_directory: Path
    name: str
    classes: Mapping[str, type[DurableObject]]
    clock: Clock
    rng: Random
    random_replica: Callable[[], ReplicaId]
    is_moved: bool
    history: HistoryLimits = HISTORY_DEFAULT
    spreads: bool = True
    settings: ShardSettings = SETTINGS_DEFAULT
    region: str = ""


class PeersAndVoters(ObjectPeers, VoterTransport, Protocol):
    """The other nodes, for shards and for voters."""


def open_alone(site: Site) -> Objects:
    """
    Open the objects of a node that has all shards to itself; blocks.

    Raises:
        KvError: A file is damaged, a copy, or in use, or of shards with another
            authority.
        OSError: One cannot be opened.
    """

    def parts_on(
        store: FileLogStore, states: SqliteShardStates, _: ExitStack
    ) -> ObjectParts:
        return ObjectParts(
            store,
            states,
            LocalAuthority(_directory(site) / AUTHORITY_FILE),
            Alone(site.name, store.replica, site.region),
            founders=(site.name,),
        )

    return _opened(site, AUTHORITY_FILE, parts_on)


def open_among(
    site: Site,
    voters: tuple[str, ...],
    meet: Callable[[ReplicaId], PeersAndVoters],
) -> Objects:
    """
    Open the objects of a node that keeps them together with others; blocks.

    Args:
        site: Where they are.
        voters: The names of the nodes that keep the authority, and found the shards;
            the same at all nodes.
        meet: Returns the way to the other nodes, given the identity of this one's logs.

    Raises:
        KvError: A file is damaged, a copy, or in use, or of shards with another
            authority.
        OSError: One cannot be opened.
    """

    def parts_on(
        store: FileLogStore, states: SqliteShardStates, opened: ExitStack
    ) -> ObjectParts:
        peers = meet(store.replica)
        voter: VoterHost | None = None
        if site.name in voters:
            memory = LmdbVoterStore.open(
                _directory(site) / VOTER, random_voter=site.random_replica
            )
            opened.callback(memory.close)
            voter = VoterHost(
                site.name, voters, memory, peers, uniform=site.rng.uniform
            )
        authority = EmbeddedAuthority(
            voters,
            voter if voter is not None else peers,
            proposer=site.random_replica(),
            uniform=site.rng.uniform,
        )
        return ObjectParts(
            store,
            states,
            authority,
            peers,
            founders=voters if voter is not None else (),
            voter=voter,
        )

    return _opened(site, VOTER, parts_on)


class Etcd(NamedTuple):
    """
    An etcd that says who leads.

    Attributes:
        authority: What it says; closed with the objects.
        prefix: Of its keys.
        keepers: The names of the nodes that found the shards; the same at all nodes.
    """

    authority: Authority
    prefix: str
    keepers: tuple[str, ...]


def open_with_etcd(
    site: Site, etcd: Etcd, meet: Callable[[ReplicaId], ObjectPeers]
) -> Objects:
    """
    Open the objects of a node that keeps them with others, led as etcd says; blocks.

    Args:
        site: Where they are.
        etcd: Says who leads.
        meet: Returns the way to the other nodes, given the identity of this one's logs.

    Raises:
        KvError: A file is damaged, a copy, or in use, or of shards with another
            authority, or under another prefix.
        OSError: One cannot be opened.
    """

    def parts_on(
        store: FileLogStore, states: SqliteShardStates, _: ExitStack
    ) -> ObjectParts:
        _keep_prefix(_directory(site) / ETCD, etcd.prefix)
        return ObjectParts(
            store,
            states,
            etcd.authority,
            meet(store.replica),
            founders=etcd.keepers if site.name in etcd.keepers else (),
        )

    return _opened(site, ETCD, parts_on)


def _directory(site: Site) -> Path:
    return site.data_directory / DIRECTORY


def _opened(
    site: Site,
    led_by: str,
    parts_on: Callable[[FileLogStore, SqliteShardStates, ExitStack], ObjectParts],
) -> Objects:
    """Return the objects of *site*; if that fails, nothing stays open."""
    _check_led_by(_directory(site), led_by)
    with ExitStack() as opened:
        store, states = _open_shards(site, opened)
        parts = parts_on(store, states, opened)
        objects = Objects(
            parts,
            site.classes,
            clock=site.clock,
            rng=site.rng,
            history=site.history,
            spreads=site.spreads,
            settings=site.settings,
        )
        opened.pop_all()
    return objects


def _check_led_by(directory: Path, own: str) -> None:
    """
    See that there is no other authority than *own*.

    Raises:
        RejectedError: There is.
    """
    for name, advice in _LED_OTHERWISE.items():
        if name != own and (directory / name).exists():
            msg = f"{directory} holds objects {advice}"
            raise RejectedError(msg)


def _keep_prefix(file: Path, prefix: str) -> None:
    """
    Write down under which keys the shards are, or see that it is as it was.

    Raises:
        RejectedError: It is not.
    """
    if not file.exists():
        beside = file.with_suffix(".new")
        beside.write_text(f"{prefix}\n", encoding="utf-8")
        publish(beside, file)
        return
    before = file.read_text(encoding="utf-8").strip()
    if before != prefix:
        msg = (
            f"the leaders of the objects in {file.parent} are named in etcd below"
            f" {before}, and objects_etcd_prefix is {prefix}: set it as it was"
        )
        raise RejectedError(msg)


def _open_shards(
    site: Site, opened: ExitStack
) -> tuple[FileLogStore, SqliteShardStates]:
    directory = _directory(site)
    store = FileLogStore.open(
        directory / LOG, random_replica=site.random_replica, is_moved=site.is_moved
    )
    opened.callback(store.close)
    states = SqliteShardStates(directory / STATE)
    opened.callback(states.close)
    return store, states
