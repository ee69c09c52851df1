"""
Namespaces: which exist at this node.

A namespace is an entry like any other, in the system namespace, so creating one
replicates like any write.  Its data may arrive before it does; that is kept, and
shows once the namespace is known.
"""

from kvnode.core.versions.store_view import Commit, StoreView
from kvnode.errors import InvalidArgumentError, NamespaceNotFoundError
from kvnode.limits import NAMESPACE_CHARS_MAX
from kvnode.types import (
    DEFAULT_NAMESPACE,
    SYSTEM_NAMESPACE,
    EntryKey,
    Millis,
    Namespace,
)

_PREFIX = b"namespace/"
_FOREVER = Millis(0)


def registration(name: Namespace) -> EntryKey:
    """Return where the existence of namespace *name* is recorded."""
    return EntryKey(SYSTEM_NAMESPACE, _PREFIX + name.encode())


class Namespaces:
    """The namespaces known here; kept current by the node's commits."""

    def __init__(self, view: StoreView) -> None:
        self._known = {DEFAULT_NAMESPACE}
        for key, entry in view.scan(SYSTEM_NAMESPACE, prefix=_PREFIX):
            if key.isascii() and entry.live(_FOREVER):
                self._known.add(_name(key))

    def on_commit(self, commit: Commit) -> None:
        """Take in registrations that came with *commit*."""
        for (namespace, key), entry, _ in commit.writes:
            if namespace == SYSTEM_NAMESPACE and key.startswith(_PREFIX):
                if not key.isascii():
                    continue  # no node of ours registers such a name
                if entry is not None and entry.live(_FOREVER):
                    self._known.add(_name(key))
                elif _name(key) != DEFAULT_NAMESPACE:
                    self._known.discard(_name(key))

    def check(self, namespace: Namespace) -> None:
        """
        Do nothing if *namespace* is known.

        Raises:
            InvalidArgumentError: It cannot be.
            NamespaceNotFoundError: It is not.
        """
        if namespace not in self._known:
            if len(namespace) > NAMESPACE_CHARS_MAX:
                msg = (
                    f"the namespace has {len(namespace)} characters; at most"
                    f" {NAMESPACE_CHARS_MAX} are allowed"
                )
                raise InvalidArgumentError(msg)
            raise NamespaceNotFoundError(namespace)

    def __contains__(self, namespace: Namespace) -> bool:
        """Tell whether *namespace* is known."""
        return namespace in self._known

    def names(self) -> list[str]:
        """Return all known namespaces, sorted."""
        return sorted(self._known)


def _name(key: bytes) -> Namespace:
    return Namespace(key.removeprefix(_PREFIX).decode())
