"""`import workers` finds ours where there is no other."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvnode.errors import InvalidArgumentError
from kvnode.objects.workers import importable
from kvnode.objects.workers.finder import NAME, WorkersFinder, offer


@pytest.fixture(autouse=True)
def _untouched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    finders = [each for each in sys.meta_path if not isinstance(each, WorkersFinder)]
    monkeypatch.setattr(sys, "meta_path", finders)
    before = sys.modules.pop(NAME, None)
    yield
    sys.modules.pop(NAME, None)
    if before is not None:
        sys.modules[NAME] = before


def test_module_is_found_once_it_is_offered() -> None:
    """And not before: a process that serves no objects has none."""
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(NAME)

    offer()
    offer()

    found = importlib.import_module(NAME)
    assert found.DurableObject is importable.DurableObject
    assert sum(isinstance(each, WorkersFinder) for each in sys.meta_path) == 1
    assert importlib.util.find_spec("workers_of_others") is None


def test_another_module_of_that_name_is_not_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one that lies beside a class."""
    (tmp_path / "workers.py").write_text("mine = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    offer()

    assert importlib.import_module(NAME).mine == 1


def test_what_is_not_there_says_so_when_it_is_imported() -> None:
    """With where to read about it."""
    offer()
    module = importlib.import_module(NAME)

    with pytest.raises(ImportError, match=r"workers\.patch_env is not there; see docs"):
        module.patch_env  # noqa: B018 -- as `from workers import patch_env` does
    assert not hasattr(module, "__path__")


async def test_what_is_there_for_the_sake_of_its_file_cannot_be_used() -> None:
    """A file that has an entry point, too, loads."""
    offer()
    module = importlib.import_module(NAME)

    class Default(module.WorkerEntrypoint):  # type: ignore[misc, name-defined]
        """What answers requests there."""

    assert module.handler(len) is len
    assert issubclass(Default, importable.WorkerEntrypoint)
    with pytest.raises(InvalidArgumentError, match=r"workers\.FormData is not there"):
        module.FormData({"a": "b"})
    with pytest.raises(InvalidArgumentError, match=r"workers\.fetch is not there"):
        await module.fetch("http://example.com")
