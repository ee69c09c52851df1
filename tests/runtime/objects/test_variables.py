"""What classes for Cloudflare find in `env`: read from a file, or refused."""

from pathlib import Path

import pytest

from kvnode.errors import ConfigError
from kvnode.runtime.objects.variables import BYTES_MAX, read_variables


def test_variables_are_what_a_json_object_says(tmp_path: Path) -> None:
    """And without a file there are none."""
    file = tmp_path / "variables.json"
    file.write_text('{"GREETING": "hello", "LIMITS": {"items": 3}}')

    assert read_variables(file) == {"GREETING": "hello", "LIMITS": {"items": 3}}
    assert read_variables(None) == {}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[1]", "must hold one JSON object"),
        ("GREETING=hello", "is not JSON"),
        ("\xff", "is not JSON"),
        (f'{{"a": "{"x" * BYTES_MAX}"}}', "bytes at most"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, complaint: str) -> None:
    """By the name of the setting."""
    file = tmp_path / "variables.json"
    file.write_bytes(text.encode("latin-1"))

    with pytest.raises(ConfigError, match=f"objects_variables_file: .* {complaint}"):
        read_variables(file)


def test_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """With why."""
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_variables(tmp_path)
