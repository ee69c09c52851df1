"""
What the compose test needs: a container engine, a base image, the wheels.

Each is taken from the machine if it is there, and made if it is not:

    engine      the one that `docker info` reaches; else a dockerd of our own on
                a private socket, which needs root and is ended afterwards
    base image  python:3.12-slim-bookworm if it can be had; else a Debian made
                by debootstrap, which needs root and a Debian mirror
    wheels      of kvnode's dependencies, for a build without an index; only for
                a base image that was made here, and so for its Python

What takes long to make is kept in COMPOSE_TEST_CACHE, by default
kvnode-compose in the directory for temporary files.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

ROOT = Path(__file__).parents[2]
CACHE_VARIABLE = "COMPOSE_TEST_CACHE"
PUBLIC_IMAGE = "python:3.12-slim-bookworm"
LOCAL_IMAGE = "kvnode-test-base:bookworm"
DEBIAN_PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
DEBIAN_PYTHON = (3, 11)
BUILD_SOURCES = (
    "Dockerfile",
    ".dockerignore",
    "docker-compose.yml",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "kvnode",
    "cluster",
)
PULL_SECONDS = 120
DAEMON_SECONDS = 60


class MissingError(Exception):
    """Something that the test cannot do without is not to be had; says what."""


@dataclass(frozen=True, slots=True)
class Environment:
    """How to run docker and compose, and a build context of its own."""

    compose: tuple[str, ...]
    variables: Mapping[str, str]
    context: Path

    def run(
        self,
        command: Sequence[str],
        timeout_seconds: float = 120,
        *,
        check: bool = True,
    ) -> str:
        """
        Run *command* in the build context and return what it printed.

        Raises:
            AssertionError: It failed, and *check* is set; holds its output.
        """
        done = subprocess.run(
            command,
            cwd=self.context,
            env=dict(self.variables),
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )
        if check and done.returncode:
            msg = f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}"
            raise AssertionError(msg)
        return done.stdout

    def run_compose(
        self, *arguments: str, timeout_seconds: float = 120, check: bool = True
    ) -> str:
        """Run a compose command; as `run`."""
        return self.run([*self.compose, *arguments], timeout_seconds, check=check)


@contextmanager
def prepared() -> Iterator[Environment]:
    """
    Give an environment, and take away again what was started for it.

    Raises:
        MissingError: The machine lacks something.
    """
    cache = Path(
        os.environ.get(CACHE_VARIABLE, Path(tempfile.gettempdir()) / "kvnode-compose")
    )
    cache.mkdir(parents=True, exist_ok=True)
    docker = _program("docker")
    with ExitStack() as stack:
        variables = dict(os.environ)
        if not _succeeds([docker, "info"], variables):
            socket = stack.enter_context(_own_daemon(cache, variables, docker))
            variables["DOCKER_HOST"] = f"unix://{socket}"
        compose = _compose_command(docker, variables)
        context = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        _copy_sources(context)
        image = _public_image(docker, variables)
        if image is None:
            image = _local_image(cache, docker, variables)
            shutil.copytree(_wheels(cache), context / "wheelhouse")
            variables["NO_INDEX"] = "1"
        variables["BASE_IMAGE"] = image
        yield Environment(compose, variables, context)


def _program(name: str) -> str:
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        msg = f"{name} is not installed"
        raise MissingError(msg)
    return found


def _succeeds(
    command: Sequence[str], variables: Mapping[str, str], timeout_seconds: float = 30
) -> bool:
    try:
        done = subprocess.run(
            command,
            env=dict(variables),
            capture_output=True,
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _compose_command(docker: str, variables: Mapping[str, str]) -> tuple[str, ...]:
    candidates: list[tuple[str, ...]] = [(docker, "compose")]
    if standalone := shutil.which("docker-compose"):
        candidates.append((standalone,))
    for candidate in candidates:
        if _succeeds([*candidate, "version"], variables):
            return candidate
    msg = "neither `docker compose` nor `docker-compose` works here"
    raise MissingError(msg)


@contextmanager
def _own_daemon(
    cache: Path, variables: Mapping[str, str], docker: str
) -> Iterator[Path]:
    """Run a dockerd with all that is its own under *cache*, and end it."""
    if os.geteuid() != 0:
        msg = "no container engine answers, and only root can start one"
        raise MissingError(msg)
    dockerd = _program("dockerd")
    socket = cache / "docker.sock"
    log_path = cache / "dockerd.log"
    with log_path.open("wb") as log:
        daemon = subprocess.Popen(
            [
                dockerd,
                f"--host=unix://{socket}",
                f"--data-root={cache / 'docker'}",
                f"--exec-root={cache / 'exec'}",
                f"--pidfile={cache / 'dockerd.pid'}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        reaching = {**variables, "DOCKER_HOST": f"unix://{socket}"}
        deadline = monotonic() + DAEMON_SECONDS
        while not _succeeds([docker, "info"], reaching):
            if daemon.poll() is not None or monotonic() > deadline:
                end = log_path.read_text(errors="replace").splitlines()[-5:]
                msg = "dockerd does not run here: " + "\n".join(end)
                raise MissingError(msg)
            sleep(0.2)
        yield socket
    finally:
        daemon.terminate()
        try:
            daemon.wait(timeout=30)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


def _copy_sources(context: Path) -> None:
    for name in BUILD_SOURCES:
        source = ROOT / name
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, context / name, ignore=ignore)
        else:
            shutil.copy(source, context / name)


def _public_image(docker: str, variables: Mapping[str, str]) -> str | None:
    present = [docker, "image", "inspect", PUBLIC_IMAGE]
    pull = [docker, "pull", "--quiet", PUBLIC_IMAGE]
    if _succeeds(present, variables) or _succeeds(pull, variables, PULL_SECONDS):
        return PUBLIC_IMAGE
    return None


def _local_image(cache: Path, docker: str, variables: Mapping[str, str]) -> str:
    """Make a Debian with Python, unless the engine has it already."""
    if _succeeds([docker, "image", "inspect", LOCAL_IMAGE], variables):
        return LOCAL_IMAGE
    archive = cache / "base.tar"
    if not archive.is_file():
        _make_debian(cache, archive)
    if not _succeeds([docker, "import", str(archive), LOCAL_IMAGE], variables, 300):
        msg = f"cannot import {archive}; delete it to have it made again"
        raise MissingError(msg)
    return LOCAL_IMAGE


def _make_debian(cache: Path, archive: Path) -> None:
    if os.geteuid() != 0:
        msg = f"{PUBLIC_IMAGE} cannot be had, and only root can run debootstrap"
        raise MissingError(msg)
    debootstrap, tar = _program("debootstrap"), _program("tar")
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        tree, fresh = Path(scratch) / "root", Path(scratch) / "base.tar"
        include = f"--include={DEBIAN_PACKAGES}"
        variant = "--variant=minbase"
        excluded = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc")
        for command in (
            [debootstrap, variant, include, "bookworm", str(tree)],
            [
                tar,
                f"--directory={tree}",
                *(f"--exclude=./{path}" for path in excluded),
                "--create",
                f"--file={fresh}",
                ".",
            ],
        ):
            if not _succeeds(command, os.environ, timeout_seconds=1200):
                msg = f"{PUBLIC_IMAGE} cannot be had, and {command[0]} failed"
                raise MissingError(msg)
        fresh.replace(archive)


def _wheels(cache: Path) -> Path:
    """Return a directory with the wheels that the image's Python needs."""
    if sys.version_info[:2] != DEBIAN_PYTHON:
        wanted = ".".join(map(str, DEBIAN_PYTHON))
        msg = f"the base image has Python {wanted}: run this test with that one"
        raise MissingError(msg)
    wheels = cache / "wheels"
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        command = [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            f"--find-links={wheels}",
            f"--wheel-dir={scratch}",
            str(ROOT),
            "hatchling",
        ]
        if not _succeeds(command, os.environ, timeout_seconds=600):
            msg = "pip cannot get the wheels for a build without an index"
            raise MissingError(msg)
        shutil.rmtree(wheels, ignore_errors=True)
        shutil.copytree(scratch, wheels)
    return wheels
