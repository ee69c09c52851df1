"""
Three containers, one cut off and brought back: as an operator would try it.

The nodes are reached as people reach them: through the published ports from
here, and with `docker exec` where a container has no network.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from secrets import token_hex
from time import monotonic, sleep

import pytest

from tests.compose.environment import Environment, MissingError, prepared

NODES = ("tokyo", "frankfurt", "virginia")
BUILD_SECONDS = 600
HEALTHY_SECONDS = 90
CONVERGE_SECONDS = 90
"""A cut-off node finds its peers again by name: give the resolvers time."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A running compose project, and what a test does with its nodes."""

    environment: Environment
    project: str

    def compose(self, *arguments: str, timeout_seconds: float = 120) -> str:
        """Run a compose command for this project."""
        return self.environment.run_compose(
            "--project-name",
            self.project,
            *arguments,
            timeout_seconds=timeout_seconds,
        )

    def container(self, node: str) -> str:
        """Return the id of the node's container."""
        return self.compose("ps", "--quiet", node).strip()

    def network(self) -> str:
        """Return the name of the network that the nodes share."""
        return f"{self.project}_wan"

    def kvnode(self, node: str, *arguments: str, check: bool = True) -> str:
        """Run the kvnode command inside the node's container."""
        command = ["docker", "exec", self.container(node), "kvnode", *arguments]
        return self.environment.run(command, check=check).rstrip("\n")

    def health(self, node: str) -> str:
        """Return what docker says of the node's health."""
        form = "{{.State.Health.Status}}"
        command = ["docker", "inspect", "--format", form, self.container(node)]
        return self.environment.run(command).strip()

    def wait_healthy(self, node: str) -> None:
        """Wait until docker says that the node is healthy."""
        wait_for(
            lambda: self.health(node) == "healthy", HEALTHY_SECONDS, f"{node} healthy"
        )

    def shell(self, node: str, script: str) -> str:
        """Run a shell script inside the node's container."""
        command = ["docker", "exec", self.container(node), "sh", "-c", script]
        return self.environment.run(command)

    def published(self, node: str) -> tuple[str, int]:
        """Return where the node's port is to be found on this machine."""
        host, _, port = self.compose("port", node, "7400").strip().rpartition(":")
        return host, int(port)

    def put(self, node: str, key: str, value: str) -> None:
        """Write a key at the node."""
        self.kvnode(node, "put", key, value)

    def get(self, node: str, key: str) -> str:
        """Read a key at the node; empty if it is not there."""
        return self.kvnode(node, "get", key, check=False)

    def wait_for_value(self, node: str, key: str, value: str) -> None:
        """Wait until the node gives *value* for *key*."""
        wait_for(
            lambda: self.get(node, key) == value,
            CONVERGE_SECONDS,
            f"{key} = {value} in {node}",
        )


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Look every half second until *condition* holds; fail after *seconds*."""
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline, f"not within {seconds} s: {what}"
        sleep(0.5)


def free_port() -> str:
    """Return a port of this machine that nothing uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    """The compose file's three nodes, built from this tree and healthy."""
    with ExitStack() as stack:
        try:
            environment = stack.enter_context(prepared())
        except MissingError as reason:
            pytest.skip(str(reason))
        project = f"kvnodetest{token_hex(4)}"
        ports = {
            f"{node.upper()}_{kind}": free_port()
            for node in NODES
            for kind in ("PORT", "HTTP_PORT")
        }
        environment = Environment(
            environment.compose,
            {**environment.variables, **ports, "IMAGE": f"{project}:latest"},
            environment.context,
        )
        running = Deployment(environment, project)
        stack.callback(running.compose, "down", "--volumes", "--rmi", "all")
        running.compose("build", timeout_seconds=BUILD_SECONDS)
        running.compose("up", "--detach")
        for node in NODES:
            running.wait_healthy(node)
        yield running


@pytest.mark.timeout(1800)  # the first run makes the base image and the wheels
def test_write_at_one_node_is_read_at_the_others(deployment: Deployment) -> None:
    """Three healthy containers replicate, and the published ports reach them."""
    deployment.put("tokyo", "greeting", "hello")

    for node in NODES:
        deployment.wait_for_value(node, "greeting", "hello")
        with socket.create_connection(deployment.published(node), timeout=5):
            pass


def test_container_runs_without_root_and_can_write_only_its_data(
    deployment: Deployment,
) -> None:
    """What breaks out of the node finds an unprivileged user."""
    identity = deployment.shell("tokyo", "id -u; touch /opt/kvnode/x || echo refused")

    assert identity.split() == ["10001", "refused"]


def test_node_cut_off_takes_writes_and_converges_when_it_is_back(
    deployment: Deployment,
) -> None:
    """Both sides of a cut take writes; after it all have both, and one winner."""
    container, network = deployment.container("virginia"), deployment.network()
    deployment.environment.run(["docker", "network", "disconnect", network, container])
    deployment.put("tokyo", "written-in-tokyo", "1")
    deployment.put("virginia", "written-in-virginia", "2")
    deployment.put("tokyo", "contested", "from tokyo")
    deployment.put("virginia", "contested", "from virginia")
    assert deployment.get("virginia", "written-in-tokyo") == ""
    assert deployment.get("frankfurt", "written-in-virginia") == ""
    assert deployment.get("virginia", "contested") == "from virginia"

    deployment.environment.run(
        ["docker", "network", "connect", "--alias", "virginia", network, container]
    )

    expected = {
        ("written-in-tokyo", "1"),
        ("written-in-virginia", "2"),
        ("contested", "from virginia"),  # written last, by one clock
    }
    for node in NODES:
        for key, value in expected:
            deployment.wait_for_value(node, key, value)


def test_container_made_anew_keeps_its_data(deployment: Deployment) -> None:
    """The volume holds the store, not the container."""
    deployment.put("frankfurt", "kept", "yes")

    deployment.compose("up", "--detach", "--force-recreate", "--no-deps", "frankfurt")
    deployment.wait_healthy("frankfurt")

    assert deployment.get("frankfurt", "kept") == "yes"
