"""
The road of one operation: options, gate, frame, reply, and again if that is safe.

No call gets a task or a timer of its own: the caller's task awaits the reply's
future, and the wheel of kvnode.deadlines fails what takes too long.
"""

from collections.abc import Sequence

import grpc

from kvnode._pb import kv_pb2
from kvnode.client.attempts import Attempts
from kvnode.client.batching import nothing_done
from kvnode.client.connection import StreamKind
from kvnode.client.error_map import error_of
from kvnode.errors import (
    InvalidArgumentError,
    KvError,
    PeerProtocolError,
)
from kvnode.limits import FRAME_BYTES_MAX

SERVER_SHARE = 0.9
"""
Part of the time left that the node may spend waiting (S2, S4).

The rest is for the way back: the node's answer says what is missing, while our
own timer could only say that there was none.
"""

_EXECUTE = StreamKind("/kvnode.v1.Kv/Execute", kv_pb2.FrameReply, nothing_done)
_PAYLOAD_BYTES_MAX = FRAME_BYTES_MAX - 16  # a frame around one operation adds 6


class Dispatcher(Attempts[kv_pb2.OperationResult]):
    """Sends operations of *namespace* to one of *addresses*; made within a loop."""

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        namespace: str,
        credentials: grpc.ChannelCredentials | None,
    ) -> None:
        super().__init__(addresses, _EXECUTE, credentials=credentials)
        self._namespace = namespace

    async def run(
        self,
        operation: kv_pb2.Operation,
        options: kv_pb2.Options | None,
        *,
        expect: str,
        writes: bool,
        deadline: float,
    ) -> kv_pb2.OperationResult:
        """
        Send *operation* until it is answered, or must be given up.

        As `repeat` does, but without a function of its own for each operation: this is
        the hot path.

        Args:
            operation: Complete but for its id.
            options: The message within *operation* that takes the deadline; None
                for operations that never wait.
            expect: Name of the result's field.
            writes: Whether the operation changes anything.
            deadline: Seconds from now, > 0.

        Raises:
            KvError: Of the last attempt; `outcome` holds for all of them.
        """
        started_at = self._time()
        expires_at = started_at + deadline
        attempts = 0
        while True:
            attempts += 1
            connection = self.pool.ready
            try:
                if connection is None:
                    connection = await self.pool.connect(expires_at)
                    started_at = self._time()
                if options is not None:
                    options.deadline_ms = server_millis(expires_at - started_at)
                operation.id = identifier = next(self._ids)
                payload = operation.SerializeToString()
                if len(payload) > _PAYLOAD_BYTES_MAX:
                    raise _too_large(len(payload))
                if not self._gate.try_enter(len(payload)):
                    await self._gate.enter(len(payload), expires_at)
                result = await connection.submit(identifier, payload, expires_at)
                kind = result.WhichOneof("kind")
                if kind == expect:
                    return result
                failure = self._failure(result, kind, expect)
            except KvError as error:
                failure = error
            await self._recover(
                failure,
                connection,
                writes=writes,
                attempts=attempts,
                expires_at=expires_at,
            )
            started_at = self._time()

    def _failure(
        self, result: kv_pb2.OperationResult, kind: str | None, expect: str
    ) -> KvError:
        if kind == "error":
            return error_of(result.error, namespace=self._namespace)
        return PeerProtocolError(f"the node answered with {kind}, not {expect}")


def server_millis(remaining: float) -> int:
    """Return how long a node may wait if *remaining* seconds are left to us."""
    return max(1, int(remaining * SERVER_SHARE * 1000))


def _too_large(size_bytes: int) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"the request has {size_bytes} bytes, and {_PAYLOAD_BYTES_MAX} is the most that"
        " can be sent at once: split it"
    )
