"""The tutorial shows the adapter as it is."""

import re
from pathlib import Path

from jepsen_like.adapters import etcd

TUTORIAL = Path(__file__).parents[3] / "docs" / "testing-your-store.md"
ADAPTER_LINES_MAX = 80


def test_tutorial_shows_the_adapter_word_for_word() -> None:
    """All of its classes, in order, and nothing that is not there."""
    adapter = Path(etcd.__file__).read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", TUTORIAL.read_text("utf-8"), re.DOTALL)
    shown = [block for block in blocks if not block.startswith("# my_store.py")]

    assert len(shown) == 3
    for block in shown:
        assert block in adapter


def test_adapters_of_strangers_are_short() -> None:
    """Under 80 lines each, as promised."""
    place = Path(etcd.__file__).parent
    for name in ("etcd.py", "redis.py"):
        lines = (place / name).read_text(encoding="utf-8").splitlines()
        assert len(lines) < ADAPTER_LINES_MAX, name
