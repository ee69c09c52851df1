"""
Opening the files of a node's objects.

    objects/log              the logs of shards, and this node's identity among them
    objects/state            what they have done
    objects/authority.json   who leads them, if the node keeps them by itself
    objects/voter            this node's part of the authority, if it has one

Which of the last two there is cannot be changed by a setting: the shards were founded
among certain nodes, and others know nothing of them.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import NamedTuple, Protocol

from kvnode.authority.embedded_authority import EmbeddedAuthority
from kvnode.authority.local_authority import LocalAuthority
from kvnode.authority.voter_host import VoterHost
from kvnode.authority.voter_port import VoterTransport
from kvnode.errors import RejectedError
from kvnode.objects.durable_object import DurableObject
from kvnode.runtime.clock import Clock
from kvnode.runtime.objects.objects import Objects
from kvnode.runtime.objects.ports import Alone, ObjectParts, ObjectPeers
from kvnode.storage.shards.lmdb_log_store import LmdbLogStore
from kvnode.storage.shards.sqlite_shard_states import SqliteShardStates
from kvnode.storage.voters.lmdb_voter_store import LmdbVoterStore
from kvnode.types import ReplicaId

DIRECTORY = "objects"
"""Within the node's data directory."""

AUTHORITY_FILE = "authority.json"
LOG = "log"
STATE = "state"
VOTER = "voter"


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
        is_moved: See kvnode.storage.shards.lmdb_log_store.LmdbLogStore.open.
    """

    data_directory: Path
    name: str
    classes: Mapping[str, type[DurableObject]]
    clock: Clock
    rng: Random
    random_replica: Callable[[], ReplicaId]
    is_moved: bool


class PeersAndVoters(ObjectPeers, VoterTransport, Protocol):
    """The other nodes, for shards and for voters."""


def open_alone(site: Site) -> Objects:
    """
    Open the objects of a node that has all shards to itself; blocks.

    Raises:
        KvError: A file is damaged, a copy, or in use, or of shards that several nodes
            keep.
        OSError: One cannot be opened.
    """
    directory = site.data_directory / DIRECTORY
    if (directory / VOTER).exists():
        msg = (
            f"{directory} holds objects that several nodes keep: set objects_voters as"
            " it was"
        )
        raise RejectedError(msg)
    with ExitStack() as opened:
        store, states = _open_shards(site, opened)
        authority = LocalAuthority(directory / AUTHORITY_FILE)
        parts = ObjectParts(
            store,
            states,
            authority,
            Alone(site.name, store.replica),
            founders=(site.name,),
        )
        objects = Objects(parts, site.classes, clock=site.clock, rng=site.rng)
        opened.pop_all()
    return objects


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
        KvError: A file is damaged, a copy, or in use, or of shards that this node had
            to itself.
        OSError: One cannot be opened.
    """
    directory = site.data_directory / DIRECTORY
    if (directory / AUTHORITY_FILE).exists():
        msg = (
            f"{directory} holds objects that this node has kept by itself, and others"
            " would not know them: start it without objects_voters"
        )
        raise RejectedError(msg)
    with ExitStack() as opened:
        store, states = _open_shards(site, opened)
        peers = meet(store.replica)
        voter: VoterHost | None = None
        if site.name in voters:
            memory = LmdbVoterStore.open(
                directory / VOTER, random_voter=site.random_replica
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
        parts = ObjectParts(
            store,
            states,
            authority,
            peers,
            founders=voters if voter is not None else (),
            voter=voter,
        )
        objects = Objects(parts, site.classes, clock=site.clock, rng=site.rng)
        opened.pop_all()
    return objects


def _open_shards(
    site: Site, opened: ExitStack
) -> tuple[LmdbLogStore, SqliteShardStates]:
    directory = site.data_directory / DIRECTORY
    store = LmdbLogStore.open(
        directory / LOG, random_replica=site.random_replica, is_moved=site.is_moved
    )
    opened.callback(store.close)
    states = SqliteShardStates(directory / STATE)
    opened.callback(states.close)
    return store, states
