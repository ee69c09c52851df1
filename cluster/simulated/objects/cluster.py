"""
Nodes that host objects, the network between them, and what can be done to both.

After a node has lost its disk, an operator has the shards moved to who it is now, and
its voter replaced, as soon as that is possible.  Until then no other disk may be lost:
two of three would be more than any quorum survives.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import cycle
from typing import Any, Final

from cluster.simulated.chance import Chance
from cluster.simulated.line import Trouble
from cluster.simulated.loop import VirtualLoop
from cluster.simulated.network import Network, Pair
from cluster.simulated.objects.knobs import SHARDS
from cluster.simulated.objects.node import Common, Incarnation, ObjectNode
from cluster.simulated.objects.post import Post
from kvnode.api.objects_port import Call
from kvnode.core.objects.homes import region_of, shard_name
from kvnode.errors import IndeterminateError, KvError, UnavailableError
from kvnode.object_values import Value
from kvnode.objects.durable_object import DurableObject
from kvnode.runtime.objects.administration import Administration

REGIONS: Final = ("west", "east")

VOTER_COUNTS: Final = (1, 3, 5)

DEADLINE_SECONDS: Final = 4.0
AGAIN_SECONDS: Final = 0.1
"""Before a call that may be repeated is: as clients of the library do."""

OPERATOR_PAUSE_SECONDS: Final = 0.25
OPERATOR_SECONDS_MAX: Final = 10.0
"""For one wish: then another node is asked for the same."""

FOUNDING_SECONDS_MAX: Final = 60.0

ROWS_MAX: Final = 1_000_000
"""Of one state: a run of some hundred operations leaves far fewer."""


class ObjectCluster:
    """
    The nodes of one run.

    Attributes:
        names: Theirs, in order.
    """

    def __init__(  # noqa: PLR0913 -- what is around them, once
        self,
        names: Sequence[str],
        loop: VirtualLoop,
        network: Network,
        chance: Chance,
        classes: Mapping[str, type[DurableObject]],
        *,
        has_hints: bool = False,
    ) -> None:
        """
        Make nodes of which none runs yet, in REGIONS by turns.

        Args:
            names: Theirs.
            loop: Where they run.
            network: Between them.
            chance: What is drawn from.
            classes: What objects are made of.
            has_hints: Calls name a region now and then, in which the object is to live.
        """
        self.names = tuple(names)
        self._hints = chance.stream("location hints") if has_hints else None
        self._loop = loop
        self._network = network
        self._post = Post(loop, network)
        regions = dict(zip(names, cycle(REGIONS), strict=False))
        self._common = Common(voters_of(names), classes, {}, regions)
        self._replacing: asyncio.Task[None] | None = None
        for name in self.names:
            node = ObjectNode(name, self._common, loop, self._post, chance)
            self._common.nodes[name] = node

    @property
    def nodes(self) -> Mapping[str, ObjectNode]:
        """Return all nodes by name."""
        return self._common.nodes

    async def found(self) -> None:
        """Start all nodes; return once each shard is led."""
        for node in self.nodes.values():
            node.start()
        async with asyncio.timeout(FOUNDING_SECONDS_MAX):
            while self.leaderless():  # noqa: ASYNC110 -- nothing tells of it
                await asyncio.sleep(OPERATOR_PAUSE_SECONDS)

    # -- calls -------------------------------------------------------------------

    async def call(self, client: str, name: str, call: Call) -> Value:
        """
        Ask node *name* for a call, as a client on the host *client*.

        A call with an idempotency key is repeated while it is in doubt.  Where calls
        have hints, it is drawn whether this one has, and which.

        Raises:
            KvError: `outcome` says whether it may have happened.
        """
        until = self._loop.time() + DEADLINE_SECONDS
        doubt: IndeterminateError | None = None
        if self._hints is not None and not call.location_hint:
            hint = self._hints.pick(("", *REGIONS))
            call = call._replace(location_hint=hint)
        while True:
            try:
                return await self._call_once(client, name, call, until)
            except IndeterminateError as error:
                doubt = error
                if not call.idempotency_key:
                    raise
            except UnavailableError:
                if doubt is None:
                    raise
            if self._loop.time() + AGAIN_SECONDS >= until:
                raise doubt
            await asyncio.sleep(AGAIN_SECONDS)

    async def _call_once(
        self, client: str, name: str, call: Call, until: float
    ) -> Value:
        node, left = self.nodes[name], until - self._loop.time()
        return await self._post.ask(
            client, node, lambda: node.serve(call), left, is_connected=True
        )

    # -- harm ----------------------------------------------------------------------

    def cut(self, links: Iterable[Pair]) -> None:
        """Let nothing pass over *links*, each (sender, receiver)."""
        for link in links:
            self._network.cut(link)

    def disturb(self, links: Iterable[Pair], trouble: Trouble) -> None:
        """Make *links* worse."""
        for link in links:
            self._network.disturb(link, trouble)

    def heal(self) -> None:
        """Open all links, and make them as they were."""
        self._network.heal()

    def set_clock(self, name: str, offset_ms: int, drift_ppm: int) -> None:
        """
        Make the clocks of a node wrong; 0 and 0 make them as they were.

        The wall clock does as it is told, the steady one as far as the bound allows.
        """
        node = self.nodes[name]
        node.clock.bend(offset_ms=offset_ms, drift_ppm=drift_ppm)
        node.steady.bend(drift_ppm)

    def wipe(self, name: str) -> bool:
        """
        Let a node lose its disk, and start it as somebody else.

        Returns:
            False if another one was lost and is not replaced yet: nothing was done.
        """
        if self._replacing is not None and not self._replacing.done():
            return False
        node = self.nodes[name]
        node.kill()
        node.disk.wipe()
        node.start()
        work = self._replace(node)
        self._replacing = self._loop.spawn(self._loop.main, work, "operator")
        return True

    def busiest(self) -> str:
        """Return the node that leads the most shards."""
        leading = {
            name: sum(status.is_led_here for status in node.status())
            for name, node in self.nodes.items()
        }
        return max(leading, key=lambda name: leading[name])

    # -- the operator ----------------------------------------------------------------

    async def _replace(self, node: ObjectNode) -> None:
        """Have everybody know who *node* is now: it votes, and keeps all shards."""
        name, keepers = node.name, self._common.voters
        if name not in keepers:
            return

        def replaced(asked: Administration) -> Coroutine[Any, Any, object]:
            return asked.replace_voter(name, name)

        def moved(
            shard: str, by: tuple[str, ...], asked: Administration
        ) -> Coroutine[Any, Any, object]:
            return asked.move(shard, by, is_forwarded=False)

        await self._insisted(node, replaced)
        for shard in map(shard_name, range(SHARDS)):
            await self._insisted(node, partial(moved, shard, keepers))
        while (found := await self._kept_by_lost(name)) is not None:
            await self._insisted(node, partial(moved, *found))

    async def _kept_by_lost(self, name: str) -> tuple[str, tuple[str, ...]] | None:
        """
        Return a shard that a disk keeps which is lost, and who is to keep it.

        Those that nobody leads just now may be such, so they are waited for.
        """
        while True:
            kept: dict[str, tuple[str, ...]] = {}
            for node in self.nodes.values():
                with suppress(KvError):
                    kept |= await self._led_at(node)
            for shard, nodes in kept.items():
                if "" in nodes:
                    return shard, tuple(sorted({*nodes, name} - {""}))
            if kept.keys() >= self._leaders().keys():
                return None
            await asyncio.sleep(OPERATOR_PAUSE_SECONDS)

    async def _led_at(self, node: ObjectNode) -> dict[str, tuple[str, ...]]:
        """Return what *node* leads, and who keeps it; empty where a disk is lost."""
        now = node.now
        if now is None or node.is_frozen:
            return {}
        ask = now.objects.administration.overview
        overview = await self._post.ask("operator", node, ask, OPERATOR_SECONDS_MAX)
        return {
            led.shard: tuple(each.node for each in led.replicas) for led in overview.led
        }

    async def _insisted(
        self,
        newcomer: ObjectNode,
        wish: Callable[[Administration], Coroutine[Any, Any, object]],
    ) -> None:
        """Ask one node after another, other than *newcomer*, until it is done."""
        while True:
            for node in self.nodes.values():
                now = node.now
                if now is None or node is newcomer or node.is_frozen:
                    continue
                asked = partial(wish, now.objects.administration)
                with suppress(KvError):
                    await self._post.ask("operator", node, asked, OPERATOR_SECONDS_MAX)
                    return
            await asyncio.sleep(OPERATOR_PAUSE_SECONDS)

    # -- what is seen from above -------------------------------------------------------

    def leaderless(self) -> list[str]:
        """Return the shards that no node leads, all of them at first."""
        found = self._shards_without_leader()
        return found or ([] if self._leaders() else ["all"])

    def _shards_without_leader(self) -> list[str]:
        return [shard for shard, leading in self._leaders().items() if not leading]

    def unrest(self) -> str:
        """Return what is still to come when nobody does anything; empty if nothing."""
        if self._replacing is not None and not self._replacing.done():
            return "a node that has lost its disk has not been replaced yet"
        if missing := self.leaderless():
            return f"nobody leads shard {missing[0]}"
        done: dict[str, tuple[str, int]] = {}
        for name, node in self.nodes.items():
            for status in node.status():
                if name not in self._common.voters:
                    continue
                if region_of(status.shard) and not status.epoch:
                    continue  # it has heard of the shard, and does not keep it
                other, applied = done.setdefault(status.shard, (name, status.applied))
                if applied != status.applied:
                    return (
                        f"{other} and {name} have not done the same in {status.shard}"
                    )
        return ""

    def violations(self) -> tuple[str, ...]:
        """Return what must never be and was; empty if all is well."""
        crashes = (
            f"crash: {name} ended with {crash}"
            for name, node in self.nodes.items()
            for crash in node.crashes
        )
        errors = (f"error: {complaint}" for complaint in self._loop.complaints)
        return (*self._differences(), *crashes, *errors)

    def _differences(self) -> Iterator[str]:
        """Yield where states that have done the same are not the same."""
        seen: dict[tuple[str, object], tuple[str, object]] = {}
        for name, node in self.nodes.items():
            for shard in node.disk.states.shards():
                state = node.disk.states.open(shard)
                rows = state.scan(b"", None, limit=ROWS_MAX)
                place = shard, state.applied
                first, others = seen.setdefault(place, (name, rows))
                if rows != others:
                    what = f"of {shard} up to {state.applied}"
                    yield f"state: {first} and {name} hold different things {what}"

    def _leaders(self) -> dict[str, list[Incarnation]]:
        """Return what leads each shard as far as it knows, frozen or not."""
        leaders: dict[str, list[Incarnation]] = {}
        for node in self.nodes.values():
            for status in node.status():
                leading = leaders.setdefault(status.shard, [])
                if status.is_led_here:
                    assert node.now is not None, "who leads runs"
                    leading.append(node.now)
        return leaders


def voters_of(names: Sequence[str]) -> tuple[str, ...]:
    """Return which of the nodes vote: as many as make sense, of an odd number."""
    count = max(number for number in VOTER_COUNTS if number <= len(names))
    return tuple(names[:count])
