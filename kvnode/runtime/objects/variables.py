"""
What classes that are written for Cloudflare find in `env` beside other objects.

It is what a Worker's configuration calls `vars`, and its secrets: a file keeps them off
the command line.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from kvnode.errors import ConfigError

BYTES_MAX: Final = 1024 * 1024
"""Far more than a Worker may have (128 of 5 KB each); another file is a mistake."""

FIELD: Final = "objects_variables_file"


def read_variables(path: Path | None) -> Mapping[str, Any]:
    """
    Return the variables in a file, which holds a JSON object; none without a file.

    Raises:
        ConfigError: It cannot be read, or holds something else.
    """
    if path is None:
        return {}
    try:
        with path.open("rb") as file:
            text = file.read(BYTES_MAX + 1)
        found = json.loads(text) if len(text) <= BYTES_MAX else None
    except OSError as error:
        msg = f"{FIELD}: {path} cannot be read: {error.strerror}"
        raise ConfigError(msg) from error
    except ValueError as error:
        msg = f"{FIELD}: {path} is not JSON: {error}"
        raise ConfigError(msg) from error
    if not isinstance(found, dict):
        msg = f"{FIELD}: {path} must hold one JSON object, {BYTES_MAX} bytes at most"
        raise ConfigError(msg)
    return found
