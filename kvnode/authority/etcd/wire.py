"""
What etcd is asked, and how it is put.

Methods are called by their full names and without generated stubs: the messages are
ours (proto/kvnode/v1/etcd.proto), and etcd's own names in a process belong to whoever
has etcd's own messages.

References:
    etcd.io/docs: etcd API; API guarantees (linearizable reads, atomic transactions).
"""

from typing import Final, Generic, NamedTuple, Protocol, Self, TypeVar

from kvnode._pb import etcd_pb2 as pb


class Message(Protocol):
    """A protobuf message."""

    @classmethod
    def FromString(cls, data: bytes, /) -> Self:  # noqa: N802 -- protobuf's name
        """Return the message in *data*."""

    def SerializeToString(self) -> bytes:  # noqa: N802 -- protobuf's name
        """Return the message as bytes."""


RequestT = TypeVar("RequestT", bound=Message)
ReplyT = TypeVar("ReplyT", bound=Message)


class Method(NamedTuple, Generic[RequestT, ReplyT]):
    """
    A method of etcd.

    Attributes:
        path: Its full name.
        request: What it is asked with.
        reply: What it answers with.
        changes: Whether it may change anything.
    """

    path: str
    request: type[RequestT]
    reply: type[ReplyT]
    changes: bool = False


RANGE: Final = Method("/etcdserverpb.KV/Range", pb.EtcdRange, pb.EtcdRangeReply)
TRANSACTION: Final = Method(
    "/etcdserverpb.KV/Txn", pb.EtcdTransaction, pb.EtcdTransactionReply, changes=True
)
LOGIN: Final = Method(
    "/etcdserverpb.Auth/Authenticate", pb.EtcdLogin, pb.EtcdLoginReply
)
STATUS: Final = Method(
    "/etcdserverpb.Maintenance/Status", pb.EtcdStatus, pb.EtcdStatusReply
)

NEED_LEADER: Final = ("hasleader", "true")
"""
Metadata: a member that knows of no leader is to say so at once.

Without it, one that is cut off from the others is silent for seven seconds.
"""

TOKEN: Final = "token"  # noqa: S105 -- the name of metadata
"""Metadata: the token of who has logged in."""


def swap_of(key: bytes, mod_revision: int, value: bytes) -> pb.EtcdTransaction:
    """
    Put *value* if *key* has not changed since *mod_revision*, else read it.

    However often this arrives, and however late, it happens once at most: it changes
    what it compares.

    Args:
        key: Of a register.
        mod_revision: When it was changed last; 0 if it is not to be there.
        value: What it is to hold.
    """
    compare = pb.EtcdComparison
    unchanged = (
        compare(key=key, target=compare.MOD_REVISION, mod_revision=mod_revision)
        if mod_revision
        else compare(key=key, target=compare.CREATE_REVISION, create_revision=0)
    )
    return pb.EtcdTransaction(
        comparisons=[unchanged],
        success=[pb.EtcdOperation(put=pb.EtcdPut(key=key, value=value))],
        failure=[pb.EtcdOperation(range=pb.EtcdRange(key=key))],
    )
