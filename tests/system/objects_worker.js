// What a Worker can do with objects of kvnode: one scenario a path, JSON as its answer.

const NAMES = ["plain", "a/b ü", "a%2Fb", "%", "+ &=?#", "id", "call", "\u0000", "🤓"];

function told(error) {
  const { name, message, retryable, overloaded, remote, maybeHappened } = error;
  const { durableObjectReset } = error;
  return {
    name, message, retryable, overloaded, remote, maybeHappened, durableObjectReset,
  };
}

async function failure(work) {
  try {
    await work();
  } catch (error) {
    return told(error);
  }
  return null;
}

const SCENARIOS = {
  async parallel({ COUNTER }) {
    const stub = COUNTER.getByName("parallel");
    const replies = await Promise.all(Array.from({ length: 20 }, () => stub.incr(1)));
    return { replies: replies.sort((a, b) => a - b), value: await stub.value() };
  },

  async names({ COUNTER }) {
    const found = {};
    for (const [index, name] of NAMES.entries()) {
      await COUNTER.getByName(name).incr(index + 1);
    }
    for (const name of NAMES) found[name] = await COUNTER.getByName(name).value();
    return found;
  },

  async placed({ COUNTER }) {
    const near = COUNTER.getByName("near", { locationHint: "europe" });
    return {
      value: await near.incr(1),
      again: await COUNTER.getByName("near").incr(1),
      nowhere: await failure(() =>
        COUNTER.getByName("far", { locationHint: "moon" }).incr(1)),
    };
  },

  async ids({ COUNTER }) {
    const named = COUNTER.idFromName("named");
    const unresolved = await failure(async () => named.toString());
    await COUNTER.get(named).incr(3);
    const digits = (await named.resolved()).toString();
    const byDigits = await COUNTER.get(COUNTER.idFromString(digits)).value();

    const fresh = await COUNTER.newUniqueId();
    await COUNTER.get(fresh).incr(4);
    const again = await COUNTER.get(COUNTER.idFromString(fresh.toString())).value();
    const direct = await COUNTER.get(COUNTER.newUniqueId()).incr(5);
    return {
      unresolved, digits, byDigits, again, direct,
      equal: named.equals(COUNTER.idFromName("named")),
      malformed: await failure(async () => COUNTER.idFromString("abc")),
      foreign: await failure(() => COUNTER.get(COUNTER.idFromString("0".repeat(64))).incr()),
      dots: await failure(async () => COUNTER.getByName("..")),
    };
  },

  async values({ COUNTER }) {
    const given = [null, true, 1.5, "ü", [1], { a: { b: 2 } }, new Uint8Array([0, 255])];
    const echoed = await COUNTER.getByName("echo").echo(...given);
    const bytes = echoed.pop();
    return { echoed, isBytes: bytes instanceof Uint8Array, bytes: [...bytes] };
  },

  async errors({ COUNTER }) {
    const stub = COUNTER.getByName("errors");
    const slow = COUNTER.getByName("errors", { deadlineMs: 50 });
    return {
      raised: await failure(() => stub.fail("no apples")),
      unknown: await failure(() => stub.nothing()),
      late: await failure(() => slow.wait(5)),
      ended: await failure(() => stub.end()),
    };
  },

  async once({ COUNTER }) {
    const stub = COUNTER.getByName("once", { idempotencyKey: "k" });
    return [await stub.incr(1), await stub.incr(1)];
  },

  async fetched({ COUNTER }) {
    const stub = COUNTER.getByName("a/b ü");
    const request = new Request("https://shop.example/a%2Fb/?x=1&y=+", {
      method: "PUT", body: new Uint8Array([0, 255]), headers: { "x-who": "ann" },
    });
    const response = await stub.fetch(request);
    const plain = await stub.fetch("https://shop.example/moved");
    return {
      status: response.status, header: response.headers.get("x-seen"),
      seen: await response.json(),
      moved: [plain.status, plain.headers.get("location")],
      raised: await failure(() => stub.fetch("https://shop.example/raise")),
      head: await failure(() => stub.fetch("https://shop.example/raise", { method: "HEAD" })),
      socket: await failure(
        () => stub.fetch("https://shop.example/", { headers: { upgrade: "websocket" } }),
      ),
    };
  },

  async incremented({ COUNTER }) {
    return { failed: await failure(() => COUNTER.getByName("lasting").incr(1)) };
  },

  async lasting({ COUNTER }) {
    return COUNTER.getByName("lasting").value();
  },
};

export default {
  async fetch(request, env) {
    const scenario = SCENARIOS[new URL(request.url).pathname.slice(1)];
    return Response.json(await scenario(env));
  },
};
