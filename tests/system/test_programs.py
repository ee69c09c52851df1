"""Both programs run as modules, too: where no script is on the path."""

import pytest

from tests.system.programs import run

pytestmark = pytest.mark.system


@pytest.mark.parametrize("package", ["kvnode", "jepsen_like"])
def test_package_is_the_program_of_that_name(package: str) -> None:
    """With its exit codes."""
    shown = run(package, "--version")

    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.split()[0] == package
