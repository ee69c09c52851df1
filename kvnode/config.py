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
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from kvnode.errors import ConfigError
from kvnode.limits import NAMESPACE_CHARS_MAX
from kvnode.types import DEFAULT_NAMESPACE

ENVIRONMENT_PREFIX: Final = "KVNODE_"
CONFIG_FILE_VARIABLE: Final = "KVNODE_CONFIG"
CLIENT_VARIABLES: Final = frozenset(
    {"KVNODE_ENDPOINTS", "KVNODE_NAMESPACE", "KVNODE_DEADLINE"}
)

_KIB: Final = 1024
_MIB: Final = 1024 * _KIB
_GIB: Final = 1024 * _MIB
_TIB: Final = 1024 * _GIB
_SIZE_UNITS: Final = {"": 1, "b": 1, "kib": _KIB, "mib": _MIB, "gib": _GIB, "tib": _TIB}

_HOUR_MS: Final = 3_600_000
_PEERS_MAX: Final = 256  # as many as a write may depend on (limits.DEPENDENCIES_MAX)
_NAMESPACES_MAX: Final = 1_000  # a node lists them all in one status reply
_PORT_MAX: Final = 65_535
_SHOWN_CHARS_MAX: Final = 120
_WILDCARD_HOSTS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - never bound here

_NAME: Final = re.compile(r"[a-zA-Z0-9._-]{1,64}")
_NAMESPACE: Final = re.compile(rf"[a-zA-Z0-9._-]{{1,{NAMESPACE_CHARS_MAX}}}")
_ADDRESS: Final = re.compile(r"(\[[0-9a-fA-F:.%\w]+\]|[^\s:\[\]/=,]+):([0-9]{1,5})")
_SIZE: Final = re.compile(r"([0-9]+)\s*([a-zA-Z]*)")
_KUBERNETES: Final = re.compile(r"KVNODE_(SERVICE_(HOST|PORT)\w*|PORT(_\d+_\w+)?)")


def split_address(address: str) -> tuple[str, int]:
    """
    Split "host:port" or "[ipv6]:port"; the host keeps no brackets.

    Raises:
        ValueError: It is not of that form, or the port is above 65,535.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None or int(match[2]) > _PORT_MAX:
        msg = "must be host:port or [ipv6]:port, with a port of at most 65535"
        raise ValueError(msg)
    return match[1].strip("[]"), int(match[2])


def _name(value: object) -> str:
    if not isinstance(value, str) or _NAME.fullmatch(value) is None:
        msg = "must be 1 to 64 characters of a-z A-Z 0-9 . _ -"
        raise ValueError(msg)
    return value


def _name_or_nothing(value: object) -> str:
    return "" if value == "" else _name(value)


def _bound_address(value: object) -> str:
    if not isinstance(value, str):
        msg = "must be text of the form host:port"
        raise ValueError(msg)  # noqa: TRY004 - pydantic reports only ValueError
    split_address(value)
    return value


def _dialled_address(value: object) -> str:
    address = _bound_address(value)
    if split_address(address)[1] == 0:
        msg = "must name a port of 1 to 65535: others have to be able to dial it"
        raise ValueError(msg)
    return address


def _address_or_nothing(value: object) -> str:
    return "" if value == "" else _dialled_address(value)


def _namespace(value: object) -> str:
    if not isinstance(value, str) or _NAMESPACE.fullmatch(value) is None:
        msg = f"must be 1 to {NAMESPACE_CHARS_MAX} characters of a-z A-Z 0-9 . _ -"
        raise ValueError(msg)
    if value.startswith("_"):
        msg = "must not begin with an underscore: those belong to kvnode"
        raise ValueError(msg)
    return value


def _listed(value: object) -> object:
    """Split comma separated text; leave lists as they are."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _named_numbers(value: object) -> object:
    """Turn "tokyo=80,paris=12" into a mapping; leave mappings as they are."""
    if isinstance(value, Mapping):
        return dict(value)
    parts = _listed(value)
    if isinstance(parts, Iterable):
        pairs = [str(part).partition("=") for part in parts]
        if all(separator for _, separator, _ in pairs):
            return {name.strip(): number.strip() for name, _, number in pairs}
    msg = "must be name=milliseconds, comma separated"
    raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class _Between:
    """A whole number from *low* to *high*; sizes may carry a unit."""

    low: int
    high: int
    what: str  # of what, in words: " of milliseconds"
    units: Mapping[str, int]

    def __call__(self, value: object) -> int:
        number = self._number(value)
        if number is None or not self.low <= number <= self.high:
            example = ", or with a unit such as 8MiB" if len(self.units) > 1 else ""
            msg = (
                f"must be a whole number{self.what}"
                f" from {self.low} to {self.high}{example}"
            )
            raise ValueError(msg)
        return number

    def _number(self, value: object) -> int | None:
        if isinstance(value, bool):
            return None  # TOML's true is no 1
        if isinstance(value, int):
            return value
        match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
        if match is None or (unit := self.units.get(match[2].lower())) is None:
            return None
        return int(match[1]) * unit


def _millis(low: int, high: int = _HOUR_MS) -> BeforeValidator:
    return BeforeValidator(_Between(low, high, " of milliseconds", {"": 1}))


def _size(low: int, high: int = 64 * _TIB) -> BeforeValidator:
    return BeforeValidator(_Between(low, high, " of bytes", _SIZE_UNITS))


def _count(low: int, high: int) -> BeforeValidator:
    return BeforeValidator(_Between(low, high, "", {"": 1}))


def _automatic(value: object) -> object:
    """Let environment and flags say "automatic", which TOML says by silence."""
    return (
        None
        if value in {None, "automatic"}
        else _Between(0, 64 * _TIB, " of bytes", _SIZE_UNITS)(value)
    )


class PeerConfig(BaseModel):
    """A node to connect to; `name` is empty until it has introduced itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, BeforeValidator(_name_or_nothing)] = ""
    address: Annotated[str, BeforeValidator(_dialled_address)]

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


class NodeConfig(BaseModel):
    """All that one node can be told; see each field's description."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, BeforeValidator(_name)] = Field(
        "kvnode", description="Label of this node; unique within the cluster."
    )
    region: Annotated[str, BeforeValidator(_name_or_nothing)] = Field(
        "", description="Where the node is; one relay a region talks over the WAN (D7)."
    )
    cluster: Annotated[str, BeforeValidator(_name)] = Field(
        "kvnode", description="Nodes of different clusters refuse each other."
    )
    data_directory: Path = Field(
        Path("kvnode-data"), description="Made if missing; belongs to one process."
    )
    listen: Annotated[str, BeforeValidator(_bound_address)] = Field(
        "127.0.0.1:7400", description="host:port to serve on; port 0 takes a free one."
    )
    advertise: Annotated[str, BeforeValidator(_address_or_nothing)] = Field(
        "", description="host:port others reach this node at; the listen address."
    )
    peers: Annotated[
        tuple[PeerConfig, ...],
        BeforeValidator(_listed),
        Field(max_length=_PEERS_MAX, description="Nodes to connect to, by name."),
    ] = ()
    seeds: Annotated[
        tuple[Annotated[str, BeforeValidator(_dialled_address)], ...],
        BeforeValidator(_listed),
        Field(max_length=_PEERS_MAX, description="Nodes to learn the others from."),
    ] = ()
    durability: Literal["fsync", "relaxed"] = Field(
        "fsync", description="Reply when on disk, or when in the page cache (W1)."
    )
    relaxed_sync_interval_ms: Annotated[int, _millis(1, 60_000)] = Field(
        100, description="What a power loss may cost in relaxed mode, in ms (W1)."
    )
    map_bytes: Annotated[int, _size(16 * _MIB)] = Field(
        1 * _TIB, description="Address space for the store; no disk is set aside."
    )
    disk_reserve_bytes: Annotated[int | None, BeforeValidator(_automatic)] = Field(
        None, description="Room kept from client writes (W3); automatic if not set."
    )
    delta_interval_ms: Annotated[int, _millis(10)] = Field(
        1_000, description="How often to compare with a random peer (D8), in ms."
    )
    gap_patience_ms: Annotated[int, _millis(1, 60_000)] = Field(
        100, description="How long a gap may last before it is asked for (D4), in ms."
    )
    outbox_bytes_max: Annotated[int, _size(64 * _KIB)] = Field(
        8 * _MIB, description="Memory for what a slow peer has yet to take (D5)."
    )
    delta_page_bytes: Annotated[int, _size(4 * _KIB, 4 * _MIB)] = Field(
        256 * _KIB, description="Size of a page of a delta (D1)."
    )
    delta_sessions_max: Annotated[int, _count(1, 1_000)] = Field(
        3, description="Deltas and bootstraps served at once (D10)."
    )
    inbox_operations_max: Annotated[int, _count(1, 10_000_000)] = Field(
        50_000, description="Operations that may wait for their turn."
    )
    inbox_bytes_max: Annotated[int, _size(1 * _MIB)] = Field(
        256 * _MIB, description="Bytes of operations that may wait for their turn."
    )
    clock_offset_max_ms: Annotated[int, _millis(1)] = Field(
        500, description="Clock error past which writes are refused (C1), in ms."
    )
    fault_injection: bool = Field(
        default=False, description="Let links be cut and slowed; for tests and demos."
    )
    link_delays_ms: Annotated[
        dict[
            Annotated[str, BeforeValidator(_name)], Annotated[int, _millis(0, 60_000)]
        ],
        BeforeValidator(_named_numbers),
        Field(description="One-way delay added to what is sent to a peer, in ms."),
    ] = {}
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least important message that is logged."
    )
    namespaces: Annotated[
        tuple[Annotated[str, BeforeValidator(_namespace)], ...],
        BeforeValidator(_listed),
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
        ):
            for value in {value for value in values if values.count(value) > 1}:
                yield field, f"{value!r} is there more than once"

    def _contradictions(self) -> Iterator[tuple[str, str]]:
        if self.disk_reserve_bytes and self.disk_reserve_bytes >= self.map_bytes:
            complaint = f"must be less than map_bytes, which is {self.map_bytes}"
            yield "disk_reserve_bytes", complaint
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
    layers = [_flag_layer(flags)]
    layers.insert(0, _environment_layer(environ))
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
