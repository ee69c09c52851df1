// A binding that looks like a namespace of Durable Objects, and calls objects of kvnode.
//
//   env.COUNTER.getByName("a/b ü").incr(5)           any method; arguments as JSON
//   env.COUNTER.get(env.COUNTER.idFromName("x"))
//   env.COUNTER.get(env.COUNTER.newUniqueId())       a promise of an id is taken, too
//   env.COUNTER.get(env.COUNTER.idFromString(hex))
//   stub.fetch(request)
//   env.COUNTER.getByName("x", { idempotencyKey: "k1", deadlineMs: 1000 })
//   env.COUNTER.getByName("x", { locationHint: "europe" })
//
// Bytes (Uint8Array, ArrayBuffer) pass both ways.  What fails is an Error with
// `retryable`, `overloaded`, `remote` and `durableObjectReset` as Cloudflare's, and
// `maybeHappened`, which tells whether it may have been done.  There are no WebSockets.
//
// Other than there, ids are computed by the node: `newUniqueId()` is a promise, and an id
// of a name has its digits only after `await id.resolved()`.

const ORIGIN = "http://kvnode"; // every request goes to the bound service anyway

function failed({ name, message, retryable, overloaded, remote, maybe_happened }) {
  const error = new Error(message);
  return Object.assign(error, {
    name, retryable, overloaded, remote, maybeHappened: maybe_happened,
    durableObjectReset: name === "ObjectEndedError" && !remote,
  });
}

function base64(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return { base64: btoa(text) };
}

function sayBytes(_, value) {
  if (value instanceof ArrayBuffer) return base64(new Uint8Array(value));
  if (ArrayBuffer.isView(value)) {
    return base64(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
  }
  return value;
}

function hearBytes(_, value) {
  const isBytes = value !== null && typeof value === "object"
    && typeof value.base64 === "string" && Object.keys(value).length === 1;
  return isBytes ? Uint8Array.from(atob(value.base64), (c) => c.charCodeAt(0)) : value;
}

// The node's answer, or an Error if it is one of the node's own.
async function ask(node, url, init) {
  let response;
  try {
    response = await node.fetch(url, { redirect: "manual", ...init });
  } catch (error) {
    throw Object.assign(error, { maybeHappened: true }); // the connection is lost
  }
  const name = response.headers.get("kvnode-error");
  if (name === null) return response;
  const text = await response.text();
  const bare = { // all that an answer to HEAD says
    name, message: `status ${response.status}`, overloaded: false, remote: false,
    retryable: response.headers.has("retry-after"), maybe_happened: true,
  };
  throw failed(text ? JSON.parse(text).error : bare);
}

async function result(node, path, init) {
  const response = await ask(node, ORIGIN + path, init);
  return JSON.parse(await response.text(), hearBytes).result;
}

class ObjectId {
  #space;
  #digits;

  constructor(space, { name, digits }) {
    this.#space = space;
    this.#digits = digits;
    this.name = name;
  }

  // Asks the node for the digits, and whether they are an id of this class.
  async resolved() {
    const found = await result(this.#space.node, `${this.path}/id`, {});
    this.#digits = found.id;
    return this;
  }

  toString() {
    if (this.#digits === undefined) {
      throw new Error("the node computes the digits: await id.resolved() first");
    }
    return this.#digits;
  }

  equals(other) {
    return this.path === other.path || this.toString() === other.toString();
  }

  get path() {
    const which = this.name === undefined
      ? `id/${this.#digits}` : encodeURIComponent(this.name);
    return `/v1/objects/${this.#space.className}/${which}`;
  }
}

class Stub {
  constructor(space, id, { idempotencyKey, deadlineMs, locationHint } = {}) {
    this.space = space;
    this.id = id;
    this.headers = {};
    if (idempotencyKey) this.headers["idempotency-key"] = idempotencyKey;
    if (locationHint) this.headers["kvnode-location-hint"] = locationHint;
    if (deadlineMs) this.headers["kvnode-deadline-ms"] = String(deadlineMs);
  }

  async call(method, args) {
    const path = `${(await this.id).path}/call/${encodeURIComponent(method)}`;
    const headers = { ...this.headers, "content-type": "application/json" };
    const body = JSON.stringify(args, sayBytes);
    return result(this.space.node, path, { method: "POST", headers, body });
  }

  async fetch(input, init) {
    const request = new Request(input, init);
    if (request.headers.has("upgrade")) {
      throw new TypeError("kvnode passes no WebSockets on");
    }
    const url = new URL(request.url);
    const headers = new Headers(request.headers);
    headers.set("x-forwarded-proto", url.protocol.slice(0, -1));
    for (const [name, value] of Object.entries(this.headers)) headers.set(name, value);
    const { method, body } = request;
    // The host is what the object sees, and the path is put behind its own.
    const target = `http://${url.host}${(await this.id).path}/fetch`;
    return ask(this.space.node, `${target}${url.pathname}${url.search}`, {
      method, headers, body,
    });
  }
}

// A stub whose every property that is not its own is a method of the object.
function proxied(stub) {
  return new Proxy(stub, {
    get(target, property) {
      if (property === "id") return target.id;
      if (property === "name") return target.id.name;
      if (property === "fetch") return (...args) => target.fetch(...args);
      // A promise that resolves to a stub asks whether that is one itself.
      if (typeof property === "symbol" || property === "then") return undefined;
      return (...args) => target.call(property, args);
    },
  });
}

class Namespace {
  #space;

  constructor(space) {
    this.#space = space;
  }

  idFromName(name) {
    const text = String(name);
    if (text === "." || text === "..") {
      throw new TypeError("URLs cannot hold the names . and ..: use an id");
    }
    return new ObjectId(this.#space, { name: text });
  }

  idFromString(digits) {
    if (!/^[0-9a-f]{64}$/.test(digits)) {
      throw new TypeError(`an id has 64 hexadecimal digits, unlike ${digits}`);
    }
    return new ObjectId(this.#space, { digits });
  }

  async newUniqueId() {
    const path = `/v1/objects/${this.#space.className}/ids`;
    const { id } = await result(this.#space.node, path, { method: "POST" });
    return new ObjectId(this.#space, { digits: id });
  }

  get(id, options) {
    return proxied(new Stub(this.#space, id, options));
  }

  getByName(name, options) {
    return this.get(this.idFromName(name), options);
  }
}

export default ({ node, className }) => new Namespace({ node, className });
