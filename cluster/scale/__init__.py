"""From what one write, one peer and one idle second cost to clusters of any size."""

from cluster.scale.arithmetic import (
    Bounds,
    Break,
    Load,
    breaks,
    load_at,
)
from cluster.scale.costs import Costs
from cluster.scale.fit import fit
from cluster.scale.table import report, table

__all__ = [
    "Bounds",
    "Break",
    "Costs",
    "Load",
    "breaks",
    "fit",
    "load_at",
    "report",
    "table",
]
