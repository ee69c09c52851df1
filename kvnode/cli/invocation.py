"""
What a command is given, and what all commands have in common.

`client_command` turns an asynchronous function into a command.  It adds the
options that say which nodes to ask, opens the client, and reports errors.  The
function's first parameter is the `Call`; the others are arguments and options, as
typer reads them.

The one seam for tests is `Setup.open_client`: give typer's runner an `obj`.
"""

import asyncio
import inspect
import os
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from kvnode.cli.arguments import KeyForm, duration_option, endpoint_list
from kvnode.cli.failures import MAY_HAVE_HAPPENED, reported
from kvnode.types import DEFAULT_NAMESPACE

if TYPE_CHECKING:
    from kvnode.client import Client

Command = Callable[..., None]
Work = Callable[..., Coroutine[Any, Any, None]]
"""Takes a `Call` and then its own arguments and options."""

DEFAULT_ENDPOINT: Final = "127.0.0.1:7400"
DEFAULT_DEADLINE: Final = "5s"

Endpoints = Annotated[
    str | None,
    typer.Option(
        "--endpoint",
        "-e",
        metavar="HOST:PORT,...",
        help=f"Nodes to ask, the preferred one first. (default: {DEFAULT_ENDPOINT})",
        rich_help_panel="Where",
    ),
]
NamespaceName = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        "-n",
        metavar="NAME",
        help="Namespace to work in. (default: default)",
        rich_help_panel="Where",
    ),
]
Deadline = Annotated[
    str | None,
    typer.Option(
        "--deadline",
        metavar="DURATION",
        help=f"Give up after this long. (default: {DEFAULT_DEADLINE})",
        rich_help_panel="Where",
    ),
]
HexKeys = Annotated[
    bool, typer.Option("--hex", metavar="", help="Keys are written in hex.")
]
Base64Keys = Annotated[
    bool, typer.Option("--base64", metavar="", help="Keys are written in base64.")
]
JsonOutput = Annotated[
    bool, typer.Option("--json", metavar="", help="Print JSON instead of text.")
]


@dataclass(frozen=True, slots=True)
class Target:
    """Which nodes to ask, for what, and for how long (seconds)."""

    endpoints: tuple[str, ...]
    namespace: str
    deadline: float


def _open_client(target: Target) -> "Client":
    from kvnode.client import Client

    return Client(
        *target.endpoints, namespace=target.namespace, deadline=target.deadline
    )


@dataclass(frozen=True, slots=True)
class Setup:
    """The global options as given, and how clients are made."""

    endpoints: str = DEFAULT_ENDPOINT
    namespace: str = DEFAULT_NAMESPACE
    deadline: str = DEFAULT_DEADLINE
    open_client: Callable[[Target], "Client"] = field(default=_open_client)

    @classmethod
    def of_environment(cls) -> "Setup":
        """Return what the environment says; an empty variable says nothing."""
        return cls(
            endpoints=os.environ.get("KVNODE_ENDPOINTS") or DEFAULT_ENDPOINT,
            namespace=os.environ.get("KVNODE_NAMESPACE") or DEFAULT_NAMESPACE,
            deadline=os.environ.get("KVNODE_DEADLINE") or DEFAULT_DEADLINE,
        )

    def override(
        self, endpoints: str | None, namespace: str | None, deadline: str | None
    ) -> "Setup":
        """Return this setup with what is not None in place of what was."""
        return replace(
            self,
            endpoints=self.endpoints if endpoints is None else endpoints,
            namespace=self.namespace if namespace is None else namespace,
            deadline=self.deadline if deadline is None else deadline,
        )

    def target(self) -> Target:
        """
        Return the options as values.

        Raises:
            typer.BadParameter: One of them is malformed.
        """
        try:
            endpoints = endpoint_list(self.endpoints)
        except typer.BadParameter as error:
            error.param_hint = "--endpoint"
            raise
        deadline = duration_option(self.deadline, "--deadline")
        return Target(endpoints, self.namespace, deadline)


@dataclass(frozen=True, slots=True)
class Call:
    """One run of a command."""

    client: "Client"
    target: Target
    keys: KeyForm
    json: bool
    setup: Setup

    def client_of(self, endpoint: str) -> "Client":
        """Return a client that asks one node alone; close it."""
        return self.setup.open_client(replace(self.target, endpoints=(endpoint,)))


def client_command(
    app: typer.Typer,
    name: str,
    *,
    panel: str | None = None,
    writes: bool = False,
    keys: bool = True,
    json: bool = True,
    negative_numbers: bool = False,
    advice: str = MAY_HAVE_HAPPENED,
) -> Callable[[Work], Command]:
    """
    Make a function a command of *app* under *name*; its docstring is the help.

    Args:
        app: What gets the command.
        name: How it is called.
        panel: The heading in `--help` under which it stands.
        writes: Whether it changes anything at a node.
        keys: Whether --hex and --base64 make sense.
        json: Whether it has --json.
        negative_numbers: Whether "-5" is an argument and no option.
        advice: What to tell if it is not known whether it happened.
    """

    def register(work: Work) -> Command:
        callback = _callback(work, writes=writes, keys=keys, json=json, advice=advice)
        settings = {"ignore_unknown_options": True} if negative_numbers else {}
        app.command(name, rich_help_panel=panel, context_settings=settings)(callback)
        return callback

    return register


def client_group(
    app: typer.Typer, name: str, *, panel: str | None = None
) -> Callable[[Work], typer.Typer]:
    """
    Make a function what *app* does for *name* alone, and a group of commands.

    Its docstring is the help of both.  It reads, has --json, and no keys.  What is
    said of nodes before the name of a command of the group holds for that, too.
    """

    def register(work: Work) -> typer.Typer:
        group = typer.Typer(invoke_without_command=True)
        group.callback()(
            _callback(work, writes=False, keys=False, json=True, advice="")
        )
        app.add_typer(group, name=name, rich_help_panel=panel)
        return group

    return register


def _callback(
    work: Work, *, writes: bool, keys: bool, json: bool, advice: str
) -> Command:
    """Return what typer is to call, with the parameters of *work* and the common."""

    def callback(
        context: typer.Context,
        endpoint: str | None,
        namespace: str | None,
        deadline: str | None,
        in_hex: bool = False,
        in_base64: bool = False,
        as_json: bool = False,
        **own: Any,  # noqa: ANN401 - typer has checked them against `work`
    ) -> None:
        given: Setup = context.obj
        setup = given.override(endpoint, namespace, deadline)
        if context.invoked_subcommand is not None:
            context.obj = setup
            return
        form = KeyForm.chosen(in_hex=in_hex, in_base64=in_base64)
        target = setup.target()

        async def run() -> None:
            async with setup.open_client(target) as client:
                await work(Call(client, target, form, as_json, setup), **own)

        with reported(writes=writes, advice=advice):
            asyncio.run(run())

    own_parameters = list(inspect.signature(work).parameters.values())[1:]
    options = {
        "endpoint": Endpoints,
        "namespace": NamespaceName,
        "deadline": Deadline,
    }
    switches: dict[str, Any] = {}
    if keys:
        switches |= {"in_hex": HexKeys, "in_base64": Base64Keys}
    if json:
        switches |= {"as_json": JsonOutput}
    parameters = [
        _keyword("context", typer.Context),
        *(each.replace(kind=each.KEYWORD_ONLY) for each in own_parameters),
        *(_keyword(each, kind, default=False) for each, kind in switches.items()),
        *(_keyword(each, kind, default=None) for each, kind in options.items()),
    ]
    callback.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it
    callback.__annotations__ = {each.name: each.annotation for each in parameters}
    callback.__doc__ = work.__doc__
    return callback


def _keyword(
    name: str,
    annotation: Any,  # noqa: ANN401 - annotations have no common type
    *,
    default: object = inspect.Parameter.empty,
) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
    )
