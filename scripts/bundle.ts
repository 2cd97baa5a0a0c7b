// Bundles the doors of the package and its command line into `dist`, next to the declarations that `tsc` has put there:
// `npm run build`. What several doors need lies in files that they share, so that a tensor is the same class behind all
// of them, and only what is imported lazily (gpu.js and our backend for it) is not loaded with its door. Names and
// layout stay: the output is to be read, and it needs no source map for that.

import { build } from "esbuild";

const entries = ["lib/index", "codecs/index", "models/index", "bin/node/index", "bin/main"];

await build({
  entryPoints: entries.map((entry) => ({ in: `${entry}.ts`, out: entry })),
  outdir: "dist",
  chunkNames: "shared/[hash]",
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "neutral",
  packages: "external",
  external: ["node:*"],
  target: "es2022",
  logLevel: "warning",
});
