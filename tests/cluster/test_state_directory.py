"""What a local cluster remembers."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import StateError
from cluster.local.state_directory import ClusterState, StateDirectory
from cluster.topology import THREE_CITIES

STATE = ClusterState(THREE_CITIES, {"tokyo": 1, "frankfurt": 2, "virginia": 3})
pairs = st.sampled_from([frozenset(pair) for pair in THREE_CITIES.pairs()])


@given(
    cuts=st.frozensets(pairs),
    factor=st.floats(0, 10),
    durability=st.sampled_from(["fsync", "relaxed"]),
)
def test_state_survives_the_way_through_text(
    cuts: frozenset[frozenset[str]], factor: float, durability: str
) -> None:
    """What is saved is what is loaded."""
    state = ClusterState(
        THREE_CITIES.scaled(factor),
        dict(STATE.ports),
        durability,
        cuts,
        http_ports={"tokyo": 4, "frankfurt": 5, "virginia": 6},
    )

    assert ClusterState.decode(state.encode()) == state


def test_state_of_before_there_was_http_has_none() -> None:
    """A cluster that was made then goes on."""
    earlier = json.loads(STATE.encode())
    for site in earlier["sites"]:
        del site["http_port"]

    assert ClusterState.decode(json.dumps(earlier)) == STATE


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format": 2}', STATE.encode().replace("frankfurt", "tokyo")],
)
def test_damaged_state_is_refused_with_its_path(tmp_path: Path, text: str) -> None:
    """A damaged file is an error a person can act on, not a traceback."""
    (tmp_path / "cluster.json").write_text(text)

    with pytest.raises(StateError, match=r"cannot read .*cluster\.json"):
        StateDirectory(tmp_path).load()


def test_missing_cluster_says_how_to_make_one(tmp_path: Path) -> None:
    """The first command that people try is often not the first to run."""
    with pytest.raises(StateError, match="kvnode cluster up"):
        StateDirectory(tmp_path / "nothing").load()


def test_lock_keeps_a_second_command_out_and_frees_itself(tmp_path: Path) -> None:
    """Two commands at once would start nodes twice."""
    home = StateDirectory(tmp_path)
    with (
        home.locked(),
        pytest.raises(StateError, match="another command"),
        home.locked(),
    ):
        pass
    with home.locked():
        pass


def test_log_tail_gives_the_last_lines_of_a_long_log(tmp_path: Path) -> None:
    """The end of a log is what tells why a node ended."""
    home = StateDirectory(tmp_path)
    home.node("tokyo").mkdir()
    home.log_file("tokyo").write_text("".join(f"line {n}\n" for n in range(100_000)))

    assert home.log_tail("tokyo", lines=2) == "line 99998\nline 99999"
    assert not home.log_tail("virginia")


def test_remove_deletes_what_is_ours_and_nothing_else(tmp_path: Path) -> None:
    """A state directory may have been put among other files."""
    home = StateDirectory(tmp_path / "state")
    home.save(STATE)
    home.data_directory("tokyo").mkdir(parents=True)
    (home.path / "precious").write_text("not ours")

    home.remove()

    assert [path.name for path in home.path.iterdir()] == ["precious"]


def test_remove_takes_an_empty_directory_with_it(tmp_path: Path) -> None:
    """Nothing is left behind of a cluster that had its directory to itself."""
    home = StateDirectory(tmp_path / "state")
    home.save(STATE)

    home.remove()

    assert not home.path.exists()
