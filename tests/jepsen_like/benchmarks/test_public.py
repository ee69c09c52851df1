"""Public histories are found by their manifest, and judged one by one."""

import json
from pathlib import Path

import pytest

from jepsen_like.benchmarks.public import MANIFEST, NoManifestError, sections
from jepsen_like.verdict import Verdict

GOOD = (
    "INFO  jepsen.util - 0\t:invoke\t:write\t1\n"
    "INFO  jepsen.util - 0\t:ok\t:write\t1\n"
    "INFO  jepsen.util - 0\t:invoke\t:read\tnil\n"
    "INFO  jepsen.util - 0\t:ok\t:read\t1\n"
)
BAD = GOOD.replace(":ok\t:read\t1", ":ok\t:read\t2")


def _directory(tmp_path: Path, *, expected_of_bad: bool) -> Path:
    (tmp_path / "good.log").write_text(GOOD, "utf-8")
    (tmp_path / "bad.log").write_text(BAD, "utf-8")
    entries = [
        {"path": "good.log", "format": "jepsen-log", "expected": True},
        {"path": "bad.log", "format": "jepsen-log", "expected": expected_of_bad},
        {"path": "not there", "format": "edn", "expected": True},
    ]
    (tmp_path / MANIFEST).write_text(json.dumps(entries), "utf-8")
    return tmp_path


def test_right_verdicts_are_valid(tmp_path: Path) -> None:
    """Those of other formats are left out."""
    (section,) = sections(_directory(tmp_path, expected_of_bad=False))

    assert "2 public logs" in section.name
    assert section.judge(section.make()).verdict is Verdict.VALID


def test_wrong_verdict_is_named(tmp_path: Path) -> None:
    """A quick wrong one counts for nothing."""
    (section,) = sections(_directory(tmp_path, expected_of_bad=True))

    judgement = section.judge(section.make())

    assert judgement.verdict is Verdict.INVALID
    assert "bad.log: invalid is wrong" in judgement.reason


@pytest.mark.parametrize("text", [None, "no JSON", "{}", '[{"path": 1}]'])
def test_directory_without_a_list_is_refused(tmp_path: Path, text: str | None) -> None:
    """The message names the file."""
    if text is not None:
        (tmp_path / MANIFEST).write_text(text, "utf-8")

    with pytest.raises(NoManifestError, match=MANIFEST):
        sections(tmp_path)
