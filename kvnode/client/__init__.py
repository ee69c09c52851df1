"""
The client library, for asyncio and for threads.

What is named here is public; everything below may change.
"""

from kvnode.client.batch import Delete, Get, Put, Step
from kvnode.client.client import Client
from kvnode.client.documents import DocumentHandle
from kvnode.client.handles import CounterHandle, SetHandle
from kvnode.client.object_location import Location
from kvnode.client.object_points import Restored
from kvnode.client.object_status import ObjectsStatus, ShardStatus
from kvnode.client.object_storage import (
    StorageHandle,
    StoredItem,
    StoredValue,
    Transacted,
)
from kvnode.client.objects import Method, ObjectHandle
from kvnode.client.session import Session
from kvnode.client.sync import (
    SyncClient,
    SyncCounterHandle,
    SyncDocumentHandle,
    SyncObjectHandle,
    SyncSession,
    SyncSetHandle,
    SyncStorageHandle,
)
from kvnode.client.values import (
    BatchResults,
    Change,
    Changes,
    ClockEntry,
    Conflict,
    ConflictPage,
    Departure,
    Digest,
    DigestStatus,
    FillingStatus,
    FloorStatus,
    ForgettingStatus,
    Item,
    JsonValue,
    Key,
    Kind,
    Lag,
    MemberStatus,
    NodeStatus,
    OriginLag,
    Page,
    PeerStatus,
    RepairResult,
    RescueFile,
    Standing,
    Value,
    WriteResult,
)
from kvnode.fetching import Request, Response

__all__ = [
    "BatchResults",
    "Change",
    "Changes",
    "Client",
    "ClockEntry",
    "Conflict",
    "ConflictPage",
    "CounterHandle",
    "Delete",
    "Departure",
    "Digest",
    "DigestStatus",
    "DocumentHandle",
    "FillingStatus",
    "FloorStatus",
    "ForgettingStatus",
    "Get",
    "Item",
    "JsonValue",
    "Key",
    "Kind",
    "Lag",
    "Location",
    "MemberStatus",
    "Method",
    "NodeStatus",
    "ObjectHandle",
    "ObjectsStatus",
    "OriginLag",
    "Page",
    "PeerStatus",
    "Put",
    "RepairResult",
    "Request",
    "RescueFile",
    "Response",
    "Restored",
    "Session",
    "SetHandle",
    "ShardStatus",
    "Standing",
    "Step",
    "StorageHandle",
    "StoredItem",
    "StoredValue",
    "SyncClient",
    "SyncCounterHandle",
    "SyncDocumentHandle",
    "SyncObjectHandle",
    "SyncSession",
    "SyncSetHandle",
    "SyncStorageHandle",
    "Transacted",
    "Value",
    "WriteResult",
]
