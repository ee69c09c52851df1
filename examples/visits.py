"""
Visits of a page, counted, and told of once an hour; written for Cloudflare.

    kvnode serve --objects examples.visits:Visits
    kvnode object call Visits /home note

With `--http 127.0.0.1:7480`, requests are answered, too:

    curl 127.0.0.1:7480/v1/objects/Visits/%2Fhome/fetch/ -d ann

The same file is a Durable Object of a Python Worker; docs/workers.md says what else of
those runs here.
"""

from time import time
from typing import Any

from workers import DurableObject, Request, Response

REPORT_MILLIS = 3600 * 1000


class Visits(DurableObject):
    """The visits of one page."""

    def __init__(self, ctx: Any, env: Any) -> None:  # noqa: ANN401 -- Cloudflare's
        super().__init__(ctx, env)
        self.sql = ctx.storage.sql
        self.sql.exec("CREATE TABLE IF NOT EXISTS visit (at INTEGER, who TEXT)")

    async def note(self, who: str = "somebody") -> int:
        """Note a visit; return how many there were since the last report."""
        now = int(time() * 1000)
        self.sql.exec("INSERT INTO visit VALUES (?, ?)", now, who)
        if await self.ctx.storage.getAlarm() is None:
            self.ctx.storage.setAlarm(now + REPORT_MILLIS)
        count: int = self.sql.exec("SELECT count(*) AS visits FROM visit").one().visits
        return count

    async def fetch(self, request: Request) -> Response:
        """Note the visitor whom a POST names; answer with how many there were."""
        if request.method != "POST":
            return Response(None, 405, headers={"allow": "POST"})
        who = await request.text()
        return Response.json({"visits": await self.note(who or "somebody")})

    async def reports(self) -> dict[str, int]:
        """Return how many visits each report told of, by its time."""
        return dict(await self.ctx.storage.list(prefix="report/"))

    async def alarm(self) -> None:
        """Make a report, and begin anew."""
        visits = self.sql.exec("SELECT count(*) AS visits FROM visit").one().visits
        await self.ctx.storage.put(f"report/{int(time() * 1000)}", visits)
        self.sql.exec("DELETE FROM visit")
