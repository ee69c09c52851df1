"""
Settings of objects: which are served, with whom they are kept, and who says who leads.

Who leads a shard is decided in one of three places, and once there are objects it stays
so (kvnode.runtime.objects.opening):

    nothing set       this node keeps its objects by itself
    objects_voters    voters among the nodes; they keep the shards, too, at first
    objects_etcd      an etcd that is there anyway; objects_keepers keep the shards
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, Field

from kvnode.address import PORT_MAX
from kvnode.setting_types import (
    COMMA_SEPARATED,
    GIB,
    MIB,
    EtcdEndpoint,
    KeyPrefixOrNothing,
    Name,
    ObjectClass,
    ReadableFile,
    UserOrNothing,
    count,
    size,
)

HTTPS: Final = "https://"

_CLASSES_MAX: Final = 1_000  # more is a mistake in a list
_VOTERS_MAX: Final = (
    5  # three survive one loss, five two; more cost more than they save
)
_HISTORY_HOURS_MAX: Final = 24 * 366  # a year; what is older belongs into a backup
_HISTORY_BYTES_MIN: Final = MIB  # less would not hold one step of an object
_HISTORY_BYTES_MAX: Final = 64 * GIB  # a quarter of what a state may have
_LEASE_MILLIS_MAX: Final = 600  # what all nodes count on (kvnode.core.objects.settings)
_ENDPOINTS_MAX: Final = 9  # etcd has seven members at most; two are being replaced


class ObjectsConfig(BaseModel, frozen=True, extra="forbid"):
    """The settings of a node's objects; see each field's description."""

    objects: Annotated[
        tuple[ObjectClass, ...],
        COMMA_SEPARATED,
        Field(
            max_length=_CLASSES_MAX,
            description="Classes of objects to serve, module:Class, or Storage.",
        ),
    ] = ()
    objects_variables_file: ReadableFile = Field(
        default=None,
        description="What classes for Cloudflare find in env: a JSON object.",
    )
    objects_voters: Annotated[
        tuple[Name, ...],
        COMMA_SEPARATED,
        Field(
            max_length=_VOTERS_MAX,
            description="Nodes that agree on who leads objects; 1, 3 or 5, by name.",
        ),
    ] = ()
    objects_keepers: Annotated[
        tuple[Name, ...],
        COMMA_SEPARATED,
        Field(
            max_length=_VOTERS_MAX,
            description="Nodes that keep objects if etcd says who leads; 1, 3 or 5.",
        ),
    ] = ()
    objects_etcd: Annotated[
        tuple[EtcdEndpoint, ...],
        COMMA_SEPARATED,
        Field(
            max_length=_ENDPOINTS_MAX,
            description="Endpoints of the etcd that says who leads objects.",
        ),
    ] = ()
    objects_etcd_prefix: KeyPrefixOrNothing = Field(
        default="",
        description="Of keys in etcd; /kvnode/<cluster>/shards/ if not set.",
    )
    objects_etcd_ca_file: ReadableFile = Field(
        default=None, description="Whose certificates of etcd count, in PEM."
    )
    objects_etcd_certificate_file: ReadableFile = Field(
        default=None, description="Certificate of this node for etcd, in PEM."
    )
    objects_etcd_key_file: ReadableFile = Field(
        default=None, description="Key of that certificate, in PEM."
    )
    objects_etcd_user: UserOrNothing = Field(
        default="", description="User of etcd, if it asks for one."
    )
    objects_etcd_password_file: ReadableFile = Field(
        default=None, description="File with the user's password, one line."
    )
    objects_port: Annotated[int, count(0, PORT_MAX)] = Field(
        default=0,
        description="Port for streams between nodes with objects; 0 takes a free one.",
    )
    objects_calls_port: Annotated[int, count(0, PORT_MAX)] = Field(
        default=0,
        description="Port for calls of objects by clients; 0 takes a free one.",
    )
    objects_spread: bool = Field(
        default=True,
        description="Leads of objects go to nodes that lead fewer, while all is well.",
    )
    objects_moved: bool = Field(
        default=False,
        description="The data directory was moved, and its original is gone for good.",
    )

    objects_lease_ms: Annotated[int, count(0, _LEASE_MILLIS_MAX)] = Field(
        default=_LEASE_MILLIS_MAX,
        description="For so long a leader may answer reads by itself; 0 = each takes a"
        " round of messages.",
    )
    objects_history_hours: Annotated[int, count(0, _HISTORY_HOURS_MAX)] = Field(
        default=168,
        description="For so long an object can be restored to what it was; 0 = not.",
    )
    objects_history_bytes: Annotated[
        int, size(_HISTORY_BYTES_MIN, _HISTORY_BYTES_MAX)
    ] = Field(
        default=256 * MIB,
        description="What a shard keeps for that at most; it is in snapshots, too.",
    )

    @property
    def speaks_tls_with_etcd(self) -> bool:
        """Tell whether etcd is reached over TLS."""
        return any(each.startswith(HTTPS) for each in self.objects_etcd)

    def _lists_of_objects(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield the lists in which nothing may be twice, by field."""
        yield "objects", self.objects
        yield "objects_voters", self.objects_voters
        yield "objects_keepers", self.objects_keepers
        yield "objects_etcd", self.objects_etcd

    def _contradictions_of_objects(
        self, *, has_others: bool
    ) -> Iterator[tuple[str, str]]:
        """Yield fields, and what is wrong with them beside others."""
        if (
            self.objects
            and has_others
            and not self.objects_voters
            and not self.objects_etcd
        ):
            complaint = (
                "must be set where objects and other nodes are: name 1, 3 or 5 nodes"
                " that agree on who leads, the same at all nodes, such as a,b,c; or set"
                " objects_etcd"
            )
            yield "objects_voters", complaint
        for field, value in (
            ("objects_variables_file", self.objects_variables_file),
            ("objects_voters", self.objects_voters),
            ("objects_etcd", self.objects_etcd),
        ):
            if value and not self.objects:
                complaint = (
                    "must be empty where no objects are served: set objects, too"
                )
                yield field, complaint
        for field, names in (
            ("objects_voters", self.objects_voters),
            ("objects_keepers", self.objects_keepers),
        ):
            if len(names) % 2 == 0 and names:
                complaint = (
                    f"must name 1, 3 or 5 nodes: {len(names)} survive no more losses"
                    " than one fewer"
                )
                yield field, complaint
        if self.objects_etcd:
            yield from self._contradictions_of_etcd()
        else:
            yield from self._of_no_use_without_etcd()

    def _contradictions_of_etcd(self) -> Iterator[tuple[str, str]]:
        if self.objects_voters:
            complaint = (
                "must be empty where objects_etcd says who leads: name the nodes that"
                " keep the objects in objects_keepers"
            )
            yield "objects_voters", complaint
        if not self.objects_keepers:
            complaint = (
                "must be set with objects_etcd: name 1, 3 or 5 nodes that keep the"
                " objects, the same at all nodes, such as a,b,c"
            )
            yield "objects_keepers", complaint
        if len({each.startswith(HTTPS) for each in self.objects_etcd}) > 1:
            complaint = "must have https:// before all endpoints, or before none"
            yield "objects_etcd", complaint
        for field, value in self._files_of_tls():
            if value is not None and not self.speaks_tls_with_etcd:
                complaint = "is for TLS: write https:// before each endpoint of etcd"
                yield field, complaint
        for one, other in (
            ("objects_etcd_certificate_file", "objects_etcd_key_file"),
            ("objects_etcd_user", "objects_etcd_password_file"),
        ):
            if bool(getattr(self, one)) != bool(getattr(self, other)):
                given, lacking = (one, other) if getattr(self, one) else (other, one)
                yield lacking, f"must be set, since {given} is"

    def _files_of_tls(self) -> tuple[tuple[str, Path | None], ...]:
        return (
            ("objects_etcd_ca_file", self.objects_etcd_ca_file),
            ("objects_etcd_certificate_file", self.objects_etcd_certificate_file),
            ("objects_etcd_key_file", self.objects_etcd_key_file),
        )

    def _of_no_use_without_etcd(self) -> Iterator[tuple[str, str]]:
        if self.objects_keepers:
            complaint = (
                "is of no use without objects_etcd: voters keep the objects, too, so"
                " name them in objects_voters"
            )
            yield "objects_keepers", complaint
        for field, value in (
            ("objects_etcd_prefix", self.objects_etcd_prefix),
            *self._files_of_tls(),
            ("objects_etcd_user", self.objects_etcd_user),
            ("objects_etcd_password_file", self.objects_etcd_password_file),
        ):
            if value:
                yield field, "is of no use without objects_etcd"
