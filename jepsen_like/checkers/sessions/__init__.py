"""Session guarantees: read your writes, monotonic reads and writes, and the fourth."""

from jepsen_like.checkers.sessions.checker import GUARANTEES, check
from jepsen_like.checkers.sessions.observations import OrderOf, ValueOf

__all__ = ["GUARANTEES", "OrderOf", "ValueOf", "check"]
