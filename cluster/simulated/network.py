"""
The simulated network: hosts, the lines between them, and connections.

Connections are made as TCP makes them: a packet there, one back, and whoever
listens hears of it with the first data.  A host where nobody listens refuses; a
host behind a cut says nothing, and dialing goes on until somebody gives up.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count

from cluster.simulated.chance import Chance
from cluster.simulated.line import NO_TROUBLE, Line, Trouble
from cluster.simulated.loop import VirtualLoop
from cluster.simulated.owner import Owner
from cluster.simulated.stream import (
    KEEPALIVE_SECONDS,
    KEEPALIVE_TIMEOUT_SECONDS,
    End,
    Host,
)
from cluster.simulated.tape import Tapes
from cluster.simulated.trace import Trace

DELAY_MS = 1.0
"""Between hosts that nothing else is said of."""

JITTER_SHARE = 0.1
"""Of the delay, and 0.2 ms: what an undisturbed flight varies by."""

JITTER_MS = 0.2
REFUSAL = "connection refused"
DIALS_AGAIN_SECONDS = 1.0

Pair = tuple[str, str]
"""(sender, receiver)."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Who takes connections at an address."""

    host: Host
    accept: Callable[[End], None]


class Network:
    """
    All hosts of a run and what is between them.

    Args:
        loop: Whose time passes.
        chance: What is drawn from.
        delays_ms: One-way delay of each pair, in ms; the pair the other way round
            has the same unless it is named too.
        trace: Where every message is noted.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        chance: Chance,
        delays_ms: Mapping[Pair, float],
        trace: Trace,
    ) -> None:
        self.tapes = Tapes()
        self._loop = loop
        self._chance = chance
        self._delays = dict(delays_ms)
        self._trace = trace
        self._lines: dict[Pair, Line] = {}
        self._listeners: dict[str, Listener] = {}
        self._numbers = count(1)
        self._deaths = chance.stream("deaths")

    # -- lines ----------------------------------------------------------------

    def line(self, sender: str, receiver: str) -> Line:
        """Return the line from *sender* to *receiver*."""
        pair = (sender, receiver)
        line = self._lines.get(pair)
        if line is None:
            delay = self._delays.get(pair, self._delays.get(pair[::-1], DELAY_MS))
            jitter = JITTER_MS + JITTER_SHARE * delay
            name = f"{sender}>{receiver}"
            line = self._lines[pair] = Line(name, delay, jitter, self._chance)
        return line

    def cut(self, pair: Pair) -> None:
        """Let nothing pass any more."""
        self.line(*pair).cut = True

    def disturb(self, pair: Pair, trouble: Trouble) -> None:
        """Make a line worse than it is by itself."""
        self.line(*pair).trouble = trouble

    def heal(self) -> None:
        """Open all lines and end all trouble."""
        for line in self._lines.values():
            line.trouble = NO_TROUBLE
            line.open()

    def packet(self, sender: str, receiver: str, arrive: Callable[[], None]) -> None:
        """Send one packet, which may be lost."""
        line = self.line(sender, receiver)

        def arrived() -> None:
            if not line.cut:
                arrive()

        if not line.loses_packet():
            self._loop.call_later(
                line.packet_seconds(), arrived, context=self._loop.world.context
            )

    # -- hosts ----------------------------------------------------------------

    @staticmethod
    def host(name: str, owner: Owner) -> Host:
        """Return a process that can dial."""
        return Host(name, owner, {})

    def listen(self, host: Host, address: str, accept: Callable[[End], None]) -> None:
        """Let *host* take connections at *address*, as long as it runs."""
        self._listeners[address] = Listener(host, accept)

    def end_listening(self, host: Host) -> None:
        """Take no more connections of *host*."""
        for address, listener in tuple(self._listeners.items()):
            if listener.host is host:
                del self._listeners[address]

    def end_host(self, host: Host) -> None:
        """Close what a process that is no more had open, as its system does."""
        self.end_listening(host)
        for end in tuple(host.ends):
            if self._deaths.happens(0.5):
                end.lose_unsent()
            end.close("the process ended")

    # -- connections ----------------------------------------------------------

    def dial(self, host: Host, address: str) -> End:
        """Return an end that is being connected to *address*."""
        name = address.partition(":")[0]
        end = End(self._loop, host, name)
        end.number = next(self._numbers)
        self._knock(end, address)
        return end

    def _knock(self, end: End, address: str) -> None:
        if end.broken or end.connected:
            return
        here, there = end.host.name, end.peer_name

        def arrived() -> None:
            listener = self._listeners.get(address)
            if listener is None:
                self.packet(there, here, lambda: end.break_off(REFUSAL))
            else:
                self.packet(there, here, lambda: self._connected(end, listener))

        self.packet(here, there, arrived)
        self._loop.call_later(
            DIALS_AGAIN_SECONDS,
            self._knock,
            end,
            address,
            context=end.host.owner.context,
        )

    def _connected(self, end: End, listener: Listener) -> None:
        if end.broken or end.connected:
            return
        here, there = end.host.name, end.peer_name
        if listener.host.dead:
            end.break_off(REFUSAL)
            return
        other = End(self._loop, listener.host, here)
        other.number = end.number
        other.connect(end, self.line(there, here), self._reset(there, end))
        end.connect(other, self.line(here, there), self._reset(here, other))
        end.open_with(listener.accept)
        self._watch_over(end, other)
        for one in (end, other):
            one.listeners.append(self._noting(one))

    def _reset(self, sender: str, end: End) -> Callable[[], None]:
        def reset() -> None:
            self.packet(sender, end.host.name, lambda: end.break_off("reset"))

        return reset

    def _noting(self, end: End) -> Callable[[bytes], None]:
        what = f"{end.host.name}>{end.peer_name} #{end.number}"
        note = self._trace.note
        return lambda message: note(what, message)

    # -- keepalives -----------------------------------------------------------

    def _watch_over(self, end: End, other: End) -> None:
        """Ask for a sign of life when *other* has not been heard for long."""
        loop, context = self._loop, end.host.owner.context
        here, there = end.host.name, end.peer_name

        def answered() -> None:
            end.heard_at = loop.now

        def asked() -> None:
            # A process that is stopped does not answer.
            loop.call_soon(answer, context=other.host.owner.context)

        def answer() -> None:
            if not other.broken:
                self.packet(there, here, answered)

        def look() -> None:
            if end.broken:
                return
            due = end.heard_at + KEEPALIVE_SECONDS
            if loop.now < due:
                loop.call_at(due, look, context=context)
                return
            self.packet(here, there, asked)
            loop.call_later(KEEPALIVE_TIMEOUT_SECONDS, judge, loop.now, context=context)

        def judge(asked_at: float) -> None:
            if end.heard_at < asked_at:
                end.close("keepalive: no answer")
            else:
                look()

        loop.call_later(KEEPALIVE_SECONDS, look, context=context)
