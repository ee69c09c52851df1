"""
An object that does what scripts say, written as for Cloudflare's Python Workers.

interpreter.js is its twin; the steps are those of `scripts`.  What comes of a step goes
into the trace of its call: a value, or that there was an error, of whatever kind.  The
step `throw` alone ends a call with an exception.
"""

import asyncio
import math
from inspect import isawaitable
from time import time
from typing import Any
from urllib.parse import urlsplit

from workers import DurableObject, Request, Response

from tests.differential.wire import from_wire, to_wire

Step = list[Any]


class StoppedError(Exception):
    """A script says that its call ends."""


class Interpreter(DurableObject):
    """Does what scripts say."""

    def __init__(self, ctx: Any, env: Any) -> None:  # noqa: ANN401 -- Cloudflare's
        super().__init__(ctx, env)
        self.notes: list[Any] = []
        self.doors: dict[str, asyncio.Event] = {}
        self.alarms = 0
        self.began: list[Any] | None = None
        ctx.blockConcurrencyWhile(self._begin)

    async def _begin(self) -> None:
        script = await self.ctx.storage.get("$begin")
        if script:
            self.began = await self._run(script, self.ctx.storage)

    async def do(self, script: list[Step]) -> list[Any]:
        """Run a script; return its trace."""
        return await self._run(script, self.ctx.storage)

    async def alarm(self, alarm_info: Any) -> None:  # noqa: ANN401 -- Cloudflare's
        """Run the script that is stored for it."""
        self.alarms += 1
        script = await self.ctx.storage.get("$alarm")
        self.notes.append(["alarm", alarm_info.retryCount, alarm_info.isRetry])
        self.notes.append(await self._run(script or [], self.ctx.storage))

    async def fetch(self, request: Request) -> Response | None:  # noqa: PLR0911 -- one a path
        """Do what the path says, or tell what was asked."""
        match urlsplit(request.url).path:
            case "/run":
                storage = self.ctx.storage
                return Response.json(await self._run(await request.json(), storage))
            case "/answer":
                body, status, headers = from_wire(await request.json())
                return Response(body, status, headers=headers)
            case "/json":
                value, status, headers = from_wire(await request.json())
                return Response.json(value, status, headers=headers)
            case "/move":
                return Response.redirect("http://else/where", 307)
            case "/twice":
                return Response.json([await request.text(), await request.text()])
            case "/clone":
                copy = request.clone()
                return Response.json([await copy.text(), await request.text()])
            case "/on" if not await self.ctx.storage.get("$last"):  # as it is
                other = self.env.INTERPRETER.getByName("the last")
                return await other.fetch(request)
            case "/text":
                return Response(await request.text())
            case "/nothing":
                return None
        headers = request.headers.items()
        told = [request.method, request.url, list(headers), await request.text()]
        return Response.json(told)

    async def _fetched(
        self, name: str, url: str, options: dict[str, Any] | None = None
    ) -> list[Any]:
        """Let another object answer a request; tell its answer."""
        times = (options := dict(options or {})).pop("times", 1)
        answer = await self.env.INTERPRETER.getByName(name).fetch(url, **options)
        is_json = answer.headers.get("content-type") == "application/json"
        read = [answer.body_used]
        read += [
            await (answer.json() if is_json else answer.bytes()) for _ in range(times)
        ]
        headers = list(answer.headers.items())
        return [answer.status, answer.ok, headers, *read, answer.body_used]

    async def _run(self, script: list[Step], keys: Any) -> list[Any]:  # noqa: ANN401 -- storage, or a transaction
        trace = []
        for step in script:
            try:
                trace.append(to_wire(await self._step(step, keys)))
            except StoppedError:
                raise
            except Exception:  # noqa: BLE001 -- any error is one
                trace.append("error")
        return trace

    async def _step(self, step: Step, keys: Any) -> Any:  # noqa: ANN401, C901, PLR0911, PLR0912 -- one line a step
        storage = self.ctx.storage
        name, *given = step
        arguments = [from_wire(each) for each in given]
        match name:
            case "get" | "put" | "delete" | "list":
                found = await getattr(keys, name)(*arguments)
                if name == "list" or (name == "get" and isinstance(arguments[0], list)):
                    return list(found.items())
                return found
            case "of storage":
                return await self._step(given[0], storage)
            case "unawaited":
                for each in given[0]:
                    self._start(each, keys)
                return None
            case "kv":
                found = getattr(storage.kv, arguments[0])(*arguments[1:])
                return list(found) if arguments[0] == "list" else found
            case "deleteAll" | "sync" | "deleteAlarm":
                return await getattr(storage, name)()
            case "setAlarm":
                return await storage.setAlarm(time() * 1000 + arguments[0])
            case "getAlarm":
                due = await storage.getAlarm()
                if due is None:
                    return None
                return math.floor((due / 1000 - time()) + 0.5)
            case "alarm is ahead":
                return await storage.getAlarm() > time() * 1000
            case "sql":
                cursor = storage.sql.exec(*arguments)
                return [cursor.columnNames, list(cursor.raw())]
            case "rows":
                return storage.sql.exec(*arguments).toArray()
            case "one":
                return storage.sql.exec(*arguments).one()
            case "written":
                return storage.sql.exec(*arguments).rowsWritten
            case _:
                return await self._other_step(name, given, arguments, keys)

    async def _other_step(  # noqa: C901, PLR0911, PLR0912 -- one line a step
        self,
        name: str,
        given: list[Any],
        arguments: list[Any],
        keys: Any,  # noqa: ANN401 -- as above
    ) -> Any:  # noqa: ANN401 -- the same
        storage = self.ctx.storage
        match name:
            case "transaction":
                return await storage.transaction(lambda txn: self._run(given[0], txn))
            case "kept transaction":
                kept = []

                async def keep(txn: Any) -> None:  # noqa: ANN401 -- Cloudflare's
                    kept.append(txn)

                await storage.transaction(keep)
                return await self._run(given[0], kept[0])
            case "transactionSync":
                return storage.transactionSync(lambda: list(map(self._now, given[0])))
            case "rollback":
                return keys.rollback()
            case "block":
                work = lambda: self._run(given[0], keys)  # noqa: E731 -- as people write
                return await self.ctx.blockConcurrencyWhile(work)
            case "note":
                self.notes.append(arguments[0])
            case "notes":
                notes, self.notes = self.notes, []
                return notes
            case "alarms":
                return self.alarms
            case "began":
                return self.began
            case "wait":
                await self._door(arguments[0]).wait()
            case "open":
                self._door(arguments[0]).set()
            case "sleep":
                await asyncio.sleep(arguments[0] / 1000)
            case "background":
                self.ctx.waitUntil(self._run(given[0], keys))
            case "call":
                return await self.env.INTERPRETER.getByName(given[0]).do(given[1])
            case "fetch":
                return await self._fetched(*arguments)
            case "throw":
                raise StoppedError(arguments[0])
            case "abort":
                self.ctx.abort(arguments[0])
            case _:
                msg = f"there is no step {name}"
                raise StoppedError(msg)
        return None

    def _door(self, name: str) -> asyncio.Event:
        return self.doors.setdefault(name, asyncio.Event())

    def _start(self, step: Step, keys: Any) -> None:  # noqa: ANN401 -- as above
        name, *given = step
        arguments = [from_wire(each) for each in given]
        if name == "setAlarm":
            begun = self.ctx.storage.setAlarm(time() * 1000 + arguments[0])
        else:
            begun = getattr(keys, name)(*arguments)
        assert isawaitable(begun), "it could be awaited"

    def _now(self, step: Step) -> Any:  # noqa: ANN401 -- as above
        name, *given = step
        if name == "throw":
            raise ValueError(given[0])
        cursor = self.ctx.storage.sql.exec(*map(from_wire, given))
        return cursor.toArray()
