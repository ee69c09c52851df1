"""The page as a file: complete, escaped, and for itself."""

import json
import re
from pathlib import Path

from jepsen_like.history import FaultSpan, Header, History, Operation, Outcome
from jepsen_like.report import Subject, write
from jepsen_like.verdict import Judgement, Verdict, Witness

EVIL = "</script><script>alert(1)</script>"


def page(tmp_path: Path) -> str:
    """Return the page of a history full of markup."""
    operation = Operation(0, "write", EVIL, EVIL, None, 1, 2, Outcome.OK, EVIL)
    history = History.of(
        [operation], [FaultSpan("kill", 1, 2, (EVIL,), EVIL)], Header(system=EVIL)
    )
    witness = Witness("lost write", EVIL, (operation,), EVIL)
    judgement = Judgement("durability", Verdict.INVALID, EVIL, (witness,), {"n": 1})
    path = tmp_path / "report.html"
    write(history, [judgement], path, Subject(EVIL, "jepsen_like replay plan.json"))
    return path.read_text(encoding="utf-8")


def test_values_of_the_tested_system_are_never_markup(tmp_path: Path) -> None:
    """A store under test may hold anything."""
    assert EVIL not in page(tmp_path)


def test_data_of_the_page_is_what_was_seen(tmp_path: Path) -> None:
    """Escaped, not lost."""
    block = re.search(
        r'<script id="data" type="application/json">(.*?)</script>', page(tmp_path)
    )
    assert block is not None
    data = json.loads(block[1])

    assert data["operations"]["argument"] == [EVIL]
    assert data["operations"]["marked"] == [1]
    assert data["faults"][0]["detail"] == EVIL


def test_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    """It is kept and sent around; where it is opened there may be no network."""
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", page(tmp_path))


def test_column_of_reasons_is_there_only_if_there_is_a_reason(tmp_path: Path) -> None:
    """An empty one takes room from the others."""
    path = tmp_path / "good.html"
    write(History(()), [Judgement("set", Verdict.VALID)], path, Subject("good"))

    assert "<th>reason</th>" not in path.read_text(encoding="utf-8")
    assert "<th>reason</th>" in page(tmp_path)


def test_page_says_the_verdict_and_how_to_repeat_it(tmp_path: Path) -> None:
    """These two things first."""
    text = page(tmp_path)

    assert "<title>invalid: " in text
    assert "jepsen_like replay plan.json" in text
