"""
A board of scores: each player's best, who is on top, and where a player stands.

    kvnode serve --objects scores:Scores
    kvnode object call Scores chess submit ada 2400 --json-args

The rows are in the object's own SQL database; each call is one entry of the log.
"""

from typing import Final

from kvnode.objects import DurableObject, Environment, ObjectContext, SqlRow

SHOWN_MAX: Final = 100


class Scores(DurableObject):
    """The scores of one game."""

    def __init__(self, ctx: ObjectContext, env: Environment) -> None:
        super().__init__(ctx, env)
        self.storage.sql.exec(
            "CREATE TABLE IF NOT EXISTS score (player TEXT PRIMARY KEY, points INTEGER)"
            "; CREATE INDEX IF NOT EXISTS by_points ON score (points DESC, player)"
        )

    async def submit(self, player: str, points: int) -> int:
        """Note a result; return the player's best."""
        row = self.storage.sql.exec(
            "INSERT INTO score VALUES (?, ?) ON CONFLICT (player)"
            " DO UPDATE SET points = max(points, excluded.points) RETURNING points",
            player,
            points,
        ).one()
        return int(row["points"] or 0)

    async def top(self, count: int = 10) -> list[SqlRow]:
        """Return the best, in order."""
        query = "SELECT player, points FROM score ORDER BY points DESC, player LIMIT ?"
        return self.storage.sql.exec(query, min(count, SHOWN_MAX)).all()

    async def rank(self, player: str) -> int | None:
        """Return where a player stands, from 1; None if nobody knows the player."""
        found = self.storage.sql.exec(
            "SELECT 1 + (SELECT count(*) FROM score WHERE points > mine.points) AS rank"
            " FROM score AS mine WHERE player = ?",
            player,
        ).all()
        return int(found[0]["rank"] or 0) if found else None
