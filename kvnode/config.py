"""
Settings of one node: what they may be, and where they come from.

Three layers, the later wins, each may leave out what it likes:

    file          TOML, named by --config or KVNODE_CONFIG; keys are field names
    environment   KVNODE_<FIELD>; an empty variable counts as not set
    flags         --<field>, given on the command line

A name that is no setting is an error in every layer, because a misspelt setting
that is silently ignored is found out in production.  The one exception is what
Kubernetes puts into the environment for a service called "kvnode"
(KVNODE_SERVICE_HOST, KVNODE_PORT, KVNODE_PORT_7400_TCP and so on).

Lists are comma separated in the environment and in flags, and lists in TOML:

    peers       tokyo=10.0.0.2:7400,10.0.0.3:7400     the name may be left out
    link_delays_ms    tokyo=80,paris=12
    sizes       1TiB, 256 KiB, or a plain number of bytes
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from kvnode.address import split_address
from kvnode.errors import ConfigError
from kvnode.objects_config import ObjectsConfig
from kvnode.setting_types import (
    COMMA_SEPARATED,
    KIB,
    MIB,
    NAMED_NUMBERS,
    TIB,
    AddressOrNothing,
    BoundAddress,
    BoundAddressOrNothing,
    DialledAddress,
    Name,
    NameOrNothing,
    NamespaceName,
    SizeOrAutomatic,
    count,
    millis,
    size,
)
from kvnode.types import DEFAULT_NAMESPACE

ENVIRONMENT_PREFIX: Final = "KVNODE_"
CONFIG_FILE_VARIABLE: Final = "KVNODE_CONFIG"
CLIENT_VARIABLES: Final = frozenset(
    {"KVNODE_ENDPOINTS", "KVNODE_NAMESPACE", "KVNODE_DEADLINE"}
)

_PEERS_MAX: Final = 256  # as many as a write may depend on (limits.DEPENDENCIES_MAX)
_NAMESPACES_MAX: Final = 1_000  # a node lists them all in one status reply
_SHOWN_CHARS_MAX: Final = 120
_WILDCARD_HOSTS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - never bound here

_KUBERNETES: Final = re.compile(r"KVNODE_(SERVICE_(HOST|PORT)\w*|PORT(_\d+_\w+)?)")


class PeerConfig(BaseModel, frozen=True, extra="forbid"):
    """A node to connect to; `name` is empty until it has introduced itself."""

    name: NameOrNothing = ""
    address: DialledAddress

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        name, separator, address = value.rpartition("=")
        if separator and not name:
            msg = "must be name=host:port or host:port"
            raise ValueError(msg)
        return {"name": name.strip(), "address": address.strip()}


class NodeConfig(ObjectsConfig, frozen=True, extra="forbid"):
    """All that one node can be told; see each field's description."""

    name: Name = Field(
        default="kvnode", description="Label of this node; unique within the cluster."
    )
    region: NameOrNothing = Field(
        default="",
        description="Where the node is; one relay a region talks over the WAN (D7).",
    )
    cluster: Name = Field(
        default="kvnode", description="Nodes of different clusters refuse each other."
    )
    data_directory: Path = Field(
        default=Path("kvnode-data"),
        description="Made if missing; belongs to one process.",
    )
    listen: BoundAddress = Field(
        default="127.0.0.1:7400",
        description="host:port to serve on; port 0 takes a free one.",
    )
    advertise: AddressOrNothing = Field(
        default="",
        description="host:port others reach this node at; the listen address.",
    )
    http: BoundAddressOrNothing = Field(
        default="",
        description="host:port to serve objects over HTTP on; none if not set.",
    )
    peers: Annotated[
        tuple[PeerConfig, ...],
        COMMA_SEPARATED,
        Field(max_length=_PEERS_MAX, description="Nodes to connect to, by name."),
    ] = ()
    seeds: Annotated[
        tuple[DialledAddress, ...],
        COMMA_SEPARATED,
        Field(max_length=_PEERS_MAX, description="Nodes to learn the others from."),
    ] = ()
    durability: Literal["fsync", "relaxed"] = Field(
        default="fsync",
        description="Reply when on disk, or when in the page cache (W1).",
    )
    relaxed_sync_interval_ms: Annotated[int, millis(1, 60_000)] = Field(
        default=100,
        description="What a power loss may cost in relaxed mode, in ms (W1).",
    )
    map_bytes: Annotated[int, size(16 * MIB)] = Field(
        default=1 * TIB,
        description="Address space for the store; no disk is set aside.",
    )
    disk_reserve_bytes: SizeOrAutomatic = Field(
        default=None,
        description="Room kept from client writes (W3); automatic if not set.",
    )
    delta_interval_ms: Annotated[int, millis(10)] = Field(
        default=1_000,
        description="How often to compare with a random peer (D8), in ms.",
    )
    gap_patience_ms: Annotated[int, millis(1, 60_000)] = Field(
        default=100,
        description="How long a gap may last before it is asked for (D4), in ms.",
    )
    outbox_bytes_max: Annotated[int, size(64 * KIB)] = Field(
        default=8 * MIB, description="Memory for what a slow peer has yet to take (D5)."
    )
    delta_page_bytes: Annotated[int, size(4 * KIB, 4 * MIB)] = Field(
        default=256 * KIB, description="Size of a page of a delta (D1)."
    )
    delta_sessions_max: Annotated[int, count(1, 1_000)] = Field(
        default=3, description="Deltas and bootstraps served at once (D10)."
    )
    bootstrap_bytes_per_second: Annotated[int, size(0)] = Field(
        default=0, description="For filling new nodes from here (D10); 0 = no limit."
    )
    inbox_operations_max: Annotated[int, count(1, 10_000_000)] = Field(
        default=50_000, description="Operations that may wait for their turn."
    )
    inbox_bytes_max: Annotated[int, size(1 * MIB)] = Field(
        default=256 * MIB,
        description="Bytes of operations that may wait for their turn.",
    )
    clock_offset_max_ms: Annotated[int, millis(1)] = Field(
        default=500,
        description="Clock error past which writes are refused (C1), in ms.",
    )
    join_patience_ms: Annotated[int, millis(0, 600_000)] = Field(
        default=3_000,
        description="How long an empty node waits for a peer before it serves, in ms.",
    )
    forget_interval_ms: Annotated[int, millis(10)] = Field(
        default=5_000,
        description="Between two attempts to forget deletions (G1), in ms.",
    )
    scan_interval_ms: Annotated[int, millis(0)] = Field(
        default=86_400_000,
        description="Between two looks through the whole store (D9), in ms; 0: none.",
    )
    repair_automatically: bool = Field(
        default=True,
        description="Repair when nodes that must hold the same do not (D9).",
    )
    repair_bytes_per_second: Annotated[int, size(64 * KIB)] = Field(
        default=4 * MIB, description="What a repair sends at most (D9)."
    )
    fault_injection: bool = Field(
        default=False, description="Let links be cut and slowed; for tests and demos."
    )
    link_delays_ms: Annotated[
        dict[Name, Annotated[int, millis(0, 60_000)]],
        NAMED_NUMBERS,
        Field(description="One-way delay added to what is sent to a peer, in ms."),
    ] = {}  # noqa: RUF012 -- pydantic copies it
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least important message that is logged."
    )
    namespaces: Annotated[
        tuple[NamespaceName, ...],
        COMMA_SEPARATED,
        Field(max_length=_NAMESPACES_MAX, description="Made at start if missing."),
    ] = (DEFAULT_NAMESPACE,)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        """Check what no field can know alone."""
        for field, complaint in (*self._repetitions(), *self._contradictions()):
            raise _FieldError(field, complaint)
        return self

    def _repetitions(self) -> Iterator[tuple[str, str]]:
        for field, values in (
            ("peers", tuple(peer.name for peer in self.peers if peer.name)),
            ("peers", tuple(peer.address for peer in self.peers)),
            ("seeds", self.seeds),
            ("namespaces", self.namespaces),
            *self._lists_of_objects(),
        ):
            for value in {value for value in values if values.count(value) > 1}:
                yield field, f"{value!r} is there more than once"

    def _contradictions(self) -> Iterator[tuple[str, str]]:
        if self.disk_reserve_bytes and self.disk_reserve_bytes >= self.map_bytes:
            complaint = f"must be less than map_bytes, which is {self.map_bytes}"
            yield "disk_reserve_bytes", complaint
        yield from self._contradictions_of_objects(
            has_others=bool(self.peers or self.seeds)
        )
        anywhere = split_address(self.listen)[0] in _WILDCARD_HOSTS
        if anywhere and (self.peers or self.seeds) and not self.advertise:
            complaint = (
                f"must be set when listen is {self.listen}, which no other node can"
                " dial: say host:port as the others reach this node"
            )
            yield "advertise", complaint

    def advertised(self, bound_port: int) -> str:
        """Return host:port for others; *bound_port* is what port 0 became."""
        if self.advertise:
            return self.advertise
        return f"{self.listen.rpartition(':')[0]}:{bound_port}"


class _FieldError(ValueError):
    """Blames *field* for what was found by looking at several."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class _Layer:
    """Settings from one place; `origins` says, by field, how a person wrote it."""

    values: Mapping[str, object]
    origins: Mapping[str, str]


def load(
    config_file: Path | None,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
) -> NodeConfig:
    """
    Read the settings from all layers; the later layer wins, field by field.

    Args:
        config_file: From --config; if None, KVNODE_CONFIG is looked at.
        flags: By field name; None means that the flag was not given.
        environ: All environment variables; foreign ones are ignored.

    Raises:
        ConfigError: One line for each wrong setting: its name, its value, what
            it may be, and where it came from.
    """
    if config_file is None and environ.get(CONFIG_FILE_VARIABLE):
        config_file = Path(environ[CONFIG_FILE_VARIABLE])
    layers = [_environment_layer(environ), _flag_layer(flags)]
    if config_file is not None:
        layers.insert(0, _file_layer(config_file))
    values: dict[str, object] = {}
    origins: dict[str, str] = {}
    for layer in layers:
        values.update(layer.values)
        origins.update(layer.origins)
    try:
        return NodeConfig.model_validate(values)
    except ValidationError as error:
        lines = [_explain(detail, values, origins) for detail in error.errors()]
        raise ConfigError("\n".join(dict.fromkeys(lines))) from None


def _file_layer(path: Path) -> _Layer:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        msg = f"config: cannot read {str(path)!r}: {reason}"
        raise ConfigError(msg) from None
    except tomllib.TOMLDecodeError as error:
        msg = f"config: {str(path)!r} is not TOML: {error}"
        raise ConfigError(msg) from None
    return _Layer(values, dict.fromkeys(values, f"file {path}"))


def _environment_layer(environ: Mapping[str, str]) -> _Layer:
    names = {
        name.removeprefix(ENVIRONMENT_PREFIX).lower(): name
        for name, value in environ.items()
        if name.startswith(ENVIRONMENT_PREFIX)
        and value
        and name not in CLIENT_VARIABLES | {CONFIG_FILE_VARIABLE}
        and _KUBERNETES.fullmatch(name) is None
    }
    return _Layer(
        {field: environ[name] for field, name in names.items()},
        {field: f"environment variable {name}" for field, name in names.items()},
    )


def _flag_layer(flags: Mapping[str, object]) -> _Layer:
    given = {field: value for field, value in flags.items() if value is not None}
    return _Layer(
        given, {field: f"flag --{field.replace('_', '-')}" for field in given}
    )


def _explain(
    detail: ErrorDetails, values: Mapping[str, object], origins: Mapping[str, str]
) -> str:
    """Say in one line which setting is wrong, and what it may be."""
    cause = detail.get("ctx", {}).get("error")
    field = cause.field if isinstance(cause, _FieldError) else str(detail["loc"][0])
    origin = origins.get(field, "default")
    if detail["type"] == "extra_forbidden" and len(detail["loc"]) == 1:
        close = get_close_matches(field, NodeConfig.model_fields, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        return f"{field}: there is no such setting{hint} (from {origin})"
    value = values.get(field) if isinstance(cause, _FieldError) else detail["input"]
    shown = repr(value)
    if len(shown) > _SHOWN_CHARS_MAX:
        shown = shown[:_SHOWN_CHARS_MAX] + "..."
    return f"{field} = {shown}: {_allowed(detail)} (from {origin})"


def _allowed(detail: ErrorDetails) -> str:
    context = detail.get("ctx", {})
    last = detail["loc"][-1] if detail["loc"] else ""
    phrases = {
        "value_error": f"{context.get('error')}",
        "literal_error": f"must be {context.get('expected')}",
        "bool_parsing": "must be true or false",
        "bool_type": "must be true or false",
        "tuple_type": "must be a list, or comma separated text",
        "too_long": f"must have at most {context.get('max_length')} items",
        "path_type": "must be the path of a directory",
        "missing": f"lacks {last!r}",
        "extra_forbidden": f"there is no {last!r} in it",
    }
    return phrases.get(detail["type"], detail["msg"])
