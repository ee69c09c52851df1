"""
What `host:port` means, in one place.

It is apart from kvnode.config because the command line and the client check
addresses without needing all that settings need.
"""

import re
from typing import Final

PORT_MAX: Final = 65_535

_FORM: Final = re.compile(r"(\[[0-9a-fA-F:.%\w]+\]|[^\s:\[\]/=,]+):([0-9]{1,5})")


def split_address(address: str) -> tuple[str, int]:
    """
    Split "host:port" or "[ipv6]:port"; the host keeps no brackets.

    Raises:
        ValueError: It is not of that form, or the port is above 65,535.
    """
    match = _FORM.fullmatch(address)
    if match is None or int(match[2]) > PORT_MAX:
        msg = "must be host:port or [ipv6]:port, with a port of at most 65535"
        raise ValueError(msg)
    return match[1].strip("[]"), int(match[2])
