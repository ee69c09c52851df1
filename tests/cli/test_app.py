"""The program as a whole: help, plugins, serve."""

import json
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from kvnode.cli import plugins
from kvnode.cli.app import app
from kvnode.cli.commands.serve import serve
from kvnode.config import NodeConfig
from kvnode.runtime import app as runtime
from tests.cli.conftest import Run


def _with_plugin(value: str) -> typer.Typer:
    host = typer.Typer(pretty_exceptions_enable=False)
    host.command("own")(lambda: typer.echo("own"))
    point = EntryPoint("extra", value, plugins.GROUP)
    plugins.register(host, [point], panel="Added")
    return host


def test_help_names_every_command(run: Run) -> None:
    """And says what exit codes mean."""
    text = run("--help").stdout

    for name in ("serve", "get", "put", "watch", "import", "backup", "counter"):
        assert f" {name} " in text
    assert "Exit codes" in text


def test_every_command_has_help_with_no_internals(run: Run) -> None:
    """Parameter names of Python do not leak into options."""
    for info in app.registered_commands:
        assert info.name is not None
        text = run(info.name, "--help").stdout
        assert "Usage" in text
        assert "in-hex" not in text
        assert "as-json" not in text


def test_serve_has_a_flag_for_every_setting() -> None:
    """A new setting needs its flag."""
    flags = set(serve.__annotations__) - {"config", "show_config", "return"}

    assert flags == set(NodeConfig.model_fields)


def test_serve_shows_the_settings_it_would_use(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Environment below flags, as in kvnode.config."""
    monkeypatch.setenv("KVNODE_NAME", "env")
    monkeypatch.setenv("KVNODE_REGION", "ap")

    result = run("serve", "--name", "flag", "--no-fault-injection", "--show-config")

    document = json.loads(result.stdout)
    assert (document["name"], document["region"]) == ("flag", "ap")


def test_serve_runs_the_node_with_the_settings(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runtime gets what was loaded."""
    ran: list[NodeConfig] = []
    monkeypatch.setattr(runtime, "run", ran.append)

    assert run("serve", "--listen", "127.0.0.1:0").exit_code == 0
    assert ran[0].listen == "127.0.0.1:0"


def test_serve_with_a_wrong_setting_ends_with_2(run: Run) -> None:
    """The line is the one of kvnode.config."""
    result = run("serve", "--durability", "hopeful", "--listen", "nowhere")

    assert result.exit_code == 2
    assert "durability = 'hopeful'" in result.stderr
    assert "flag --listen" in result.stderr


def test_serve_with_a_broken_disk_is_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An OSError names the file."""

    def fail(config: NodeConfig) -> None:
        raise PermissionError(13, "Permission denied", str(config.data_directory))

    monkeypatch.setattr(runtime, "run", fail)

    result = run("serve", "--data-directory", str(tmp_path))

    assert result.exit_code == 2
    assert "Permission denied" in result.stderr
    assert "Traceback" not in result.output


def test_version_is_printed_in_both_ways(run: Run) -> None:
    """As a command, for scripts, and as an option, for people."""
    document = json.loads(run("version", "--json").stdout)

    assert run("--version").stdout == f"kvnode {document['version']}\n"


def test_broken_plugin_breaks_nothing_else() -> None:
    """Help and other commands work; the command itself says what is wrong."""
    host = _with_plugin("no_such_module_at_all:app")

    assert CliRunner().invoke(host, ["--help"]).exit_code == 0
    assert CliRunner().invoke(host, ["own"]).stdout == "own\n"
    result = CliRunner().invoke(host, ["extra"])
    assert result.exit_code == 2
    assert "no_such_module_at_all" in result.stderr


def test_plugin_that_is_no_command_is_refused() -> None:
    """An entry point may name anything, and this one names a number."""
    result = CliRunner().invoke(_with_plugin("kvnode.limits:KEY_BYTES_MAX"), ["extra"])

    assert result.exit_code == 2
    assert "int" in result.stderr


def test_plugin_gets_its_arguments_untouched() -> None:
    """Options, --help among them, belong to the plugin."""
    host = _with_plugin("tests.cli.plugin_for_tests:command")

    text = CliRunner().invoke(host, ["extra", "--loud", "word", "--times", "2"]).stdout
    help_text = CliRunner().invoke(host, ["extra", "--help"]).stdout

    assert text == "WORD\nWORD\n"
    assert "--times" in help_text


def test_plugin_is_described_without_being_imported() -> None:
    """Its module's docstring is read, not run."""
    sys.modules.pop("tests.cli.plugin_for_tests", None)

    text = (
        CliRunner()
        .invoke(_with_plugin("tests.cli.plugin_for_tests:command"), ["--help"])
        .stdout
    )

    assert "A command that shouts." in text
    assert "tests.cli.plugin_for_tests" not in sys.modules


def test_plugin_cannot_take_the_name_of_a_command() -> None:
    """What `kvnode get` does is not for others to say."""
    host = typer.Typer()
    host.command("extra")(lambda: typer.echo("own"))
    host.command("second")(lambda: typer.echo("second"))
    point = EntryPoint("extra", "no_such_module_at_all:app", plugins.GROUP)
    plugins.register(host, [point], panel="Added")

    assert CliRunner().invoke(host, ["extra"]).stdout == "own\n"
