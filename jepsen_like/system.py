"""
What the harness asks of a system under test: a store, and what can be done to it.

An adapter is a `System` and a `Client`; `jepsen_like/adapters` has some, and
docs/testing-your-store.md shows how one is written.  Faults that a system cannot
suffer it refuses with `NotPossibleError`, which the runner notes: a run in which
a planned fault never came to be is judged `unknown`, not valid.
"""

from typing import NamedTuple, Protocol

from jepsen_like.history.operation import Key, Value
from jepsen_like.nemesis.faults import Fault


class NotPossibleError(Exception):
    """The system cannot suffer that fault; the message says why."""


class FailedError(Exception):
    """The operation has not taken effect and never will."""


class ProcessEndedError(FailedError):
    """
    The operation has not taken effect, and the process can do no other.

    What it carries from one operation to the next, such as a session, has been lost by
    the store, which says so.  Its worker goes on as a new process.
    """


class IndeterminateError(Exception):
    """The operation may have taken effect, or may yet."""


class Answer(NamedTuple):
    """
    What came back from an operation that took effect.

    Attributes:
        value: What was read, or what the operation returns.
        version: Of the value read or written, if the store tells it: a text, and
            the order of these texts is the order in which the store ranks
            writes, so numbers are padded.  Empty if it does not.
    """

    value: Value = None
    version: str = ""


class Client(Protocol):
    """One process's connection to one node."""

    async def invoke(self, f: str, key: Key, argument: Value) -> Answer:
        """
        Perform one operation and return what came back.

        Raises:
            FailedError: It did not happen; if ProcessEndedError, nor will any other
                of this process.
            IndeterminateError: Nobody can know.  So is any other exception
                taken, save a cancellation.
        """

    async def close(self) -> None:
        """Let go of the connection."""


class System(Protocol):
    """A store of one or more nodes that can be harmed."""

    @property
    def name(self) -> str:
        """What is tested, for people."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes."""

    async def set_up(self) -> None:
        """Start everything, empty; return when operations can be served."""

    async def connect(self, process: int, node: str) -> Client:
        """Return a client of *node* for *process*."""

    async def inject(self, fault: Fault) -> None:
        """
        Do *fault*; return when it is there.

        Raises:
            NotPossibleError: The system cannot suffer it.
        """

    async def recover(self) -> None:
        """End all faults: nodes run, links are open, clocks are right."""

    async def tear_down(self) -> None:
        """Stop everything that was started, and remove what was made."""
