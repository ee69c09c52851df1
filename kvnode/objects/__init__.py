"""
The strongly consistent objects: what runs in them, and what runs them.

A class of objects is derived from `DurableObject` and served by
`kvnode serve --objects module:Class`.
"""

from kvnode.fetching import Request, Response
from kvnode.objects.durable_object import DurableObject, Environment, ObjectContext
from kvnode.objects.object_id import ObjectId
from kvnode.objects.storing.object_storage import ObjectStorage, Transaction
from kvnode.objects.storing.sql.object_sql import ObjectSql
from kvnode.objects.storing.sql.sql_cursor import SqlCursor, SqlRow, SqlValue

__all__ = [
    "DurableObject",
    "Environment",
    "ObjectContext",
    "ObjectId",
    "ObjectSql",
    "ObjectStorage",
    "Request",
    "Response",
    "SqlCursor",
    "SqlRow",
    "SqlValue",
    "Transaction",
]
