"""Whether nodes hold the same, and mending what differs."""

import json
from dataclasses import replace

import pytest

from kvnode.cli.commands import digests
from kvnode.cli.commands.digests import Verdict, judged
from kvnode.client import ClockEntry, DigestStatus, NodeStatus
from kvnode.errors import DeadlineError
from tests.cli.conftest import Run
from tests.cli.fake_client import REPLICA, FakeNode, a_status

SAME = "00" * 7 + "01"
OTHER = "00" * 7 + "02"
VIEW = "aa" * 8


def a_node(
    name: str,
    total: str = SAME,
    *,
    view: str = VIEW,
    because: str = "",
    peers: tuple[tuple[str, str], ...] = (),
) -> NodeStatus:
    """Return the status of a node, whose peers are (name, address)."""
    found = a_status()
    known = tuple(
        replace(found.peers[0], name=peer, address=address, connected=True)
        for peer, address in peers
    )
    digests = DigestStatus(
        total,
        known=not because,
        incomparable_because=because,
        view=view,
        floor=(ClockEntry(REPLICA, 3, 3),),
    )
    return replace(found, name=name, peers=known, digests=digests)


@pytest.fixture
def members(node: FakeNode) -> FakeNode:
    """Three nodes that know each other, asked through the first."""
    node.statuses = {
        "a:1": a_node("tokyo", peers=(("paris", "b:1"), ("lima", "c:1"))),
        "b:1": a_node("paris"),
        "c:1": a_node("lima"),
    }
    return node


@pytest.mark.usefixtures("members")
def test_digest_asks_all_members_that_one_node_knows(run: Run) -> None:
    """One endpoint is enough."""
    result = run("-e", "a:1", "digest")

    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()[1:]] == [
        "tokyo",
        "lima",
        "paris",
    ]
    assert "same: 3 nodes hold the same entries" in result.stderr


@pytest.mark.usefixtures("members")
def test_digest_of_named_nodes_asks_these_alone(run: Run) -> None:
    """By name or by address."""
    result = run("-e", "a:1", "digest", "paris", "c:1", "--json")

    nodes = json.loads(result.stdout)["nodes"]
    assert [node["name"] for node in nodes] == ["paris", "lima"]
    assert run("-e", "a:1", "digest", "rome").exit_code == 2


def test_nodes_that_differ_end_the_command_with_1(run: Run, members: FakeNode) -> None:
    """It says which, and what to do."""
    members.statuses["c:1"] = a_node("lima", OTHER)

    result = run("-e", "a:1", "digest")
    document = json.loads(run("-e", "a:1", "digest", "--json").stdout)

    assert result.exit_code == 1
    assert "kvnode repair tokyo --with lima" in result.stderr
    assert document["verdict"] == "differ"
    assert document["differ"] == ["tokyo", "lima"]
    assert document["nodes"][0]["digests"]["total"] == SAME


@pytest.mark.parametrize(
    ("lima", "reason"),
    [
        (a_node("lima", OTHER, view="bb" * 8), "writes are on their way"),
        (a_node("lima", OTHER, because="it is being filled"), "lima: it is being"),
    ],
)
def test_nodes_that_cannot_be_compared_end_the_command_with_3(
    run: Run, members: FakeNode, lima: NodeStatus, reason: str
) -> None:
    """Nothing is known then: neither that they agree nor that they do not."""
    members.statuses["c:1"] = lima

    result = run("-e", "a:1", "digest", "--wait", "0")

    assert result.exit_code == 3
    assert "not comparable yet" in result.stderr
    assert reason in " ".join(result.stderr.split())


def test_digest_asks_again_while_writes_are_on_their_way(
    run: Run, members: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nodes are not asked in one instant, and forget a moment after each other."""
    members.statuses["c:1"] = a_node("lima", OTHER, view="bb" * 8)
    asked: list[float] = []

    async def slept(seconds: float) -> None:
        asked.append(seconds)
        members.statuses["c:1"] = a_node("lima")

    monkeypatch.setattr(digests, "sleep", slept)

    result = run("-e", "a:1", "digest")

    assert result.exit_code == 0
    assert asked == [digests.ASK_AGAIN_SECONDS]


def test_difference_ends_the_asking_at_once(
    run: Run, members: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nodes that have seen the same and differ will not agree by waiting."""
    members.statuses["c:1"] = a_node("lima", OTHER)
    monkeypatch.delattr(digests, "sleep")

    assert run("-e", "a:1", "digest").exit_code == 1


def test_span_of_waiting_that_is_none_is_refused(run: Run) -> None:
    """Before anybody is asked; it names the option."""
    result = run("-e", "a:1", "digest", "--wait", "soon")

    assert result.exit_code == 2
    assert "--wait" in result.stderr


def test_difference_outweighs_a_node_that_cannot_be_compared() -> None:
    """It is an alarm whatever the third one says."""
    nodes = [a_node("a"), a_node("b", because="it is being filled"), a_node("c", OTHER)]

    found = judged(nodes)

    assert found.verdict is Verdict.DIFFER
    assert found.pair == ("a", "c")


@pytest.mark.parametrize(
    ("endpoints", "code", "agree"), [("a:1,b:1", 0, True), ("a:1,odd:1", 1, False)]
)
def test_scan_says_whether_nodes_agree(
    run: Run, endpoints: str, code: int, *, agree: bool
) -> None:
    """Exit code 1 says that they differ."""
    result = run("-e", endpoints, "digest", "--scan", "--json")

    assert result.exit_code == code
    assert json.loads(result.stdout)["agree"] is agree


def test_scan_is_of_the_namespace_unless_of_all(run: Run, node: FakeNode) -> None:
    """--all is the way to compare whole nodes; without a scan it means nothing."""
    node.statuses = {"a:1": a_node("tokyo")}

    run("-e", "a:1", "digest", "--scan", "-n", "users")
    run("-e", "a:1", "digest", "--scan", "--all")

    assert node.writes == [{"namespace": "users"}, {"namespace": None}]
    assert run("-e", "a:1", "digest", "--all").exit_code == 2


def test_repair_is_asked_of_the_node_named(run: Run, members: FakeNode) -> None:
    """With the peer named, for as long as it takes."""
    result = run("-e", "a:1", "repair", "paris", "--with", "lima")

    assert result.exit_code == 0
    assert members.repairs == [("b:1", "lima", 3600.0)]
    assert "lima: 3 keys differed, 1 mended here and 2 there" in result.stdout
    assert "9 messages, 1.5 KiB, 0.2 s" in result.stdout


def test_repair_is_with_all_connected_peers_in_turn(
    run: Run, members: FakeNode
) -> None:
    """--deadline is for each of them."""
    result = run("-e", "a:1", "repair", "tokyo", "--json", "--deadline", "9s")

    assert members.repairs == [("a:1", "paris", 9.0), ("a:1", "lima", 9.0)]
    repairs = json.loads(result.stdout)["repairs"]
    assert [each["differing_keys"] for each in repairs] == [3, 3]


def test_repair_of_a_node_without_peers_ends_with_3(run: Run, node: FakeNode) -> None:
    """There is nobody to compare with, for now."""
    node.statuses = {"a:1": a_node("tokyo")}

    assert run("-e", "a:1", "repair", "tokyo").exit_code == 3


def test_repair_without_an_answer_may_go_on(run: Run, members: FakeNode) -> None:
    """The node does not need whoever asked for it."""
    members.failure, members.failure_after = DeadlineError("late"), 1

    result = run("-e", "a:1", "repair", "tokyo", "--with", "paris")

    assert result.exit_code == 4
    assert "goes on at the node" in " ".join(result.stderr.split())
