"""
The kinds of values that settings have, with one clear complaint for each.

Pydantic checks; what is here decides what the person reads who got it wrong.
Every check takes what TOML gives (numbers, lists, tables) and what environment
and flags give (text).
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import BeforeValidator

from kvnode.address import split_address
from kvnode.limits import NAMESPACE_CHARS_MAX

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB
TIB: Final = 1024 * GIB
SIZE_UNITS: Final = {"": 1, "b": 1, "kib": KIB, "mib": MIB, "gib": GIB, "tib": TIB}
SIZE_MAX: Final = 64 * TIB  # half of what 64-bit processes can address
HOUR_MS: Final = 3_600_000

_NAME: Final = re.compile(r"[a-zA-Z0-9._-]{1,64}")
_NAMESPACE: Final = re.compile(rf"[a-zA-Z0-9._-]{{1,{NAMESPACE_CHARS_MAX}}}")
_OBJECT_CLASS: Final = re.compile(r"[\w.]{1,200}:\w{1,64}|Storage", re.ASCII)
_KEY_PREFIX: Final = re.compile(r"/([a-zA-Z0-9._/-]{0,254}/)?")
_USER: Final = re.compile(r"[^\s\x00-\x1f]{1,128}")
_QUANTITY: Final = re.compile(r"([0-9]{1,20})\s*([a-zA-Z]*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Between:
    """A whole number from *low* to *high*; text may carry one of *units*."""

    low: int
    high: int
    what: str = ""  # of what, in words: " of milliseconds"
    units: Mapping[str, int] | None = None

    def __call__(self, value: object) -> int:
        """Return the number that *value* stands for."""
        number = self._number(value)
        if number is None or not self.low <= number <= self.high:
            example = ", or with a unit such as 8MiB" if self.units else ""
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
        match = _QUANTITY.fullmatch(value.strip()) if isinstance(value, str) else None
        if match is None:
            return None
        unit = (self.units or {"": 1}).get(match[2].lower())
        return None if unit is None else int(match[1]) * unit


def millis(low: int, high: int = HOUR_MS) -> BeforeValidator:
    """Check for a span within *low* and *high*, in ms."""
    return BeforeValidator(Between(low, high, " of milliseconds"))


def size(low: int, high: int = SIZE_MAX) -> BeforeValidator:
    """Check for a size within *low* and *high* bytes."""
    return BeforeValidator(Between(low, high, " of bytes", SIZE_UNITS))


def count(low: int, high: int) -> BeforeValidator:
    """Check for a number of things."""
    return BeforeValidator(Between(low, high))


def _size_or_automatic(value: object) -> int | None:
    """Let text say "automatic", which TOML says by silence."""
    if value is None or value == "automatic":
        return None
    return Between(0, SIZE_MAX, " of bytes", SIZE_UNITS)(value)


def _name(value: object) -> str:
    if not isinstance(value, str) or _NAME.fullmatch(value) is None:
        msg = "must be 1 to 64 characters of a-z A-Z 0-9 . _ -"
        raise ValueError(msg)
    return value


def _name_or_nothing(value: object) -> str:
    return "" if value == "" else _name(value)


def _namespace(value: object) -> str:
    if not isinstance(value, str) or _NAMESPACE.fullmatch(value) is None:
        msg = f"must be 1 to {NAMESPACE_CHARS_MAX} characters of a-z A-Z 0-9 . _ -"
        raise ValueError(msg)
    if value.startswith("_"):
        msg = "must not begin with an underscore: those belong to kvnode"
        raise ValueError(msg)
    return value


def _object_class(value: object) -> str:
    if not isinstance(value, str) or _OBJECT_CLASS.fullmatch(value) is None:
        msg = "must be module:Class, such as shop:Counter, or Storage"
        raise ValueError(msg)
    return value


def _bound_address(value: object) -> str:
    text = value if isinstance(value, str) else ""
    split_address(text)
    return text


def _dialled_address(value: object) -> str:
    address = _bound_address(value)
    if split_address(address)[1] == 0:
        msg = "must name a port of 1 to 65535: others have to be able to dial it"
        raise ValueError(msg)
    return address


def _address_or_nothing(value: object) -> str:
    return "" if value == "" else _dialled_address(value)


def _bound_address_or_nothing(value: object) -> str:
    return "" if value == "" else _bound_address(value)


def _etcd_endpoint(value: object) -> str:
    """Return an endpoint as people who run etcd write it; no slash at its end."""
    text = value.removesuffix("/") if isinstance(value, str) else ""
    scheme, separator, address = text.rpartition("://")
    if separator and scheme not in {"http", "https"}:
        msg = "must be host:port, http://host:port or https://host:port"
        raise ValueError(msg)
    _dialled_address(address)
    return text


def _key_prefix_or_nothing(value: object) -> str:
    if not isinstance(value, str) or (value and not _KEY_PREFIX.fullmatch(value)):
        msg = (
            "must begin and end with a slash, such as /kvnode/shards/, and have at most"
            " 256 characters of a-z A-Z 0-9 . _ - /"
        )
        raise ValueError(msg)
    return value


def _user_or_nothing(value: object) -> str:
    if not isinstance(value, str) or (value and not _USER.fullmatch(value)):
        msg = "must be 1 to 128 characters without spaces"
        raise ValueError(msg)
    return value


def _readable_file(value: object) -> Path | None:
    if value is None:
        return None
    path = Path(value) if isinstance(value, str | Path) else None
    if path is None or not path.is_file() or not os.access(path, os.R_OK):
        msg = "must be the path of a file that this process may read"
        raise ValueError(msg)
    return path


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
        names = [name.strip() for name, _, _ in pairs]
        if all(sign for _, sign, _ in pairs) and len(set(names)) == len(names):
            return {name: number.strip() for name, _, number in pairs}
    msg = "must be name=milliseconds, comma separated, each name once"
    raise ValueError(msg)


Name = Annotated[str, BeforeValidator(_name)]
NameOrNothing = Annotated[str, BeforeValidator(_name_or_nothing)]
ObjectClass = Annotated[str, BeforeValidator(_object_class)]
NamespaceName = Annotated[str, BeforeValidator(_namespace)]
BoundAddress = Annotated[str, BeforeValidator(_bound_address)]
DialledAddress = Annotated[str, BeforeValidator(_dialled_address)]
AddressOrNothing = Annotated[str, BeforeValidator(_address_or_nothing)]
BoundAddressOrNothing = Annotated[str, BeforeValidator(_bound_address_or_nothing)]
EtcdEndpoint = Annotated[str, BeforeValidator(_etcd_endpoint)]
KeyPrefixOrNothing = Annotated[str, BeforeValidator(_key_prefix_or_nothing)]
UserOrNothing = Annotated[str, BeforeValidator(_user_or_nothing)]
ReadableFile = Annotated[Path | None, BeforeValidator(_readable_file)]
SizeOrAutomatic = Annotated[int | None, BeforeValidator(_size_or_automatic)]
COMMA_SEPARATED: Final = BeforeValidator(_listed)
NAMED_NUMBERS: Final = BeforeValidator(_named_numbers)
