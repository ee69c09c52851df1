"""A process runs the kvnode of its installation, whatever else there is."""

import os
import subprocess
from pathlib import Path

import pytest

from cluster.errors import InstallationError
from cluster.local.installation import Installation


def _with_kvnode(directory: Path) -> Path:
    """Make *directory* with a package of that name."""
    (directory / "kvnode").mkdir(parents=True)
    (directory / "kvnode" / "__init__.py").write_text("", encoding="utf-8")
    return directory


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """A version of kvnode that does nothing."""
    return Installation(_with_kvnode(tmp_path / "installed"))


def _found_by(installation: Installation) -> str:
    code = "import kvnode; print(kvnode.__path__[0])"
    command = installation.python("-c", code)
    return subprocess.check_output(command, text=True).strip()


def test_installation_comes_before_all_other_places(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the working directory and the path, and before what this runs from."""
    monkeypatch.chdir(_with_kvnode(tmp_path / "working"))
    monkeypatch.setenv("PYTHONPATH", str(_with_kvnode(tmp_path / "path")))

    assert _found_by(installation) == str(installation.directory / "kvnode")
    installation.check()


def test_libraries_on_the_path_stay_there(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What kvnode needs may be there, and nowhere else."""
    monkeypatch.setenv("PYTHONPATH", "/of/somebody")

    path = f"PYTHONPATH={installation.directory}{os.pathsep}/of/somebody"
    assert path in installation.python()


def test_directory_without_kvnode_is_refused(tmp_path: Path) -> None:
    """Some other kvnode would be found instead."""
    with pytest.raises(InstallationError, match="no kvnode is installed"):
        Installation(tmp_path).check()
