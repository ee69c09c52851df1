"""Systems are found by their names, and made without starting anything."""

from pathlib import Path

import pytest

from jepsen_like.adapters import KVNODE, SYSTEMS, system_named


@pytest.mark.parametrize("name", SYSTEMS)
def test_system_is_made_by_its_name(name: str) -> None:
    """With the nodes that a plan names."""
    system = system_named(name, ("x", "y"))
    assert system.nodes == ("x", "y")
    assert "2" in system.name


def test_unknown_system_is_refused_with_those_there_are() -> None:
    """A misspelt name is found out at once."""
    with pytest.raises(ValueError, match="no system 'etc'") as refused:
        system_named("etc", ("x",))

    for name in ("simulated", *SYSTEMS, "module:attribute"):
        assert name in str(refused.value)


@pytest.mark.parametrize("name", ["etcd", "redis"])
def test_system_that_has_one_version_is_given_no_other(
    name: str, tmp_path: Path
) -> None:
    """Rather than run with it and say nothing."""
    with pytest.raises(ValueError, match="processes and namespaces alone"):
        system_named(name, ("x", "y"), previous=tmp_path)


@pytest.mark.parametrize("name", KVNODE)
def test_directory_without_a_version_is_refused(name: str, tmp_path: Path) -> None:
    """Before anything is started, and with the command that puts one there."""
    with pytest.raises(ValueError, match="pip install --no-deps --target"):
        system_named(name, ("x", "y"), previous=tmp_path)


@pytest.mark.parametrize("name", KVNODE)
def test_system_with_two_versions_says_so(name: str, tmp_path: Path) -> None:
    """In its histories, too."""
    (tmp_path / "kvnode").mkdir()
    (tmp_path / "kvnode" / "__init__.py").touch()

    system = system_named(name, ("x", "y"), previous=tmp_path)

    assert "two versions" in system.name
