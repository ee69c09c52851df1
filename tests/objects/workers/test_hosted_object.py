"""Classes that were written for Cloudflare, as a node runs them."""

import asyncio
from typing import Any

import pytest

from kvnode.errors import InvalidArgumentError, KvError, ObjectRaisedError
from kvnode.objects.alarming import SET_ALARM
from kvnode.objects.object_id import ObjectId
from kvnode.objects.workers.importable import DurableObject
from tests.objects.running.objects import Site, settled, site
from tests.objects.workers.probe import done, served


class Mixin:
    """Something that a class is derived from as well."""

    def mixed_in(self) -> int:
        """Return a number."""
        return 7


class Cart(DurableObject, Mixin):
    """Calls other objects, and has an alarm."""

    def __init__(self, ctx: Any, env: Any) -> None:  # noqa: ANN401 -- as people write
        super().__init__(ctx, env)
        self.storage = ctx.storage
        self.rung: list[Any] = []
        self.failures = 1
        self.began = False
        ctx.blockConcurrencyWhile(self._begin)

    async def _begin(self) -> None:
        await asyncio.sleep(0)
        self.began = True

    async def add(self, item: str, *, count: int = 1) -> int:
        """Add an item; return how many there are."""
        assert self.began
        total: int = (await self.storage.get(item) or 0) + count
        await self.storage.put(item, total)
        return total

    def mutate(self, held: dict[str, int]) -> None:
        """Change what is passed, as no caller from outside could."""
        held["seen"] = 1

    async def calls_itself(self) -> dict[str, int]:
        """Call a method that is no coroutine, on the spot."""
        held: dict[str, int] = {}
        self.mutate(held)
        return held

    def plain(self, by: int = 1) -> int:
        """Return a number without awaiting."""
        return by + self.mixed_in()

    async def who(self) -> list[Any]:
        """Return what the id says."""
        own = self.ctx.id
        return [own.toString(), str(own), own.name, own.equals(own)]

    async def ask(self, method: str) -> Any:  # noqa: ANN401 -- what it returns
        """Ask another cart in all ways."""
        carts = self.env.CART
        by_id = carts.get(carts.idFromString(carts.idFromName("b").toString()))
        assert carts.getByName("b").name == "b"
        assert by_id.id.equals(carts.idFromName("b"))
        return [await getattr(carts.getByName("b"), method)(), await by_id.plain(by=2)]

    async def ask_new(self) -> list[Any]:
        """Ask carts that nobody else has."""
        one, other = self.env.CART.newUniqueId(), self.env.Cart.newUniqueId()
        assert not one.equals(other)
        return [await self.env.CART.get(one).add("x"), one.name]

    async def ask_near(self, *options: Any, **named: Any) -> Any:  # noqa: ANN401 -- as people write
        """Ask a cart that is to live in a region."""
        return await self.env.CART.getByName("far", *options, **named).plain()

    async def ask_of_another_class(self) -> None:
        """Confuse two classes."""
        self.env.CART.get(self.env.SHOPPING_LIST.idFromName("b"))

    async def variable(self, name: str) -> Any:  # noqa: ANN401 -- any
        """Return what `env` has of that name."""
        return getattr(self.env, name)

    async def set(self) -> None:
        """Set the alarm."""
        await self.storage.setAlarm(0)

    async def due(self) -> int | None:
        """Return when the alarm is due."""
        due: int | None = await self.storage.getAlarm()
        return due

    async def log(self) -> list[Any]:
        """Return the runs of the alarm."""
        return self.rung

    async def alarm(self, alarm_info: Any) -> None:  # noqa: ANN401 -- as people write
        """Ring; fail at first."""
        self.rung.append([alarm_info.retryCount, alarm_info.isRetry])
        if self.failures:
            self.failures -= 1
            msg = "not yet"
            raise ValueError(msg)


class ShoppingList(DurableObject):
    """Has an alarm that asks for nothing, and is no coroutine."""

    rung = 0

    def alarm(self) -> None:
        """Ring."""
        ShoppingList.rung += 1

    async def set(self) -> None:
        """Set the alarm, and wait for nothing."""
        self.ctx.storage.setAlarm(0)


class Calm(DurableObject):
    """Has no alarm."""

    async def set(self) -> None:
        """Try to set one."""
        await self.ctx.storage.setAlarm(0)


A_CART = ObjectId.from_name("Cart", "a")


@pytest.fixture(name="carts")
async def _carts() -> Any:  # noqa: ANN401 -- a generator
    variables = {"GREETING": "hello", "LIMITS": {"items": 3}}
    async with site(served(Cart, ShoppingList, Calm, variables=variables)) as made:
        yield made


async def test_methods_are_called_whether_they_await_or_not(carts: Site) -> None:
    """Those of mixins as well, and by name."""
    id_ = ObjectId.from_name("Cart", "a")
    assert await carts.call("Cart a", "add", "apple") == 1
    assert await carts.host.call("s000", id_, "add", ["apple"], {"count": 4}) == 5
    assert await carts.call("Cart a", "plain") == 8
    assert await carts.call("Cart a", "mixed_in") == 7


async def test_hint_goes_along_in_either_way_of_writing_it(carts: Site) -> None:
    """As an object, like JavaScript's, or by name, like Python's."""
    for options, named in (
        (({"locationHint": "west"},), {}),
        ((), {"locationHint": "west"}),
    ):
        with pytest.raises(ObjectRaisedError, match="lives in region west"):
            await carts.host.call("s000", A_CART, "ask_near", options, named)
    assert carts.founded == ["r.west.000"]


async def test_options_of_a_stub_that_are_not_known_are_refused(carts: Site) -> None:
    """Else a jurisdiction would be passed over in silence."""
    wrong: list[dict[str, object]] = [{"jurisdiction": "eu"}, {"locationHint": 3}]
    for options in wrong:
        with pytest.raises(ObjectRaisedError, match="locationHint"):
            await carts.call("Cart a", "ask_near", options)


async def test_object_calls_its_own_methods_as_they_are(carts: Site) -> None:
    """One that is no coroutine changes what it is given, on the spot."""
    assert await carts.call("Cart a", "calls_itself") == {"seen": 1}


@pytest.mark.parametrize("name", ["alarm", "_begin", "ctx", "began", "gone"])
async def test_hooks_and_private_names_cannot_be_called(carts: Site, name: str) -> None:
    """Nor what is no method."""
    with pytest.raises(InvalidArgumentError, match="has no method"):
        await carts.call("Cart a", name)


async def test_arguments_must_fit_the_method(carts: Site) -> None:
    """Of the class as it was written."""
    with pytest.raises(InvalidArgumentError, match="cannot be called so"):
        await carts.call("Cart a", "add")


async def test_id_says_who_it_is(carts: Site) -> None:
    """As text, by name, and by comparison."""
    id_ = ObjectId.from_name("Cart", "a")
    assert await carts.call("Cart a", "who") == [str(id_), str(id_), "a", True]


async def test_other_objects_are_called_by_bindings(carts: Site) -> None:
    """By name, by an id that was written down, and by one that is new."""
    assert await carts.call("Cart a", "ask", "calls_itself") == [{"seen": 1}, 9]
    assert await carts.call("Cart a", "ask_new") == [1, None]
    with pytest.raises(ObjectRaisedError, match="of another class than Cart"):
        await carts.call("Cart a", "ask_of_another_class")


async def test_environment_has_variables_and_nothing_else(carts: Site) -> None:
    """A binding that is not there says so."""
    assert await carts.call("Cart a", "variable", "GREETING") == "hello"
    assert await carts.call("Cart a", "variable", "LIMITS") == {"items": 3}
    with pytest.raises(ObjectRaisedError, match=r"env\.QUEUE is not there; see"):
        await carts.call("Cart a", "variable", "QUEUE")


async def test_alarm_is_told_of_the_runs_that_have_failed(carts: Site) -> None:
    """How many, and so whether it is tried again."""
    await carts.call("Cart a", "set")
    async with asyncio.timeout(10):
        while await carts.call("Cart a", "log") != [[0, False]]:  # noqa: ASYNC110 -- no event tells
            await asyncio.sleep(0)
        carts.now += 10_000
        while len(await carts.call("Cart a", "log")) < 2:  # noqa: ASYNC110 -- the same
            await asyncio.sleep(0)
    assert await carts.call("Cart a", "log") == [[0, False], [1, True]]


async def test_alarm_that_asks_for_nothing_runs(carts: Site) -> None:
    """Whether or not it is a coroutine."""
    ShoppingList.rung = 0
    await carts.call("ShoppingList a", "set")
    async with asyncio.timeout(10):
        while not ShoppingList.rung:  # noqa: ASYNC110 -- no event tells
            await asyncio.sleep(0)


async def test_alarm_is_set_from_outside(carts: Site) -> None:
    """Of a class that has one, in whatever way; it sees it as its own."""
    due = carts.now + 1000
    for target in ("Cart a", "ShoppingList a"):
        assert await carts.call(target, SET_ALARM, due) == due
    assert await carts.call("Cart a", "due") == due
    assert await carts.call("Cart a", SET_ALARM, None) is None
    assert await carts.call("Cart a", "due") is None
    with pytest.raises(InvalidArgumentError, match="alarm"):
        await carts.call("Calm a", SET_ALARM, due)

    ShoppingList.rung, carts.now = 0, due + 1
    await carts.call("ShoppingList a", SET_ALARM, 0)
    async with asyncio.timeout(10):
        while not ShoppingList.rung:  # noqa: ASYNC110 -- no event tells
            await asyncio.sleep(0)
    assert await carts.call("Cart a", "log") == []


async def test_class_without_an_alarm_cannot_set_one(carts: Site) -> None:
    """As there."""
    with pytest.raises(ObjectRaisedError, match="alarm"):
        await carts.call("Calm a", "set")


async def test_abort_ends_the_code_that_calls_it() -> None:
    """And what it has just written is not stored."""
    reached = []

    async def work(self: Any) -> None:  # noqa: ANN401 -- as people write
        self.ctx.storage.put("a", 1)
        self.ctx.abort("enough")
        reached.append("never")

    with pytest.raises(KvError, match="has ended itself"):
        await done(work)
    assert not reached


async def test_what_is_waited_for_goes_on_after_the_call() -> None:
    """A coroutine, or whatever can be awaited."""
    seen = []

    async def later() -> None:
        seen.append("later")

    async def work(self: Any) -> None:  # noqa: ANN401 -- as people write
        self.ctx.waitUntil(later())
        self.ctx.waitUntil(self.ctx.storage.get("a"))

    await done(work)
    await settled()
    assert seen == ["later"]


async def test_section_may_be_a_plain_function() -> None:
    """What it returns comes back."""

    async def work(self: Any) -> object:  # noqa: ANN401 -- as people write
        return await self.ctx.blockConcurrencyWhile(lambda: 3)

    assert await done(work) == 3


async def test_context_says_what_it_lacks() -> None:
    """By the name that code uses."""

    async def work(self: Any) -> None:  # noqa: ANN401 -- as people write
        self.ctx.acceptWebSocket(None)

    with pytest.raises(ObjectRaisedError, match=r"ctx\.acceptWebSocket is not there"):
        await done(work)
