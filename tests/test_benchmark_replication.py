"""
The pure parts of the benchmark's sections about replication.

Pacing, spells, counters and fits decide what the figures mean; here they are held
against counting by hand.
"""

import asyncio
import socket
import sys
from array import array
from contextlib import ExitStack
from itertools import pairwise
from struct import pack

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cluster.scale.arithmetic import compared_with
from tests.benchmarks.__main__ import REPLICATION_SECTIONS, parse_options
from tests.benchmarks.costs.clocks import ClockCosts
from tests.benchmarks.costs.resting import PEER_COUNTS, Rest
from tests.benchmarks.costs.section import costs_of
from tests.benchmarks.costs.writing import Pushing, WriteCosts
from tests.benchmarks.fact import Fact, ratios
from tests.benchmarks.measurement import Section
from tests.benchmarks.pacing import OpenLoop, Pace, Paced
from tests.benchmarks.replication.propagation import Probes
from tests.benchmarks.systems.peer_bytes import counters, is_counting, parse_counter

SECOND = 10**9

paces = st.builds(Pace, st.integers(0, SECOND), st.integers(1, 20_000))


@given(pace=paces, after=st.integers(-SECOND, SECOND // 10))
def test_pace_counts_what_is_due_by_a_time(pace: Pace, after: int) -> None:
    """The formula equals asking one operation after the other."""
    now = pace.began + after

    count = pace.count(now)

    assert count == 0 or pace.due(count - 1) <= now
    assert pace.due(count) > now


@given(
    pace=paces,
    count=st.integers(1, 500),
    cuts=st.lists(st.integers(0, SECOND), max_size=4),
)
def test_spells_divide_the_operations_among_them(
    pace: Pace, count: int, cuts: list[int]
) -> None:
    """Each belongs to the spell in which it was due, and to no other."""
    numbers = array("q", range(count))
    paced = Paced(pace, late=numbers, took=numbers)
    edges = [pace.began, *sorted(pace.began + cut for cut in cuts), pace.due(count)]

    spells = [paced.spans(since, until) for since, until in pairwise(sorted(edges))]

    in_reach = [n for n in range(count) if pace.due(n) < max(edges)]
    assert [span for spell in spells for span in spell] == in_reach
    for spell, (since, until) in zip(spells, pairwise(sorted(edges)), strict=True):
        assert spell == [n for n in range(count) if since <= pace.due(n) < until]
        assert paced.lateness(since, until) == spell


async def test_open_loop_waits_for_nobody() -> None:
    """All that is due is sent while the first still waits for its answer."""
    sent: list[int] = []
    enough, answer = asyncio.Event(), asyncio.Event()

    async def operation(number: int) -> None:
        sent.append(number)
        if len(sent) == 20:
            enough.set()
        await answer.wait()

    loop = OpenLoop(operation, per_second=5000)
    running = asyncio.create_task(loop.run())
    await enough.wait()
    loop.stop()
    answer.set()
    paced = await running

    assert sent == list(range(len(sent)))
    assert paced.answered == len(paced.took) == len(paced.late) == len(sent)
    assert min(paced.late) >= 0
    assert all(took >= late for took, late in zip(paced.took, paced.late, strict=True))


async def test_open_loop_ends_with_the_first_failure() -> None:
    """Under this load nothing may fail, and no figure hides that it did."""

    async def operation(number: int) -> None:
        if number >= 3:
            msg = f"{number} was refused"
            raise ConnectionError(msg)

    with pytest.raises(ConnectionError, match="3 was refused"):
        await OpenLoop(operation, per_second=5000).run()


def test_probe_is_visible_before_its_writer_knows() -> None:
    """A span from the answer may be negative; one from the due time is not."""
    paced = Paced(Pace(1000, SECOND), took=array("q", [500] * 11))
    probes = Probes(["far"])
    for number, answered, seen in ((0, 1500, 1400), (10, 1600, 1900)):
        key = probes.key("run", number)
        probes.acknowledged[key] = answered
        probes.seen["far"][key] = seen

    from_due, from_answer = probes.spans("far", paced, "run")

    assert probes.lacking("far") == 0
    assert from_due == [400, 890]
    assert from_answer == [-100, 300]


def test_probe_not_seen_is_lacking() -> None:
    """However many others were."""
    probes = Probes(["far", "near"])
    probes.acknowledged = {b"a": 1, b"b": 2}
    probes.seen["far"] = {b"a": 2, b"another's": 3}
    probes.seen["near"] = {b"a": 2, b"b": 3}

    assert (probes.lacking("far"), probes.lacking("near")) == (1, 0)


def test_ratio_is_of_spans_of_the_same_thing() -> None:
    """Rates, other spans and spans of nothing are not compared."""

    def fact(subject: str, what: str, value: float, unit: str = "ms") -> Fact:
        return Fact(Section.PROPAGATION, subject, what, value, unit)

    ours = [
        fact("we", "put, p50", 6),
        fact("we", "put, p99", -1),
        fact("we", "late", 1),
    ]
    ours += [fact("we", "puts", 10, "/s"), fact("we", "put at home", 1)]
    theirs = [
        fact("they", "put, p50", 4),
        fact("they", "put, p99", 2),
        fact("they", "late", 1),
    ]
    theirs += [fact("they", "puts", 5, "/s")]

    assert ratios(ours, theirs, of=("put",)) == [
        fact("we / they", "put, p50", 1.5, "x")
    ]


def test_costs_are_found_again_in_figures_made_of_them() -> None:
    """Links, comparisons and probes are told apart by numbers of peers."""
    rests = [
        Rest(
            peers=n,
            micros=5_000 + 50 * n + 400 * compared_with(n) + 300 * min(1, n),
            memory_bytes=30_000_000 + 250_000 * n + 200 * n * (n + 1),
            received_bytes=3 * n + 100 * compared_with(n) + 80 * min(1, n),
        )
        for n in PEER_COUNTS
    ]
    writes = WriteCosts(5000, 150, 40, 175, 6000, 300)
    pushing = [Pushing(n, 100 + 10 * n, 5000) for n in (0, 4, 8)]

    costs = costs_of(writes, pushing, rests, ClockCosts(200, 15, 3))

    assert costs.write_micros == pytest.approx(100)
    assert costs.push_micros == pytest.approx(10)
    assert costs.receive_micros == 40
    assert costs.idle_micros == pytest.approx(5_000)
    assert costs.link_micros == pytest.approx(50)
    assert costs.digest_micros == pytest.approx(400)
    assert costs.probe_micros == pytest.approx(300)
    assert costs.entry_micros == 3
    assert costs.node_bytes == pytest.approx(30e6)
    assert costs.peer_bytes == pytest.approx(250e3)
    assert costs.link_bytes == pytest.approx(3)
    assert costs.digest_bytes == pytest.approx(100)
    assert costs.probe_bytes == pytest.approx(80)


@pytest.mark.skipif(not is_counting(), reason=f"{sys.platform} tells no counters")
@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
def test_kernel_counts_what_a_connection_received(
    family: socket.AddressFamily, host: str
) -> None:
    """Of either family: gRPC's sockets are of IPv6 whatever the address."""
    with ExitStack() as open_sockets:
        server = open_sockets.enter_context(socket.socket(family))
        try:
            server.bind((host, 0))
        except OSError as error:
            pytest.skip(f"no {host} here: {error}")
        server.listen()
        port = server.getsockname()[1]
        dialer = open_sockets.enter_context(socket.create_connection((host, port)))
        accepted = open_sockets.enter_context(server.accept()[0])
        dialer.sendall(b"x" * 12_345)
        left = 12_345
        while left:
            left -= len(accepted.recv(left))
        own = dialer.getsockname()[1]

        counted = dict(counters())

    assert counted[port, own] == 12_345
    assert counted[own, port] == 0


@example(data=bytes(72) + pack("=HH", 300, 2))  # cut off
@given(data=st.binary(min_size=72, max_size=400))
def test_counter_of_any_bytes_parses_or_is_none(data: bytes) -> None:
    """A kernel with other attributes yields no figure rather than an error."""
    for ports, count in parse_counter(data):
        assert len(ports) == 2
        assert count >= 0


def test_counter_is_found_behind_other_attributes() -> None:
    """Attributes come in any order and are padded to four bytes."""
    head = bytes(4) + pack(">HH", 7400, 50_000) + bytes(64)
    other = pack("=HH", 4 + 5, 1) + b"cubic" + bytes(3)
    info = pack("=HH", 4 + 240, 2) + bytes(128) + pack("=Q", 99) + bytes(104)

    assert list(parse_counter(head + other + info)) == [((7400, 50_000), 99)]


def test_long_sections_run_only_when_named() -> None:
    """`make bench` does not take an hour because of them."""
    assert not parse_options([]).only & set(REPLICATION_SECTIONS)
    named = parse_options(["--only", "catch-up,costs", "--down-seconds", "600"])

    assert named.only == {Section.CATCH_UP, Section.COSTS}
    assert (named.down_seconds, named.load.per_second) == (600, 5000)
