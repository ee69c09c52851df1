"""What `kvnode` imports before it knows which command it is."""

import subprocess
import sys

import pytest

HEAVY = ("grpc", "pydantic", "pycrdt", "lmdb", "aiofiles", "aiohttp", "cluster")


@pytest.mark.system
def test_start_up_imports_nothing_heavy() -> None:
    """People and scripts start this program many times."""
    program = (
        "import sys; import kvnode.cli.app;"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n"
