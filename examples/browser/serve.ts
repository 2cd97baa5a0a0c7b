// Serves the repository to browsers on this machine: `npm run build && npx tsx examples/browser/serve.ts [port]`.
// A page may only share memory between threads under these two headers; without them one thread does all the work.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";

const root = join(import.meta.dirname, "../..");
const types: Readonly<Record<string, string>> = { ".html": "text/html", ".js": "text/javascript" };
const headers = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

const server = createServer((request, response) => {
  const { pathname } = new URL(request.url ?? "/", "http://localhost");
  const type = types[extname(pathname)];
  // Pages and the build, and nothing above them: `normalize` resolves what would lead out.
  const path = normalize(pathname);
  const open = path.startsWith(join("/examples/browser/")) || path.startsWith(join("/dist/"));
  void (type !== undefined && open ? readFile(join(root, path)) : Promise.reject(new Error("not served"))).then(
    (body) => response.writeHead(200, { ...headers, "Content-Type": type }).end(body),
    () => response.writeHead(404).end("There is nothing here.\n"),
  );
});

server.listen(Number(process.argv[2] ?? 8080), "localhost", () => {
  const { port } = server.address() as AddressInfo;
  console.log(`http://localhost:${port}/examples/browser/index.html`);
});
