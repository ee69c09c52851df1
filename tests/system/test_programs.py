"""Both programs run as modules, too: where no script is on the path."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.system


@pytest.mark.parametrize("package", ["kvnode", "jepsen_like"])
def test_package_is_the_program_of_that_name(package: str) -> None:
    """With its exit codes."""
    shown = subprocess.run(
        [sys.executable, "-m", package, "--version"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.split()[0] == package
