"""
What clients do: which key, which operation, what value, from one number.

There are few keys, so that writes meet, and values of all the sizes that travel
differently: inline, announced, and announced in several windows of chunks.
"""

from collections.abc import Callable

from kvnode.core.node.commands import (
    LOCAL,
    AddToCounter,
    Command,
    Delete,
    Put,
    Replicas,
    UpdateDocument,
    UpdateSet,
)
from kvnode.core.versions.version import NEVER
from kvnode.types import DEFAULT_NAMESPACE, Dot, EntryKey, Millis
from tests.simulation.client import Client
from tests.simulation.network import Network
from tests.simulation.site import Site
from tests.strategies import YJS_UPDATES

MEMBERS = (b"a", b"b", b"c" * 40, b"d" * 90)
VALUE_SIZES = (0, 0, 0, 100, 300)


class Picks:
    """One number as a row of small choices."""

    def __init__(self, value: int) -> None:
        self._value = value

    def below(self, count: int) -> int:
        """Return a choice from 0 to *count* - 1."""
        self._value, choice = divmod(self._value, count)
        return choice


def _at(name: bytes) -> EntryKey:
    return EntryKey(DEFAULT_NAMESPACE, name)


REGISTERS = (_at(b"r0"), _at(b"r1"), _at(b"r2"))
COUNTER = _at(b"counter")
SET = _at(b"set")
DOCUMENT = _at(b"document")
MIXED = _at(b"mixed")
KEYS = (*REGISTERS, COUNTER, SET, DOCUMENT, MIXED)


def _key(picks: Picks) -> EntryKey:
    return KEYS[picks.below(len(KEYS))]


def read(network: Network, site: Site, picks: Picks) -> None:
    """Let a client read a key, if *site* serves it."""
    client = network.clients[picks.below(len(network.clients))]
    if client.may_use(site):
        client.read(site, _key(picks))


def list_all(network: Network, site: Site, picks: Picks) -> None:
    """Let a client list all keys, if *site* serves it."""
    client = network.clients[picks.below(len(network.clients))]
    if client.may_use(site):
        client.list(site)


def write(network: Network, site: Site, picks: Picks, number: int) -> None:
    """Queue a request of a client, if *site* serves it; *number* is the step's."""
    client = network.clients[picks.below(len(network.clients))]
    if not client.may_use(site):
        return
    waits = picks.below(8) == 0
    count = 1 + (picks.below(4) == 0) + 2 * (picks.below(8) == 0)
    commands = tuple(
        _command(client, picks, number * 10 + n, network.now, only_puts=waits)
        for n in range(count)
    )
    replicas = Replicas(2, patience=Millis(500)) if waits else LOCAL
    client.write(site, network.write_number(client), commands, replicas)


def delete_last(network: Network, site: Site, picks: Picks) -> None:
    """Queue that a client deletes at *site* what was written last, by anybody."""
    client = network.clients[picks.below(len(network.clients))]
    last = next(reversed(network.oracle.writes.values()), None)
    if last is not None and client.may_use(site):
        client.write(site, network.write_number(client), (Delete(last.key),))


def _command(
    client: Client, picks: Picks, number: int, now: Millis, *, only_puts: bool
) -> Command:
    key = REGISTERS[picks.below(3)] if only_puts else _key(picks)
    if key in {COUNTER, SET} and picks.below(6) == 0:
        return _delete(client, key, picks)
    if key == COUNTER:
        return AddToCounter(key, 1 + picks.below(5))
    if key == SET:
        return _update_set(key, picks)
    if key == DOCUMENT:
        return UpdateDocument(key, YJS_UPDATES[picks.below(len(YJS_UPDATES))])
    makers: tuple[Callable[[], Command], ...] = (
        lambda: _put(client, key, picks, number, now),
        lambda: _put(client, key, picks, number, now),
        lambda: _delete(client, key, picks),
    )
    if key == MIXED:
        makers += (
            lambda: AddToCounter(key, 1 + picks.below(5)),
            lambda: _update_set(key, picks),
        )
    return makers[picks.below(len(makers))]()


def _update_set(key: EntryKey, picks: Picks) -> UpdateSet:
    member = MEMBERS[picks.below(len(MEMBERS))]
    if picks.below(3):
        return UpdateSet(key, (member,), ())
    return UpdateSet(key, (), (member,))


def _put(
    client: Client, key: EntryKey, picks: Picks, number: int, now: Millis
) -> Command:
    value = b"value %d " % number + b"." * VALUE_SIZES[picks.below(len(VALUE_SIZES))]
    deadline = Millis(now + 500) if picks.below(4) == 0 else NEVER
    condition = picks.below(8)
    if condition == 0:
        return Put(key, value, deadline=deadline, if_absent=True)
    if condition == 1:
        return Put(key, value, deadline=deadline, if_dot=_known_dot(client, key))
    return Put(key, value, deadline=deadline)


def _delete(client: Client, key: EntryKey, picks: Picks) -> Command:
    return Delete(key, _known_dot(client, key) if picks.below(4) == 0 else None)


def _known_dot(client: Client, key: EntryKey) -> Dot | None:
    known = client.knowledge.get(key)
    return known.version.dot if known else None
