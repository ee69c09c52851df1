"""The fixtures read naturally, and a failure says how to see it again."""

from importlib.metadata import entry_points

import pytest
from typer.testing import CliRunner

from jepsen_like.cli.app import app

pytest_plugins = ("pytester",)

_IS_INSTALLED = any(
    each.name == "jepsen_like" for each in entry_points(group="pytest11")
)
_OPTIONS = () if _IS_INSTALLED else ("-p", "jepsen_like.pytest_plugin")
_FAKES = "tests.jepsen_like.fakes"


def _run(pytester: pytest.Pytester, source: str, *options: str) -> pytest.RunResult:
    pytester.makepyfile(source)
    return pytester.runpytest_inprocess(
        *_OPTIONS, "-p", "no:cacheprovider", "-p", "no:asyncio", *options
    )


def test_good_cluster_passes_and_suffers_what_the_test_says(
    pytester: pytest.Pytester,
) -> None:
    """Nemeses by name, and faults at a time."""
    result = _run(
        pytester,
        f"""
        import pytest
        from jepsen_like.nemesis.faults import Kill, Pause, Resume, Start

        @pytest.mark.cluster(system="{_FAKES}:linearizable", nodes=4)
        def test_all_is_well(cluster, nemesis):
            nemesis.use("pause")
            nemesis.at(200, Kill(("n1",)))
            nemesis.at(400, Start(("n1",)))
            outcome = cluster.run("register", operations=50, seconds=2)
            kinds = [span.kind for span in outcome.run.history.faults]
            assert "kill" in kinds and "pause" in kinds
            assert cluster.nodes == ("n1", "n2", "n3", "n4")
            assert outcome.run.history.header.nodes == cluster.nodes
        """,
    )

    result.assert_outcomes(passed=1)


def test_bad_cluster_fails_with_its_witness_and_a_replay_that_works(
    pytester: pytest.Pytester,
) -> None:
    """The command in the report gives the same verdict."""
    result = _run(
        pytester,
        """
        def test_forgets(cluster, nemesis):
            nemesis.use("kill")
            cluster.run("register", operations=60, seconds=2)
        """,
        f"--jepsen-system={_FAKES}:forgetful",
        "--jepsen-seed=1",
    )

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*the run is invalid", "*durability: invalid: *", "*lost write, key *"]
    )
    (command,) = [
        line.split() for line in result.outlines if "jepsen_like replay" in line
    ]
    again = CliRunner().invoke(app, command[1:])
    assert again.exit_code == 1, again.output
    assert "lost write" in again.output


def test_seed_comes_from_the_test_unless_it_is_said(pytester: pytest.Pytester) -> None:
    """Two tests differ; the mark fixes it; the command line overrides both."""
    source = """
        import pytest

        def test_one(cluster):
            print("seed", cluster.seed)

        def test_other(cluster):
            print("seed", cluster.seed)

        @pytest.mark.cluster(seed=7)
        def test_marked(cluster):
            print("seed", cluster.seed)
        """

    def seeds(*options: str) -> list[str]:
        result = _run(pytester, source, "-s", "-v", *options)
        result.assert_outcomes(passed=3)
        return [line.split("seed ")[1] for line in result.outlines if "seed " in line]

    one, other, marked = seeds()
    assert one != other
    assert marked.split()[0] == "7"
    assert [each.split()[0] for each in seeds("--jepsen-seed=9")] == ["9"] * 3


def test_misspelt_mark_is_refused(pytester: pytest.Pytester) -> None:
    """A setting that does nothing would be worse."""
    result = _run(
        pytester,
        """
        import pytest

        @pytest.mark.cluster(node=5)
        def test_x(cluster):
            pass
        """,
    )

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*takes nodes=, system= and seed=*"])
