"""What importing the client brings along."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.system


def test_client_imports_no_server_module() -> None:
    """An application pays for the client alone."""
    script = (
        "import sys, kvnode.client;"
        "print(*[m for m in sys.modules if m.split('.')[:2] in"
        " [['kvnode', p] for p in"
        " ('core', 'storage', 'transport', 'api', 'runtime', 'cli')]"
        " or m.split('.')[0] in ('lmdb', 'pycrdt', 'pydantic')])"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )

    assert done.stdout.strip() == ""
