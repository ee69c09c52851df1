"""Replies to writes: what came of each command, and the session after it."""

from kvnode._pb import kv_pb2 as pb
from kvnode.api.reads import Reading, fill_counter, fill_document, fill_set
from kvnode.api.tokens import encode_session, encode_version
from kvnode.core.node.commands import Applied, ConditionFailed, Outcome, Refused
from kvnode.core.node.events import Reply
from kvnode.errors import (
    IndeterminateError,
    InvalidArgumentError,
    KvError,
    ReplicasTimeoutError,
    UnavailableError,
    WrongTypeError,
)

DataRequest = (
    pb.GetRequest
    | pb.PutRequest
    | pb.DeleteRequest
    | pb.ListRequest
    | pb.BatchRequest
    | pb.CounterRequest
    | pb.SetRequest
    | pb.DocumentRequest
)


def refusal(outcome: Refused) -> KvError:
    """Return as an error that a command was refused."""
    if outcome.damaged:
        return UnavailableError(outcome.message)
    kind = WrongTypeError if outcome.wrong_type else InvalidArgumentError
    return kind(outcome.message)


def _raise_failure(reply: Reply) -> None:
    """
    Do nothing if the write happened as asked.

    Raises:
        RejectedError: It did not happen.
        UnavailableError: It did not happen, and may pass later.
        IndeterminateError: A part of it did.
        ReplicasTimeoutError: Fewer replicas than asked for have it.
    """
    for outcome in reply.outcomes:
        if isinstance(outcome, Refused):
            if any(isinstance(other, Applied) for other in reply.outcomes):
                msg = f"a step was refused and others were applied: {outcome.message}"
                raise IndeterminateError(msg)
            raise refusal(outcome)
    if reply.acknowledged < reply.needed:
        msg = (
            f"{reply.acknowledged} of {reply.needed} replicas have the write so far;"
            " it is durable here and will still spread"
        )
        raise ReplicasTimeoutError(
            msg, acknowledged=reply.acknowledged, needed=reply.needed
        )


def _token(reply: Reply, at: Reading) -> bytes:
    """Return the session after the write; empty if not wanted."""
    if not at.want_session:
        return b""
    session = at.session
    for outcome in reply.outcomes:
        match outcome:
            case Applied(entry):
                version = entry.version
                session = session.saw(version.index_dots, version.hlc)
                others = version.index_dots
                if not at.covered.covers_all(d for d in others if d != version.dot):
                    # A CRDT's state shows contributions that are not covered yet.
                    session = at.saw(session, entry)
            case ConditionFailed(entry) if entry is not None:
                session = at.saw(session, entry)
            case _:
                pass
    return encode_session(session)


def fill_write(
    request: DataRequest, result: pb.OperationResult, reply: Reply, at: Reading
) -> None:
    """Put the outcome of a write into *result*; raises what `_raise_failure` does."""
    _raise_failure(reply)
    token = _token(reply, at)
    outcome = reply.outcomes[0]
    match request:
        case pb.BatchRequest():
            writes = iter(reply.outcomes)
            for slot in result.batch.results:
                if slot.HasField("write"):
                    _fill_outcome(slot.write, next(writes), reply, at, b"")
            result.batch.session = token
        case pb.CounterRequest() if isinstance(outcome, Applied):
            fill_counter(result.counter, outcome.entry)
            result.counter.session = token
            result.counter.stale = at.stale
        case pb.SetRequest() if isinstance(outcome, Applied):
            fill_set(result.set, outcome.entry, members=request.want_members)
            result.set.session = token
            result.set.stale = at.stale
        case pb.DocumentRequest() if isinstance(outcome, Applied):
            fill_document(result.document, outcome.entry, request)
            result.document.session = token
            result.document.stale = at.stale
        case _:
            _fill_outcome(result.write, outcome, reply, at, token)


def _fill_outcome(
    write: pb.WriteReply, outcome: Outcome, reply: Reply, at: Reading, token: bytes
) -> None:
    match outcome:
        case Applied(entry):
            write.applied = True
            write.version = encode_version(entry.version.dot)
            write.hlc = entry.version.hlc
            write.replicas = reply.acknowledged
        case ConditionFailed(entry):
            if entry is not None and entry.live(at.now):
                write.current_version = encode_version(entry.version.dot)
            write.SetInParent()
        case Refused():
            msg = "a refused write has no reply"
            raise AssertionError(msg)
    write.stale = at.stale
    if token:
        write.session = token
