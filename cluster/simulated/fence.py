"""
The fence: while a simulation runs, nothing of the real world gets in.

What would make a run depend on the machine raises an error that names who asked:
gRPC (which would start threads and open real ports), threads, the system's
clocks, and chance from anywhere but the seed.  Only the thread that simulates is
fenced; others, such as a test runner's watchdog, go on undisturbed.

Logging stamps its records with the time, and is given the virtual one.
"""

import os
import random
import secrets
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc.aio

from cluster.simulated.loop import SimulationError

_FENCED: tuple[tuple[object, tuple[str, ...], str], ...] = (
    (
        grpc.aio,
        ("insecure_channel", "secure_channel", "server"),
        "the simulated network is the only one",
    ),
    (threading.Thread, ("start",), "a simulation has one thread"),
    (
        time,
        (
            "time",
            "time_ns",
            "monotonic",
            "monotonic_ns",
            "clock_gettime",
            "clock_gettime_ns",
            "sleep",
        ),
        "take the event loop's time, or the node's clock",
    ),
    (
        random,
        (
            "betavariate",
            "choice",
            "choices",
            "expovariate",
            "gauss",
            "getrandbits",
            "normalvariate",
            "randbytes",
            "randint",
            "random",
            "randrange",
            "sample",
            "shuffle",
            "triangular",
            "uniform",
        ),
        "draw from a stream of the run's seed",
    ),
    (
        secrets,
        (
            "choice",
            "randbelow",
            "randbits",
            "token_bytes",
            "token_hex",
            "token_urlsafe",
        ),
        "draw from a stream of the run's seed",
    ),
    (os, ("urandom",), "draw from a stream of the run's seed"),
    (uuid, ("uuid1", "uuid4"), "draw from a stream of the run's seed"),
)

_STAMPING = "logging"


@contextmanager
def fenced(now: Callable[[], float]) -> Iterator[None]:
    """
    Keep the real world out while entered; everything is as before afterwards.

    Args:
        now: Virtual seconds since 1970, for log records.
    """
    thread = threading.get_ident()
    originals = [
        (place, name, getattr(place, name))
        for place, names, _ in _FENCED
        for name in names
    ]
    for place, names, advice in _FENCED:
        for name in names:
            guard = _guard(place, name, advice, thread, now)
            setattr(place, name, guard)
    try:
        yield
    finally:
        for place, name, original in originals:
            setattr(place, name, original)


def _guard(
    place: object, name: str, advice: str, thread: int, now: Callable[[], float]
) -> Callable[..., Any]:
    original: Callable[..., Any] = getattr(place, name)
    described = f"{getattr(place, '__name__', place)}.{name}"

    def guard(*args: object, **named: object) -> object:
        if threading.get_ident() != thread:
            return original(*args, **named)
        caller = sys._getframe(1)
        module = caller.f_globals.get("__name__", "?")
        if module == _STAMPING and name == "time":
            return now()
        msg = (
            f"{module}, line {caller.f_lineno}, called {described} in a simulation:"
            f" {advice}"
        )
        raise SimulationError(msg)

    return guard
