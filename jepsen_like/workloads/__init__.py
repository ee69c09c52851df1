"""Workloads: what is asked of a store, and what must be true of its answers."""

from collections.abc import Mapping

from jepsen_like.workloads.bank import BankWorkload
from jepsen_like.workloads.cas_register import CasRegisterWorkload
from jepsen_like.workloads.counter import CounterWorkload, strong_counter
from jepsen_like.workloads.deletes import DeletesWorkload
from jepsen_like.workloads.document import DocumentWorkload
from jepsen_like.workloads.expiry import ExpiryWorkload
from jepsen_like.workloads.list_append import ListAppendWorkload
from jepsen_like.workloads.object_restore import ObjectRestoreWorkload
from jepsen_like.workloads.objects import (
    ObjectAlarmWorkload,
    ObjectBankWorkload,
    ObjectListAppendWorkload,
    asks_objects,
    exact_counter,
)
from jepsen_like.workloads.promises import linearizable_cas, linearizable_register
from jepsen_like.workloads.register import RegisterWorkload
from jepsen_like.workloads.sessions import SessionsWorkload
from jepsen_like.workloads.set import SetWorkload, strong_set
from jepsen_like.workloads.watch import WatchWorkload
from jepsen_like.workloads.workload import Extent, Final, Workload

__all__ = [
    "WORKLOADS",
    "Extent",
    "Final",
    "Workload",
    "asks_objects",
    "workload_named",
]

_ALL: tuple[Workload, ...] = (
    RegisterWorkload(),
    CasRegisterWorkload(),
    SessionsWorkload(),
    DeletesWorkload(),
    CounterWorkload(),
    SetWorkload(),
    DocumentWorkload(),
    WatchWorkload(),
    ExpiryWorkload(),
    RegisterWorkload(
        "linearizable-register", "register", linearizable_register, asked=("read",)
    ),
    CasRegisterWorkload(
        "linearizable-cas", "cas-register", linearizable_cas, asked=("read",)
    ),
    CounterWorkload("strong-counter", "counter", strong_counter),
    SetWorkload("strong-set", "set", strong_set),
    ListAppendWorkload(),
    BankWorkload(),
    RegisterWorkload(
        "object-register", "register", linearizable_register, asked=("read",)
    ),
    CasRegisterWorkload(
        "object-cas", "cas-register", linearizable_cas, asked=("read",)
    ),
    CounterWorkload("object-counter", "counter", exact_counter),
    ObjectListAppendWorkload(),
    ObjectBankWorkload(),
    ObjectAlarmWorkload(),
    ObjectRestoreWorkload(),
)

WORKLOADS: Mapping[str, Workload] = {workload.name: workload for workload in _ALL}
"""All workloads by name."""


def workload_named(name: str) -> Workload:
    """
    Return the workload called *name*.

    Raises:
        ValueError: There is none; the message lists those there are.
    """
    workload = WORKLOADS.get(name)
    if workload is None:
        known = ", ".join(WORKLOADS)
        msg = f"there is no workload {name!r}; choose one of: {known}"
        raise ValueError(msg)
    return workload
