"""What run, replay and explore have in common: which plans, how shown, how ended."""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jepsen_like.cli.check import Checked, document
from jepsen_like.cli.exit_codes import ExitCode, foreseen
from kvnode.cli.output import complain, console, print_json, print_line
from kvnode.object_json import Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jepsen_like.history.history import History
    from jepsen_like.runner.exploring import Sweep
    from jepsen_like.verdict import Judgement, Verdict

WorkloadName = Annotated[
    str,
    typer.Option(
        "--workload",
        "-w",
        metavar="W",
        help="What clients ask for, such as register; a wrong name lists all.",
    ),
]
NemesisNames = Annotated[
    str,
    typer.Option(
        "--nemesis",
        "-n",
        metavar="N[,N]",
        help="What harm is done, such as kill,partition; a wrong name lists all.",
    ),
]
SystemName = Annotated[
    str,
    typer.Option(
        "--system",
        "-s",
        metavar="S",
        help="simulated, processes, namespaces, etcd, redis, or module:attribute of"
        " your own.",
    ),
]
PreviousInstall = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Where pip install --target has put a previous version of kvnode, for"
        " processes to begin with; see --nemesis rolling-upgrade.",
        show_default=False,
    ),
]
NodeCount = Annotated[
    int, typer.Option("--nodes", min=1, max=1_000, help="How many nodes.")
]
OperationCount = Annotated[
    int,
    typer.Option(
        "--operations", min=1, max=1_000_000, help="How many, over all clients."
    ),
]
WorkerCount = Annotated[
    int, typer.Option("--workers", min=1, max=1_000, help="How many clients at once.")
]
KeyCount = Annotated[
    int, typer.Option("--keys", min=1, max=1_000_000, help="How many keys.")
]
Seconds = Annotated[
    float,
    typer.Option(
        "--seconds",
        min=0.02,
        max=1_000_000,
        help="How long clients ask, in the time of the run.",
    ),
]
StoreSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="A setting of the nodes, by kvnode's own name, such as durability=relaxed;"
        " may be given several times.",
        show_default=False,
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", metavar="", help="Print one line of JSON.")
]


@dataclass(frozen=True, slots=True)
class Wish:
    """The plans that a user asks for, as the options say it."""

    workload: str = "register"
    nemesis: str = "none"
    system: str = "simulated"
    nodes: int = 3
    operations: int = 200
    workers: int = 6
    keys: int = 4
    seconds: float = 10.0
    previous_install: Path | None = None
    settings: tuple[str, ...] = ()

    def sweep(self) -> "Sweep":
        """
        Return what this asks for.

        Raises:
            ValueError: A name is not known, or a number does not fit the others.
        """
        from jepsen_like.generator import node_names
        from jepsen_like.runner.exploring import Sweep
        from jepsen_like.workloads.workload import Extent

        sweep = Sweep(
            self.workload,
            tuple(name for name in self.nemesis.split(",") if name),
            node_names(self.nodes),
            Extent(self.operations, self.workers, self.keys, round(self.seconds * 1e3)),
            self.system,
            _settings_of(self.settings),
            self.previous_install,
        )
        sweep.plan(0)  # so that what cannot be planned is refused before all work
        return sweep

    def command(self, name: str, seed: int) -> str:
        """Return the command that does the same with *seed*, in full."""
        usual = Wish()
        words = ["jepsen_like", name, "--workload", self.workload]
        words += ["--nemesis", self.nemesis, "--seed", str(seed)]
        for option in ("system", "nodes", "operations", "workers", "keys", "seconds"):
            value = getattr(self, option)
            if value != getattr(usual, option):
                words += [f"--{option}", _plain(value)]
        for setting in self.settings:
            words += ["--set", setting]
        return shlex.join([*words, *_previous_words(self.previous_install)])


def _settings_of(texts: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """
    Return the settings that `--set` gives, in order of their names.

    Raises:
        ValueError: One is not of the form NAME=VALUE.
    """
    settings: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            msg = f"--set takes NAME=VALUE, not {text!r}"
            raise ValueError(msg)
        settings[name] = value
    return tuple(sorted(settings.items()))


def replay_command(path: object, system: str, previous: Path | None = None) -> str:
    """Return the command that runs the plan in the file *path* again."""
    words = ["jepsen_like", "replay", str(path)]
    if system != Wish().system:
        words += ["--system", system]
    return shlex.join([*words, *_previous_words(previous)])


def _previous_words(previous: Path | None) -> list[str]:
    return [] if previous is None else ["--previous-install", str(previous)]


def history_digest(history: "History") -> str:
    """Return the digest of *history*: that of its file, if that is ours."""
    from jepsen_like.history.json_lines import digest, encode

    return digest(encode(history))


@dataclass(frozen=True, slots=True)
class Told:
    """
    A run that was judged, as it is shown.

    Attributes:
        title: Which run.
        history: What clients saw.
        judgements: What was found.
        seconds: How long it took on the wall.
        replay: The command that does it again.
        digest: Of the history.
        more: What else there is, for `--json`.
    """

    title: str
    history: "History"
    judgements: "Sequence[Judgement]"
    seconds: float
    replay: str
    digest: str
    more: dict[str, Json]

    @property
    def verdict(self) -> "Verdict":
        """The worst of all checkers."""
        from jepsen_like.verdict import combined

        return combined(self.judgements)

    def show(self, *, as_json: bool) -> None:
        """Print verdicts, witnesses, and how to run it again."""
        checked = Checked(
            title=self.title,
            format="",
            model=self.history.header.model,
            history=self.history,
            judgements=self.judgements,
            verdict=self.verdict,
            seconds=self.seconds,
        )
        if as_json:
            told = {"replay": self.replay, "sha256": self.digest, **self.more}
            print_json({**document(checked), **told})
            return
        from jepsen_like.cli.verdict_text import show

        show(checked)
        if self.verdict.value != "valid":
            print_line(f"\nAgain: {self.replay}")


@contextmanager
def complaints(subject: Mapping[str, Json] | None = None) -> Iterator[None]:
    """
    Turn what was foreseen to go wrong into a line on stderr and an exit code.

    Args:
        subject: If given, what is told of a run that could not begin is told on stdout,
            too, as JSON with this.

    Raises:
        typer.Exit: In place of the error.
    """
    from jepsen_like.runner.execution import SetUpError

    with foreseen():
        try:
            yield
        except SetUpError as error:
            complain(str(error))
            if subject is not None:
                print_json({"verdict": "unknown", "reason": str(error), **subject})
            raise typer.Exit(ExitCode.UNKNOWN) from None


@contextmanager
def busy(title: str) -> Iterator[None]:
    """Show that something goes on, where somebody can see it."""
    out = console(stderr=True)
    if not out.is_terminal:
        yield
        return
    with out.status(title):
        yield


def _plain(value: object) -> str:
    """Return a number or name without a point that says nothing."""
    return f"{value:.10g}" if isinstance(value, float) else str(value)
