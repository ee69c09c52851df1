"""What the fake node does with one operation: dicts, and no conditions but one."""

from dataclasses import dataclass, field
from typing import Any

from pycrdt import Doc

from kvnode._pb import kv_pb2

REPLICA = 0xFEED


@dataclass
class FakeStore:
    """What the nodes of a cluster share: this replication takes no time."""

    values: dict[bytes, kv_pb2.GetReply] = field(default_factory=dict)
    counters: dict[bytes, int] = field(default_factory=dict)
    sets: dict[bytes, set[bytes]] = field(default_factory=dict)
    documents: dict[bytes, "Doc[Any]"] = field(default_factory=dict)
    namespaces: set[str] = field(default_factory=lambda: {"default"})
    seq: int = 0
    page_max: int = 1000

    def session(self) -> bytes:
        """Return the token of all that is here."""
        entry = kv_pb2.SessionToken.Entry(replica=REPLICA, seq=self.seq)
        return kv_pb2.SessionToken(entries=[entry], hlc=self.seq).SerializeToString()

    def run(self, operation: kv_pb2.Operation) -> kv_pb2.OperationResult:
        """Return the result of *operation*."""
        result = kv_pb2.OperationResult(id=operation.id)
        match operation.WhichOneof("kind"):
            case "get":
                result.get.CopyFrom(self._get(operation.get))
            case "put":
                result.write.CopyFrom(self._put(operation.put))
            case "delete":
                result.write.CopyFrom(self._delete(operation.delete))
            case "list":
                result.list.CopyFrom(self._list(operation.list))
            case "batch":
                result.batch.CopyFrom(self._batch(operation.batch))
            case "counter":
                result.counter.CopyFrom(self._counter(operation.counter))
            case "set":
                result.set.CopyFrom(self._set(operation.set))
            case "document":
                result.document.CopyFrom(self._document(operation.document))
            case "conflicts":
                conflict = kv_pb2.Conflict(
                    key=b"k", value=b"lost", type=kv_pb2.VALUE_TYPE_REGISTER, replica=7
                )
                result.conflicts.CopyFrom(
                    kv_pb2.ConflictsReply(
                        conflicts=[conflict], complete=True, total_ever=9
                    )
                )
            case other:
                msg = f"the fake knows no {other}"
                raise AssertionError(msg)
        return result

    def _get(self, request: kv_pb2.GetRequest) -> kv_pb2.GetReply:
        reply = kv_pb2.GetReply()
        reply.CopyFrom(self.values.get(request.key, kv_pb2.GetReply()))
        reply.stale = request.options.stale_ok
        reply.session = self.session()
        return reply

    def _put(self, request: kv_pb2.PutRequest) -> kv_pb2.WriteReply:
        current = self.values.get(request.key)
        if request.if_absent and current is not None:
            return kv_pb2.WriteReply(current_version=current.version)
        self.seq += 1
        self.values[request.key] = kv_pb2.GetReply(
            type=kv_pb2.VALUE_TYPE_REGISTER,
            value=request.value,
            metadata=request.metadata,
            version=str(self.seq),
            expires_at_ms=request.expires_at_ms,
            hlc=self.seq,
        )
        return self._written(request.options)

    def _delete(self, request: kv_pb2.DeleteRequest) -> kv_pb2.WriteReply:
        self.seq += 1
        self.values.pop(request.key, None)
        return self._written(request.options)

    def _written(self, options: kv_pb2.Options) -> kv_pb2.WriteReply:
        return kv_pb2.WriteReply(
            applied=True,
            version=str(self.seq),
            session=self.session(),
            replicas=max(1, options.w),
        )

    def _list(self, request: kv_pb2.ListRequest) -> kv_pb2.ListReply:
        keys = sorted(
            key
            for key in self.values
            if key.startswith(request.prefix) and key > request.cursor
        )
        page = keys[: min(request.limit, self.page_max)]
        items = [
            kv_pb2.ListReply.Item(
                key=key,
                type=self.values[key].type,
                version=self.values[key].version,
                value=self.values[key].value if request.with_values else b"",
            )
            for key in page
        ]
        return kv_pb2.ListReply(
            items=items,
            complete=len(page) == len(keys),
            cursor=page[-1] if page else b"",
            session=self.session(),
        )

    def _batch(self, request: kv_pb2.BatchRequest) -> kv_pb2.BatchReply:
        reply = kv_pb2.BatchReply()
        before = dict(self.values)
        for step in request.steps:
            result = reply.results.add()
            match step.WhichOneof("kind"):
                case "put":
                    result.write.CopyFrom(self._put(step.put))
                case "delete":
                    result.write.CopyFrom(self._delete(step.delete))
                case _:
                    result.get.CopyFrom(before.get(step.get.key, kv_pb2.GetReply()))
        reply.session = self.session()
        return reply

    def _counter(self, request: kv_pb2.CounterRequest) -> kv_pb2.CounterReply:
        total = self.counters.get(request.key, 0) + request.delta
        self.counters[request.key] = total
        return kv_pb2.CounterReply(value=total, session=self.session())

    def _set(self, request: kv_pb2.SetRequest) -> kv_pb2.SetReply:
        members = self.sets.setdefault(request.key, set())
        members.update(request.add)
        members.difference_update(request.remove)
        listed = sorted(members) if request.want_members else []
        return kv_pb2.SetReply(
            members=listed, size=len(members), session=self.session()
        )

    def _document(self, request: kv_pb2.DocumentRequest) -> kv_pb2.DocumentReply:
        document = self.documents.setdefault(request.key, Doc())
        if request.update:
            document.apply_update(request.update)
        reply = kv_pb2.DocumentReply(session=self.session())
        if request.want_update:
            reply.update = document.get_update(request.state_vector or b"\x00")
        return reply
