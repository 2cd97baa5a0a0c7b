#!/usr/bin/env node
// Starts the command line: from source in a clone (so that an old build is never what runs), from dist once installed.
import { existsSync } from "node:fs";

if (Number.parseInt(process.versions.node, 10) < 20) {
  console.error(`kilonet: needs Node 20 or newer, this is ${process.versions.node}`);
  process.exit(1);
}

const source = new URL("./main.ts", import.meta.url);

async function load() {
  if (!existsSync(source)) return import("../dist/bin/main.js");
  const tsx = await import("tsx/esm/api").catch((error) => {
    if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
    console.error("kilonet: its tools are not installed here, run: npm ci");
    process.exit(1);
  });
  tsx.register();
  return import(source.href);
}

const { main } = await load();
process.exitCode = await main(process.argv.slice(2));
