"""Classes of objects that a node is told to serve, found or refused with a reason."""

from pathlib import Path

import pytest

from kvnode.errors import ConfigError
from kvnode.objects.durable_object import methods_of
from kvnode.runtime.objects.classes import load_classes

MODULE = '''
from kvnode.objects import DurableObject

class Counter(DurableObject):
    """Counts."""

class Storage(DurableObject):
    """Has the name of another."""

number = 7
'''

WRITTEN_FOR_CLOUDFLARE = '''
from workers import DurableObject, Response, WorkerEntrypoint

class Counter(DurableObject):
    """Counts."""

    def increment(self):
        pass

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response("hello")
'''


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kvnode_test_shop.py").write_text(MODULE)
    (tmp_path / "kvnode_test_entry.py").write_text(WRITTEN_FOR_CLOUDFLARE)
    (tmp_path / "kvnode_test_broken.py").write_text("import nowhere_at_all\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])


def test_classes_are_found_beside_the_built_in_one() -> None:
    """By the names that clients use."""
    classes = load_classes(["kvnode_test_shop:Counter", "Storage"])

    assert sorted(classes) == ["Counter", "Storage"]
    assert classes["Counter"].__module__ == "kvnode_test_shop"
    assert classes["Storage"].__module__ == "kvnode.objects.private_map"


def test_classes_for_cloudflare_are_found_as_they_are() -> None:
    """Beside an entry point, which is nothing here; ours may be served as well."""
    classes = load_classes(["kvnode_test_entry:Counter", "Storage"])

    assert classes["Counter"].__name__ == "Counter"
    assert sorted(methods_of(classes["Counter"])) == ["increment"]
    with pytest.raises(ConfigError, match="another kind of 'Default'"):
        load_classes(["kvnode_test_entry:Default"])


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("Counter", "must be module:Class"),
        ("kvnode_test_shop:9", "no name of a class"),
        ("kvnode_test_nowhere:Counter", "cannot be loaded: ModuleNotFoundError"),
        ("kvnode_test_broken:Counter", "nowhere_at_all"),
        ("kvnode_test_shop:Cart", "has no 'Cart'"),
        ("kvnode_test_shop:number", "has another kind of 'number'"),
        ("kvnode_test_shop:Storage", "there is another class 'Storage'"),
    ],
)
def test_what_cannot_be_served_is_refused(name: str, complaint: str) -> None:
    """Before the node starts."""
    with pytest.raises(ConfigError, match=complaint):
        load_classes([name])
