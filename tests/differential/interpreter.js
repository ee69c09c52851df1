// A Durable Object that does what scripts say; interpreter.py is its twin, and
// scripts.py says what the steps mean.
import { DurableObject } from "cloudflare:workers";

const fromWire = (value) => {
  if (Array.isArray(value)) return value.map(fromWire);
  if (value === null || typeof value !== "object") return value;
  const [tag, held] = Object.entries(value)[0] ?? [];
  switch (tag) {
    case "$bytes": return Uint8Array.from(held);
    case "$date": return new Date(held);
    case "$set": return new Set(held.map(fromWire));
    case "$float": return Number(held);
    case "$int": return BigInt(held);
    case "$text": return held[0].repeat(held[1]);
    case "$nothing": return undefined;
    case "$nested": {
      let inside = [];
      for (let n = 1; n < held; n++) inside = [inside];
      return inside;
    }
  }
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [key, fromWire(each)])
  );
};

const toWire = (value) => {
  if (value === undefined) return null;
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "string")
    return value.length > 1000 ? { $text: [value[0], value.length] } : value;
  if (typeof value === "bigint") return { $int: String(value) };
  if (typeof value === "number")
    return Number.isFinite(value) ? value : { $float: String(value) };
  if (value instanceof ArrayBuffer) value = new Uint8Array(value);
  if (value instanceof Uint8Array) return { $bytes: [...value] };
  if (value instanceof Date) return { $date: value.getTime() };
  if (value instanceof Set) return { $set: [...value].map(toWire) };
  if (value instanceof Map) return [...value].map((pair) => pair.map(toWire));
  if (Array.isArray(value)) return value.map(toWire);
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [key, toWire(each)])
  );
};

class Stopped extends Error {}

export class Interpreter extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    this.notes = [];
    this.doors = new Map();
    this.alarms = 0;
    ctx.blockConcurrencyWhile(async () => {
      const begin = await ctx.storage.get("$begin");
      if (begin) this.began = await this.run(begin, ctx.storage);
    });
  }

  async do(script) {
    return await this.run(script, this.ctx.storage);
  }

  async alarm(info) {
    this.alarms += 1;
    const script = (await this.ctx.storage.get("$alarm")) ?? [];
    this.notes.push(["alarm", info.retryCount, info.isRetry]);
    this.notes.push(await this.run(script, this.ctx.storage));
  }

  async fetch(request) {
    const { pathname } = new URL(request.url);
    switch (pathname) {
      case "/run":
        return Response.json(await this.run(await request.json(), this.ctx.storage));
      case "/answer": {
        const [body, status, headers] = fromWire(await request.json());
        return new Response(body, { status, headers });
      }
      case "/json": {
        const [value, status, headers] = fromWire(await request.json());
        return Response.json(value, { status, headers });
      }
      case "/move": return Response.redirect("http://else/where", 307);
      case "/twice":
        return Response.json([await request.text(), await request.text()]);
      case "/clone":
        return Response.json([await request.clone().text(), await request.text()]);
      case "/on": // to another, as it is
        if (await this.ctx.storage.get("$last")) break;
        return await this.env.INTERPRETER.getByName("the last").fetch(request);
      case "/nothing": return null;
      case "/text": return new Response(await request.text());
    }
    const { method, url, headers } = request;
    return Response.json([method, url, [...headers], await request.text()]);
  }

  door(name) {
    if (!this.doors.has(name)) {
      let open;
      const opened = new Promise((resolve) => (open = resolve));
      this.doors.set(name, { open, opened });
    }
    return this.doors.get(name);
  }

  async run(script, keys) {
    const trace = [];
    for (const step of script) {
      try {
        trace.push(toWire(await this.step(step, keys)));
      } catch (error) {
        if (error instanceof Stopped) throw error;
        trace.push("error");
      }
    }
    return trace;
  }

  async step([name, ...given], keys) {
    const storage = this.ctx.storage;
    const args = given.map(fromWire);
    switch (name) {
      case "get": case "put": case "delete": case "list":
        return await keys[name](...args);
      case "of storage":
        return await this.step(given[0], storage);
      case "unawaited":
        for (const each of given[0]) this.begin(each, keys);
        return null;
      case "kv": {
        const found = storage.kv[args[0]](...args.slice(1));
        return args[0] === "list" ? [...found] : found;
      }
      case "deleteAll": case "sync": case "deleteAlarm":
        return await storage[name]();
      case "setAlarm":
        return await storage.setAlarm(Date.now() + args[0]);
      case "getAlarm": {
        const due = await storage.getAlarm();
        return due === null ? null : Math.round((due - Date.now()) / 1000);
      }
      case "alarm is ahead":
        return (await storage.getAlarm()) > Date.now();
      case "sql": {
        const cursor = storage.sql.exec(...args);
        return [cursor.columnNames, [...cursor.raw()].map((row) => [...row])];
      }
      case "rows":
        return storage.sql.exec(...args).toArray();
      case "one":
        return storage.sql.exec(...args).one();
      case "written":
        return storage.sql.exec(...args).rowsWritten;
      case "transaction":
        return await storage.transaction((txn) => this.run(given[0], txn));
      case "kept transaction":
        await storage.transaction(async (txn) => { this.kept = txn; });
        return await this.run(given[0], this.kept);
      case "transactionSync":
        return storage.transactionSync(() => given[0].map((each) => this.now(each)));
      case "rollback":
        return keys.rollback();
      case "block":
        return await this.ctx.blockConcurrencyWhile(() => this.run(given[0], keys));
      case "note":
        return void this.notes.push(args[0]);
      case "notes": {
        const notes = this.notes;
        this.notes = [];
        return notes;
      }
      case "alarms": return this.alarms;
      case "began": return this.began ?? null;
      case "wait": return void (await this.door(args[0]).opened);
      case "open": return void this.door(args[0]).open();
      case "sleep":
        return void (await new Promise((resolve) => setTimeout(resolve, args[0])));
      case "background":
        return void this.ctx.waitUntil(this.run(given[0], keys));
      case "call":
        return await this.env.INTERPRETER.getByName(args[0]).do(given[1]);
      case "fetch": return await this.fetched(...args);
      case "throw": throw new Stopped(args[0]);
      case "abort": this.ctx.abort(args[0]);
    }
    throw new Stopped(`there is no step ${name}`);
  }

  async fetched(name, url, { times = 1, ...init } = {}) {
    const object = this.env.INTERPRETER.getByName(name);
    const answer = await object.fetch(url, init);
    const headers = [...answer.headers];
    const isJson = answer.headers.get("content-type") === "application/json";
    const read = [answer.bodyUsed];
    for (let n = 0; n < times; n++) {
      read.push(isJson ? await answer.json() : toWire(await answer.bytes()));
    }
    return [answer.status, answer.ok, headers, ...read, answer.bodyUsed];
  }

  begin([name, ...given], keys) {
    const args = given.map(fromWire);
    const doing = name === "setAlarm"
      ? this.ctx.storage.setAlarm(Date.now() + args[0])
      : keys[name](...args);
    doing.catch(() => null);
  }

  now([name, ...args]) {
    if (name === "throw") throw new Error(args[0]);
    const cursor = this.ctx.storage.sql.exec(...args.map(fromWire));
    return cursor.toArray();
  }
}

export default {
  async fetch(request, env) {
    const [name, scripts] = await request.json();
    const object = env.INTERPRETER.getByName(name);
    const traces = scripts.map(async (script) => {
      try {
        return await object.do(script);
      } catch (error) {
        return "raised";
      }
    });
    return Response.json(await Promise.all(traces));
  },
};
