"""
Another version of kvnode on this machine, in a directory of its own.

    pip install --no-deps --target DIRECTORY kvnode-0.1.0-py3-none-any.whl

What is there runs by the Python, and with the libraries, of the program that runs
this; only kvnode itself is another.  A process finds kvnode in the first place of
its path that has one, so the directory must come before everything else: before an
editable installation of the version at hand, and before the working directory, which
Python would put first when it is told what to run by -c or -m.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Final

from cluster.errors import InstallationError

CHECK_SECONDS: Final = 60.0
"""Python starts in a fraction of a second; a busy machine takes longer."""

TOLD: Final = "kvnode is that in "
"""With this a node's log begins, so that nobody must guess which version it was."""

_WHERE = "import kvnode; print(kvnode.__path__[0])"
_MAIN = (
    f"import sys, kvnode; print({TOLD!r} + kvnode.__path__[0], file=sys.stderr);"
    " from kvnode.cli.app import main; main()"
)


@dataclass(frozen=True, slots=True)
class Installation:
    """
    A version of kvnode that was installed by `pip install --target`.

    Attributes:
        directory: What was given as target, an absolute path.
    """

    directory: Path

    def python(self, *arguments: str) -> list[str]:
        """Return the command that runs Python with *arguments* and this kvnode."""
        before = os.environ.get("PYTHONPATH")
        path = os.pathsep.join((str(self.directory), *([before] if before else [])))
        # `env` becomes the program that it runs, so the process is the node's own.
        launcher = [which("env") or "/usr/bin/env", f"PYTHONPATH={path}"]
        return [*launcher, sys.executable, "-P", *arguments]

    def serve_command(self, config_file: Path) -> list[str]:
        """Return the command that runs a node with the settings in *config_file*."""
        return self.python("-c", _MAIN, "serve", f"--config={config_file}")

    def check(self) -> None:
        """
        See that a process which is started so does run what is in the directory.

        Raises:
            InstallationError: It does not; the message says what it runs.
        """
        asked = subprocess.run(  # noqa: S603 -- this very Python, and what is above
            self.python("-c", _WHERE),
            capture_output=True,
            check=False,
            text=True,
            timeout=CHECK_SECONDS,
        )
        found = asked.stdout.strip()
        if not found or Path(found).resolve() != (self.directory / "kvnode").resolve():
            why = found or asked.stderr.strip() or "nothing"
            msg = (
                f"no kvnode is installed in {self.directory}, or it is not what runs"
                f" (but {why}): pip install --no-deps --target {self.directory} WHEEL"
            )
            raise InstallationError(msg)
