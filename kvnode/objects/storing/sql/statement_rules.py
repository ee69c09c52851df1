"""
Which statements an object may run.

SQLite asks for each thing that a statement would do when it compiles it.  Refused is
what would go round the log (another file, a transaction of its own), what a connection
keeps and loses with the next eviction (temporary tables, most PRAGMAs), and what would
change the form of the file.

References:
    Hipp, SQLite.  "Compile-Time Authorization Callbacks"; "Defense Against The Dark
        Arts".
    Cloudflare's Durable Objects, "SQL storage".
"""

from typing import Final

import apsw

MODULES: Final = frozenset({"fts5", "fts5vocab"})
"""Virtual tables keep what they hold in ordinary ones; of these it is known."""

_ASKING_PRAGMAS: Final = frozenset(
    {
        "application_id",
        "collation_list",
        "compile_options",
        "data_version",
        "encoding",
        "foreign_keys",
        "freelist_count",
        "function_list",
        "page_count",
        "page_size",
        "schema_version",
        "user_version",
    }
)
_NAMING_PRAGMAS: Final = frozenset(
    {
        "foreign_key_check",
        "foreign_key_list",
        "index_info",
        "index_list",
        "index_xinfo",
        "integrity_check",
        "quick_check",
        "table_info",
        "table_list",
        "table_xinfo",
    }
)
_SETTING_PRAGMAS: Final = frozenset(
    {"application_id", "defer_foreign_keys", "optimize", "user_version"}
)

_ONE_DATABASE: Final = "an object has one database: ATTACH and VACUUM are not there"
_LOST: Final = "a temporary table would be lost with the instance: create a plain one"
_REFUSED: Final = {
    apsw.SQLITE_ATTACH: _ONE_DATABASE,
    apsw.SQLITE_DETACH: _ONE_DATABASE,
    apsw.SQLITE_CREATE_TEMP_INDEX: _LOST,
    apsw.SQLITE_CREATE_TEMP_TABLE: _LOST,
    apsw.SQLITE_CREATE_TEMP_TRIGGER: _LOST,
    apsw.SQLITE_CREATE_TEMP_VIEW: _LOST,
}


class StatementRules:
    """
    Says of each statement of one connection whether it may run.

    Attributes:
        refusal: Why the last one may not; empty if it may.
        is_ours: Whether what comes now is no statement of the object.
    """

    def __init__(self) -> None:
        self.refusal = ""
        self.is_ours = False

    def __call__(
        self,
        action: int,
        first: str | None,
        second: str | None,
        database: str | None,
        within: str | None,
    ) -> int:
        """Answer SQLite; see its documentation for what it says of each action."""
        del database, within
        if self.is_ours:
            return apsw.SQLITE_OK
        self.refusal = self.refusal or _refusal(action, first or "", second)
        return apsw.SQLITE_DENY if self.refusal else apsw.SQLITE_OK


def _refusal(action: int, first: str, second: str | None) -> str:
    """Return why an object may not do something; empty if it may."""
    if action in (apsw.SQLITE_TRANSACTION, apsw.SQLITE_SAVEPOINT):
        return (
            f"{'SAVEPOINT' if action == apsw.SQLITE_SAVEPOINT else first} is not for"
            " exec: use storage.transaction(...), which goes on over awaits and holds"
            " keys as well, or storage.transaction_sync(...)"
        )
    if action == apsw.SQLITE_PRAGMA:
        return _pragma_refusal(first.lower(), second)
    if action == apsw.SQLITE_CREATE_VTABLE and (second or "").lower() not in MODULES:
        known = ", ".join(sorted(MODULES))
        return f"virtual tables of {second!r} are not there, but of {known}"
    if action == apsw.SQLITE_FUNCTION and (second or "").lower() == "load_extension":
        return "extensions of SQLite cannot be loaded"
    return _REFUSED.get(action, "")


def _pragma_refusal(name: str, argument: str | None) -> str:
    if name in _NAMING_PRAGMAS or name in _SETTING_PRAGMAS:
        return ""
    if name in _ASKING_PRAGMAS:
        if argument is None:
            return ""
        return f"PRAGMA {name} can be asked for, not set"
    return (
        f"PRAGMA {name} is refused: what a connection keeps is lost with the instance,"
        " and the form of the file is settled"
    )
