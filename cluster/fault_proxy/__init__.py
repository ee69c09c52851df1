"""Faults of the network between real processes, made in user space: no root needed."""

from cluster.fault_proxy.conditions import PERFECT, Conditions, Passage
from cluster.fault_proxy.proxy import FaultProxy

__all__ = ["PERFECT", "Conditions", "FaultProxy", "Passage"]
