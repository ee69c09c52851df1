"""The fence: what is of the real world stays out, and comes back afterwards."""

import logging
import os
import random
import secrets
import threading
import time
import uuid

import grpc.aio
import pytest

from cluster.simulated.fence import fenced
from cluster.simulated.loop import SimulationError

ASKED: tuple[tuple[object, str, tuple[object, ...]], ...] = (
    (time, "time", ()),
    (time, "monotonic", ()),
    (time, "sleep", (0,)),
    (random, "random", ()),
    (random, "uniform", (0, 1)),
    (secrets, "randbits", (8,)),
    (os, "urandom", (1,)),
    (uuid, "uuid4", ()),
    (threading.Thread, "start", (threading.Thread(target=print),)),
    (grpc.aio, "insecure_channel", ("localhost:1",)),
    (grpc.aio, "server", ()),
)


@pytest.mark.parametrize(
    ("place", "name", "arguments"), ASKED, ids=[name for _, name, _ in ASKED]
)
def test_real_world_is_refused_with_the_name_of_who_asked(
    place: object, name: str, arguments: tuple[object, ...]
) -> None:
    """And of what was asked for."""
    with fenced(lambda: 0.0), pytest.raises(SimulationError) as caught:
        getattr(place, name)(*arguments)

    assert f".{name} in a simulation" in f".{caught.value}"
    assert __name__ in str(caught.value)


def test_everything_is_as_before_afterwards() -> None:
    """Even after an error."""
    before = (time.time, random.random, threading.Thread.start, grpc.aio.server)

    with pytest.raises(ZeroDivisionError), fenced(lambda: 0.0):
        _ = 1 / 0

    after = (time.time, random.random, threading.Thread.start, grpc.aio.server)
    assert after == before
    assert time.time() > 0


def test_other_threads_are_not_fenced() -> None:
    """A watchdog goes on."""
    seen: list[float] = []
    go = threading.Event()

    def look() -> None:
        go.wait(5)
        seen.append(time.time())

    thread = threading.Thread(target=look)
    thread.start()

    with fenced(lambda: 0.0):
        go.set()
        thread.join()

    assert seen[0] > 0


def test_log_records_get_the_virtual_time(caplog: pytest.LogCaptureFixture) -> None:
    """Logging is no reason to fail."""
    with fenced(lambda: 1_700_000_000.5):
        logging.getLogger("kvnode").warning("something")

    assert caplog.records[0].created == 1_700_000_000.5
