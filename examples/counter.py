"""
A counter that is called by methods, and by requests.

    kvnode serve --objects examples.counter:Counter --http 127.0.0.1:7480

    curl 127.0.0.1:7480/v1/objects/Counter/visits/call/incr -d '[5]'
    curl 127.0.0.1:7480/v1/objects/Counter/visits/fetch/ -d 3
    curl 127.0.0.1:7480/v1/objects/Counter/visits/fetch/

Workers call it as in `examples/workerd`.
"""

from kvnode.objects import DurableObject, Request, Response


class Counter(DurableObject):
    """A number that grows, and never by the same step twice."""

    async def incr(self, by: int = 1) -> int:
        """Add *by*; return the sum."""
        value = await self.value() + by
        await self.storage.put("value", value)
        return value

    async def value(self) -> int:
        """Return the sum."""
        found: int = await self.storage.get("value", 0)
        return found

    async def fetch(self, request: Request) -> Response:
        """Answer GET with the sum, and POST of a number with the sum after it."""
        match request.method:
            case "GET":
                return Response.of_text(f"{await self.value()}\n")
            case "POST":
                try:
                    by = int(request.text())
                except ValueError:
                    return Response.of_text("the body must be a number\n", 400)
                return Response.of_text(f"{await self.incr(by)}\n")
            case _:
                return Response(405, (("allow", "GET, POST"),))
