"""The Objects service: unary calls for other people's tools, Calls for the library."""

from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
import grpc.aio

from kvnode._pb import objects_pb2 as pb
from kvnode._pb import objects_pb2_grpc
from kvnode.api.calling import within_patience
from kvnode.api.object_alarms import (
    alarm_call,
    alarm_reply,
    due_of,
    set_alarm_call,
)
from kvnode.api.object_calls import (
    asked_of,
    result_message,
)
from kvnode.api.object_locations import locate_call, locate_reply, location_of
from kvnode.api.object_points import (
    bookmark_call,
    bookmark_reply,
    restore_call,
    restore_reply,
)
from kvnode.api.objects_port import ObjectsPort
from kvnode.api.results import call_stream
from kvnode.api.status_map import abort, to_message, unary
from kvnode.errors import KvError

SERVICE: Final[str] = pb.DESCRIPTOR.services_by_name["Objects"].full_name

NO_OBJECTS: Final = "this node serves no objects"

Context = grpc.aio.ServicerContext[Any, Any]


class ObjectsServicer(objects_pb2_grpc.ObjectsServicer):
    """Serves clients of objects."""

    def __init__(
        self, objects: ObjectsPort, invitation: pb.DirectReply | None = None
    ) -> None:
        """
        Let them call *objects*.

        Args:
            objects: What is served.
            invitation: Where calls can be had directly; None for nowhere.
        """
        self._objects = objects
        self._invitation = invitation or pb.DirectReply()

    @unary
    async def Call(  # noqa: N802 -- the name is the protocol's
        self, request: pb.CallRequest
    ) -> pb.CallReply:
        """Call a method."""
        return await self._reply(request)

    async def Calls(  # type: ignore[override]  # noqa: N802 -- writes through the context, which the stub's type leaves out
        self, request_iterator: AsyncIterator[pb.UnreadCallFrame], context: Context
    ) -> None:
        """Do the calls of one stream until the client ends it."""
        try:
            stream = call_stream(self._objects, context.write)
            await stream.serve(request_iterator)
        except KvError as error:
            await abort(context, to_message(error))

    async def Direct(  # noqa: N802 -- the name is the protocol's
        self, request: pb.DirectRequest, context: Context
    ) -> pb.DirectReply:
        """Tell where calls can be had directly; see kvnode.api.direct_calls."""
        del request, context
        return self._invitation

    @unary
    async def Bookmark(  # noqa: N802 -- the name is the protocol's
        self, request: pb.BookmarkRequest
    ) -> pb.BookmarkReply:
        """Name a point in time of an object."""
        return bookmark_reply(
            await within_patience(self._objects, bookmark_call(request))
        )

    @unary
    async def Restore(  # noqa: N802 -- the name is the protocol's
        self, request: pb.RestoreRequest
    ) -> pb.RestoreReply:
        """Make an object what it was."""
        return restore_reply(
            await within_patience(self._objects, restore_call(request))
        )

    @unary
    async def Locate(  # noqa: N802 -- the name is the protocol's
        self, request: pb.LocateRequest
    ) -> pb.LocateReply:
        """Tell where an object lives."""
        location = location_of(
            await within_patience(self._objects, locate_call(request))
        )
        return locate_reply(location, self._objects.leader_of(location.shard))

    @unary
    async def Alarm(  # noqa: N802 -- the name is the protocol's
        self, request: pb.AlarmRequest
    ) -> pb.AlarmReply:
        """Tell when the alarm of an object rings."""
        return alarm_reply(
            due_of(await within_patience(self._objects, alarm_call(request)))
        )

    @unary
    async def SetAlarm(  # noqa: N802 -- the name is the protocol's
        self, request: pb.SetAlarmRequest
    ) -> pb.AlarmReply:
        """Set or delete the alarm of an object."""
        return alarm_reply(
            due_of(await within_patience(self._objects, set_alarm_call(request)))
        )

    async def Status(  # noqa: N802 -- the name is the protocol's
        self, request: pb.ObjectsStatusRequest, context: Context
    ) -> pb.ObjectsStatusReply:
        """Tell what this node serves, and what it knows of each shard."""
        del request, context
        shards = [
            pb.ShardStatus(
                shard=each.shard,
                epoch=each.epoch,
                led_here=each.is_led_here,
                committed=each.committed,
                applied=each.applied,
                instances=each.instances,
                leader=each.leader,
                fault=each.fault,
            )
            for each in self._objects.status()
        ]
        return pb.ObjectsStatusReply(classes=self._objects.classes, shards=shards)

    async def _reply(self, request: pb.CallRequest) -> pb.CallReply:
        asked = asked_of(request)
        result = await within_patience(self._objects, asked.call)
        return pb.CallReply(
            result=result_message(result, asked.form),
            leader=self._objects.leader_address(asked.call.target),
        )


class NoObjectsServicer(objects_pb2_grpc.ObjectsServicer):
    """Says that there are none, in words rather than as an unknown method."""

    async def _refuse(self, request: object, context: Context) -> Any:  # noqa: ANN401 -- nothing is ever returned
        del request
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, NO_OBJECTS)

    Call = Bookmark = Restore = Locate = Alarm = SetAlarm = Status = Direct = _refuse
    Calls = _refuse  # type: ignore[assignment]  # a coroutine, which the stub's type leaves out


def add_objects(
    server: grpc.aio.Server,
    objects: ObjectsPort | None,
    invitation: pb.DirectReply | None = None,
) -> str:
    """
    Let *server* serve *objects*, or say that this node has none.

    Args:
        server: Of the node.
        objects: Its; None if it has none.
        invitation: Where calls can be had directly; None for nowhere.

    Returns:
        The full name of the service, for reflection.
    """
    if objects is None:
        objects_pb2_grpc.add_ObjectsServicer_to_server(NoObjectsServicer(), server)
    else:
        add_servicer(server, ObjectsServicer(objects, invitation))
    return SERVICE


def add_servicer(server: grpc.aio.Server, servicer: ObjectsServicer) -> None:
    """Let *server* serve clients by *servicer*."""
    objects_pb2_grpc.add_ObjectsServicer_to_server(servicer, server)
    # What it writes is serialized already, call by call: in place of the generated one.
    calls: grpc.RpcMethodHandler[pb.UnreadCallFrame, bytes]
    calls = grpc.stream_stream_rpc_method_handler(
        servicer.Calls, request_deserializer=pb.UnreadCallFrame.FromString
    )
    server.add_registered_method_handlers(SERVICE, {"Calls": calls})
