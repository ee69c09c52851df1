// Serves the Worker of counter.js by miniflare: node miniflare.mjs PORT DIRECTORY
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.env.MINIFLARE}/`);
const { Miniflare } = await import(pathToFileURL(require.resolve("miniflare")));
const [port, directory] = process.argv.slice(2);

const miniflare = new Miniflare({
  host: "127.0.0.1",
  port: Number(port),
  modules: [
    {
      type: "ESModule",
      path: "counter.js",
      contents: readFileSync(new URL("counter.js", import.meta.url), "utf8"),
    },
  ],
  compatibilityDate: "2026-06-01",
  durableObjects: { COUNTER: { className: "Counter", useSQLite: true } },
  durableObjectsPersist: directory,
});
process.on("SIGTERM", () => miniflare.dispose().then(() => process.exit()));
