"""Running the two programs in processes of their own, and seeing what they leave."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil

RUN_SECONDS = 120.0


def run(
    package: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the program *package* to its end, with *environment* beside our own."""
    return subprocess.run(
        [sys.executable, "-m", package, *arguments],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_SECONDS,
    )


def start(package: str, *arguments: str, scratch: Path) -> subprocess.Popen[str]:
    """
    Start the program *package* with its temporary files under *scratch*.

    It takes every signal, whatever whoever started the tests lets them ignore.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", package, *arguments],
            env={**os.environ, "TMPDIR": str(scratch)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)


def nodes_under(scratch: Path) -> list[int]:
    """Return the processes whose settings are under *scratch*."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if any(
            part.startswith(f"--config={scratch}")
            for part in process.info["cmdline"] or ()
        )
    ]
