// The counter of tests/system/shop.py as a Durable Object, and a Worker that calls it.
import { DurableObject } from "cloudflare:workers";

export class Counter extends DurableObject {
  async increment(by = 1) {
    const value = ((await this.ctx.storage.get("value")) ?? 0) + by;
    await this.ctx.storage.put("value", value);
    return value;
  }
}

export default {
  async fetch(request, env) {
    const name = new URL(request.url).pathname.slice(1);
    return new Response(String(await env.COUNTER.getByName(name).increment()));
  },
};
