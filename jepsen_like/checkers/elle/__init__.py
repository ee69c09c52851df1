"""Anomalies of transactions on lists and registers, in the manner of Elle."""

from jepsen_like.checkers.elle.anomalies import LEVELS
from jepsen_like.checkers.elle.list_append import check_list_append
from jepsen_like.checkers.elle.long_fork import check_long_fork
from jepsen_like.checkers.elle.rw_register import check_rw_register
from jepsen_like.checkers.elle.versions import VersionAssumptions

__all__ = [
    "LEVELS",
    "VersionAssumptions",
    "check_list_append",
    "check_long_fork",
    "check_rw_register",
]
