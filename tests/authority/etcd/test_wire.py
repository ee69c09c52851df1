"""What is said on the wire is what etcd's own messages say."""

import pytest
from aetcd.rpc import kv_pb2, rpc_pb2
from google.protobuf.message import Message

from kvnode._pb import etcd_pb2 as pb
from kvnode.authority.etcd.wire import LOGIN, RANGE, STATUS, TRANSACTION, swap_of

THEIRS: dict[type[Message], type[Message]] = {
    pb.EtcdRange: rpc_pb2.RangeRequest,
    pb.EtcdRangeReply: rpc_pb2.RangeResponse,
    pb.EtcdPair: kv_pb2.KeyValue,
    pb.EtcdPut: rpc_pb2.PutRequest,
    pb.EtcdTransaction: rpc_pb2.TxnRequest,
    pb.EtcdComparison: rpc_pb2.Compare,
    pb.EtcdOperation: rpc_pb2.RequestOp,
    pb.EtcdTransactionReply: rpc_pb2.TxnResponse,
    pb.EtcdOperationReply: rpc_pb2.ResponseOp,
    pb.EtcdPutReply: rpc_pb2.PutResponse,
    pb.EtcdLogin: rpc_pb2.AuthenticateRequest,
    pb.EtcdLoginReply: rpc_pb2.AuthenticateResponse,
    pb.EtcdStatus: rpc_pb2.StatusRequest,
    pb.EtcdStatusReply: rpc_pb2.StatusResponse,
}
"""Our messages, and those that another client of etcd was generated from."""


def _types(message: type[Message]) -> dict[int, int]:
    """Return the types of fields, by number."""
    return {field.number: field.type for field in message.DESCRIPTOR.fields}


@pytest.mark.parametrize(
    ("ours", "theirs"), THEIRS.items(), ids=[each.__name__ for each in THEIRS]
)
def test_field_has_number_and_type_of_etcds(
    ours: type[Message], theirs: type[Message]
) -> None:
    """Names are ours; there are none on the wire."""
    assert _types(ours).items() <= _types(theirs).items()


def test_every_message_is_compared_above() -> None:
    """A new one joins by one line."""
    names = set(pb.DESCRIPTOR.message_types_by_name)

    assert {each.DESCRIPTOR.name for each in THEIRS} == names


def test_method_is_one_of_etcds() -> None:
    """Services and methods have their full names."""
    for method in (RANGE, TRANSACTION, LOGIN, STATUS):
        _, service, name = method.path.split("/")
        theirs = rpc_pb2.DESCRIPTOR.services_by_name[service.partition(".")[2]]
        assert theirs.full_name == service
        assert name in theirs.methods_by_name


def test_swap_reads_as_etcd_reads_it() -> None:
    """Compare when it was changed last, put, or read."""
    theirs = rpc_pb2.TxnRequest.FromString(swap_of(b"k", 7, b"v").SerializeToString())

    (compared,), (done,), (otherwise,) = theirs.compare, theirs.success, theirs.failure
    assert compared.target == rpc_pb2.Compare.MOD
    assert compared.result == rpc_pb2.Compare.EQUAL
    assert (compared.key, compared.mod_revision) == (b"k", 7)
    assert (done.request_put.key, done.request_put.value) == (b"k", b"v")
    assert otherwise.request_range.key == b"k"
    assert not otherwise.request_range.serializable


def test_swap_of_what_is_not_there_compares_its_creation() -> None:
    """Zero: there is no such key."""
    theirs = rpc_pb2.TxnRequest.FromString(swap_of(b"k", 0, b"v").SerializeToString())

    (compared,) = theirs.compare
    assert compared.target == rpc_pb2.Compare.CREATE
    assert compared.WhichOneof("target_union") == "create_revision"
    assert compared.create_revision == 0
