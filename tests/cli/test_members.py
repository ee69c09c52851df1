"""`kvnode members`, `leave` and `lag`, and the upkeep that `status` shows."""

import json

import pytest

from kvnode.client import Standing
from kvnode.errors import RejectedError, UnavailableError
from kvnode.types import ReplicaId
from tests.cli.conftest import Run
from tests.cli.fake_client import FakeNode, a_member, an_origin


def _words(text: str) -> str:
    return " ".join(text.split())


# -- members -----------------------------------------------------------------------


def test_members_are_shown_and_those_gone_only_with_all(
    run: Run, node: FakeNode
) -> None:
    """What is gone is history."""
    node.members = [a_member("paris"), a_member("rome", Standing.REMOVED)]

    usual, everyone = run("members").stdout, run("members", "--all").stdout

    assert "paris" in usual
    assert "rome" not in usual
    assert "rome" in everyone
    assert "removed" in everyone


def test_members_are_shown_whole_on_a_narrow_terminal(
    run: Run, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An identity that is cut cannot be copied."""
    monkeypatch.setenv("COLUMNS", "40")
    node.members = [a_member("a-name-that-is-long", connected=True, health="suspect")]

    text = run("members").stdout

    assert "f" * 16 in text
    assert "a-name-that-is-long" in text
    assert "suspect" in text


def test_former_member_comes_with_the_command_that_removes_it(
    run: Run, node: FakeNode
) -> None:
    """It holds up forgetting, and nobody would know why."""
    node.members = [a_member("paris"), a_member("paris", former=True)]

    result = run("members")

    assert "paris (former)" in result.stdout
    assert "kvnode members remove paris --former" in _words(result.stderr)


def test_members_as_json_have_hex_identities(run: Run, node: FakeNode) -> None:
    """64 bits are too many for JSON numbers."""
    node.members = [a_member("paris"), a_member("rome", Standing.LEFT)]

    document = json.loads(run("members", "--all", "--json").stdout)

    paris, rome = document["members"]
    assert (paris["replica"], paris["standing"]) == ("f" * 16, "member")
    assert rome["standing"] == "left"


def test_removing_asks_first(run: Run, node: FakeNode) -> None:
    """What only the member has is lost."""
    refused = run("members", "remove", "paris", stdin=b"n\n")

    assert refused.exit_code == 1
    assert "lost with it" in refused.stderr
    assert node.writes == []


def test_removing_says_who_is_gone(run: Run, node: FakeNode) -> None:
    """And that one was gone already, which is no failure."""
    result = run("members", "remove", "paris", "--former", "--force", "--yes")
    again = run("members", "remove", "gone", "--yes")

    assert "paris (ffffffffffffffff) is removed for good" in result.stderr
    assert "gone was gone already" in again.stderr
    assert (result.exit_code, again.exit_code) == (0, 0)
    assert node.writes[0] == {"member": "paris", "former": True, "force": True}


def test_removing_that_is_refused_ends_with_2(run: Run, node: FakeNode) -> None:
    """The node's words are shown."""
    node.failure = RejectedError("paris is the name of 2 members")

    result = run("members", "remove", "paris", "--yes")

    assert result.exit_code == 2
    assert "name of 2 members" in result.stderr


def test_endpoint_before_the_command_of_the_group_counts(
    run: Run, node: FakeNode
) -> None:
    """`kvnode members -e x remove y` asks x."""
    run("members", "-e", "there:1", "remove", "paris", "--yes")

    assert [target.endpoints for target in node.targets] == [("there:1",)]


# -- leaving -----------------------------------------------------------------------


def test_leaving_asks_first_and_names_the_node(run: Run, node: FakeNode) -> None:
    """The default endpoint may not be the node that is meant."""
    refused = run("leave", stdin=b"n\n")
    assert refused.exit_code == 1
    assert "tokyo (ffffffffffffffff) at 127.0.0.1:7400" in _words(refused.stderr)
    assert node.writes == []

    result = run("leave", "--yes", "--wait", "2m")
    assert "2 of 2 members have heard it" in _words(result.stderr)
    assert node.writes == [{"patience": 120.0}]


def test_departure_that_nobody_heard_comes_with_what_to_do(
    run: Run, node: FakeNode
) -> None:
    """Else it would hold up forgetting for ever."""
    node.told = 0

    result = run("leave", "--yes")

    assert result.exit_code == 0
    assert "kvnode members remove ffffffffffffffff" in _words(result.stderr)


def test_leaving_in_vain_ends_with_3(run: Run, node: FakeNode) -> None:
    """It did not happen, and may later."""
    node.failure, node.failure_after = UnavailableError("2 writes are here alone"), 1

    result = run("leave", "--yes")

    assert result.exit_code == 3
    assert "2 writes are here alone" in result.stderr


def test_one_node_leaves_at_a_time(run: Run, node: FakeNode) -> None:
    """Which of two endpoints answers is chance."""
    assert run("-e", "a:1,b:1", "leave", "--yes").exit_code == 2
    assert run("leave", "--yes", "--wait", "soon").exit_code == 2
    assert node.writes == []


# -- lag ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behind", "code"), [(0.5, 0), (30.0, 0), (30.1, 1), (None, 1)]
)
def test_lag_beyond_the_limit_ends_with_1(
    run: Run, node: FakeNode, behind: float | None, code: int
) -> None:
    """What is not known may be beyond it."""
    node.origins = [an_origin("paris", behind)]

    result = run("lag", "--max", "30s", "--json")

    assert result.exit_code == code
    assert json.loads(result.stdout)["within_max"] is (code == 0)


def test_lag_behind_one_that_is_gone_is_no_alarm(run: Run, node: FakeNode) -> None:
    """It writes no more; what is missing of it is shown all the same."""
    node.origins = [an_origin("rome", None, Standing.REMOVED)]

    result = run("lag", "--max", "1s")

    assert result.exit_code == 0
    assert "gone" in result.stdout


def test_lag_names_who_has_what_is_missing(run: Run, node: FakeNode) -> None:
    """And asks every endpoint; one that is down ends it with 3."""
    node.origins = [an_origin("rome", 2.0)]

    result = run("-e", "up:1,down:1", "lag")

    assert "rome" in result.stdout
    assert "paris" in result.stdout
    assert result.exit_code == 3


def test_lag_limit_is_a_span_of_time(run: Run) -> None:
    """A bare word is refused with the option's name."""
    result = run("lag", "--max", "soon")

    assert result.exit_code == 2
    assert "--max" in result.stderr


# -- status ------------------------------------------------------------------------


def test_status_shows_what_an_operator_may_have_to_do(run: Run, node: FakeNode) -> None:
    """Filling, forgetting and what holds it up, rescued files."""
    node.members = [
        a_member("paris", replica=ReplicaId(1)),
        a_member("rome", Standing.LEFT),
    ]

    text = _words(run("status").stdout)

    assert "3 of about 12 entries (25 %) from rome" in text
    assert "members 1" in text
    assert "deletions older than 2 hours; 5 entries" in text
    assert "held up: paris [eu] is not connected" in text
    assert "a.jsonl, 2.0 KiB: see kvnode recovery list /data/recovery" in text
