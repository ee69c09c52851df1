// Counts visits: GET /NAME shows a counter, POST /NAME adds the number in the body.

export default {
  async fetch(request, env) {
    const name = decodeURIComponent(new URL(request.url).pathname.slice(1));
    const counter = env.COUNTER.getByName(name || "visits");
    try {
      const count = request.method === "POST"
        ? await counter.incr(Number(await request.text()))
        : await counter.value();
      return new Response(`${count}\n`);
    } catch (error) {
      const status = error.retryable ? 503 : 500;
      return new Response(`${error.name}: ${error.message}\n`, { status });
    }
  },
};
