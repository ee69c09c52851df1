"""What the figures were measured on; figures without it mean nothing."""

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path
from timeit import repeat

import lmdb
import psutil
from redis.utils import HIREDIS_AVAILABLE

from tests.benchmarks.measurement import NANOS_PER_SECOND
from tests.benchmarks.systems.process import NotInstalledError, find_program

PACKAGES = ("kvnode", "grpcio", "protobuf", "lmdb", "redis", "aetcd")
CALLS = 20
ITEMS = 1000
VERSION_NUMBER = re.compile(r"\d+\.\d+[\w.]*")


def describe_machine(data_directory: Path) -> dict[str, str]:
    """
    Return what matters of machine and software, by what it is.

    Args:
        data_directory: Where the servers will put their data; its file system
            decides what an fsync costs, and none of it is real on a tmpfs.
    """
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    parser = "hiredis" if HIREDIS_AVAILABLE else "pure Python"
    return {
        "cores": f"{os.cpu_count()} x {_processor()}",
        "memory": f"{psutil.virtual_memory().total >> 20} MiB",
        "system": f"{platform.system()} {platform.release()}",
        "data on": _file_system(data_directory),
        "load at start": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "Python": _interpreter(),
        "packages": f"{packages}; redis-py's parser is {parser}",
        "LMDB": ".".join(map(str, lmdb.version())),
        "Redis": _program_version("redis-server", "--version"),
        "etcd": _program_version("etcd", "--version"),
    }


def _interpreter() -> str:
    """Return what runs this, and how fast: that differs by half between builds."""
    nanos = min(repeat(_something, number=CALLS, repeat=20)) / CALLS * NANOS_PER_SECOND
    name = f"{platform.python_implementation()} {platform.python_version()}"
    speed = f"{ITEMS} tuples in a dict take {nanos / 1000:.0f} us"
    return f"{name} by {platform.python_compiler()}; {speed}"


def _something() -> None:
    kept: dict[int, tuple[int, str]] = {}
    for number in range(ITEMS):
        kept[number % 97] = number, str(number)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _file_system(directory: Path) -> str:
    path = str(directory.resolve())
    holders = [
        part
        for part in psutil.disk_partitions(all=True)
        if Path(path).is_relative_to(part.mountpoint)
    ]
    if not holders:
        return "unknown"
    holder = max(holders, key=lambda part: len(part.mountpoint))
    return f"{holder.fstype} ({holder.device})"


def _program_version(name: str, flag: str) -> str:
    try:
        program = find_program(name)
    except NotInstalledError as error:
        return str(error)
    shown = subprocess.run([program, flag], capture_output=True, text=True, check=True)
    number = VERSION_NUMBER.search(shown.stdout)
    return number[0] if number else "unknown"
