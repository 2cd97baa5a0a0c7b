// What the page is served from, and where it sends what it found.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";

const root = join(import.meta.dirname, "../..");
const types: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".knet": "application/octet-stream",
};
/** The pages, the build, gpu.js as it comes for browsers, and files of networks. */
const open = ["test/browser/", "examples/browser/", "dist/", "node_modules/gpu.js/dist/gpu-browser.js", "models/zoo/"];
/** Without these two a page may not share memory between threads. */
const isolated = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

export interface Serving {
  readonly origin: string;
  close(): void;
}

/** Serves until closed. `report` is given what pages post, parsed. Whatever lies under `/alone/` lacks the headers. */
export async function serve(report: (message: unknown) => void): Promise<Serving> {
  const server = createServer((request, response) => {
    const answer = async (): Promise<void> => {
      const { pathname } = new URL(request.url ?? "/", "http://localhost");
      if (request.method === "POST") {
        let text = "";
        for await (const part of request.setEncoding("utf8")) text += part;
        report(JSON.parse(text));
        response.writeHead(204).end();
        return;
      }
      const isAlone = pathname.startsWith("/alone/");
      const path = normalize(isAlone ? pathname.slice("/alone".length) : pathname).slice(1);
      const type = types[extname(path)];
      if (type === undefined || !open.some((start) => path.startsWith(start))) throw new Error("not served");
      const body = await readFile(join(root, path));
      response.writeHead(200, { ...(isAlone ? {} : isolated), "Content-Type": type }).end(body);
    };
    answer().catch((error: unknown) => response.writeHead(404).end(`${String(error)}\n`));
  });
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  const { port } = server.address() as AddressInfo;
  return { origin: `http://localhost:${port}`, close: () => void server.close() };
}
