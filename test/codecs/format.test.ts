/** The document is the law of the bytes: what it says of itself is checked against the code here. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { sectionsOf } from "../../codecs/code.ts";
import { defaultLimits } from "../../codecs/codec.ts";
import { methods } from "../../codecs/coded.ts";
import { pack, toWeights, unpack } from "../../codecs/container.ts";
import { inspect } from "../../codecs/inspect.ts";
import { architectures, parametersOf } from "../../lib/architectures.ts";
import { sizeOf } from "../../lib/shape.ts";
import type { Network } from "../../lib/network.ts";

const format = readFileSync("docs/format.md", "utf8");

/** The text from one heading to the next of its kind. */
function section(heading: string): string {
  const start = format.indexOf(`\n${heading}\n`);
  assert.ok(start >= 0, `no heading "${heading}"`);
  const level = heading.slice(0, heading.indexOf(" ") + 1);
  const end = format.indexOf(`\n${level}`, start + heading.length);
  return format.slice(start, end < 0 ? undefined : end);
}

/** The rows of the table whose first cell in the head is `head`. */
function table(text: string, head: string): string[][] {
  const lines = text.split("\n");
  const start = lines.findIndex((line) => line.startsWith(`| ${head} |`));
  assert.ok(start >= 0, `no table "${head}"`);
  const rows: string[][] = [];
  for (let i = start + 2; lines[i]?.startsWith("|"); i++) {
    rows.push(
      lines[i]!.split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  }
  return rows;
}

const xor: Network = {
  name: "xor",
  input: { height: 1, width: 2, channels: 1, scale: 1 / 255, offset: 0 },
  layers: [
    { type: "flatten" },
    { type: "dense", name: "fc1", units: 2, bias: true, activation: "relu" },
    { type: "dense", name: "fc2", units: 1, bias: true, activation: "none" },
  ],
  classes: ["0"],
};
const weights = [
  { name: "fc1.weight", shape: [2, 2], values: Float32Array.of(1, 1, 1, 1) },
  { name: "fc1.bias", shape: [2], values: Float32Array.of(0, -1) },
  { name: "fc2.weight", shape: [2, 1], values: Float32Array.of(1, -2) },
  { name: "fc2.bias", shape: [1], values: Float32Array.of(0) },
];

test("the worked file is what the code writes and reads, byte by byte", () => {
  const rows = table(section("## 13 A worked file"), "byte");
  const bytes = Uint8Array.from(Buffer.from(rows.map(([, hex]) => hex!.replaceAll(" ", "")).join(""), "hex"));
  const groups = [
    ["fc1.weight", "fc2.weight"],
    ["fc1.bias", "fc2.bias"],
  ];
  const metadata = [["made-by", "hand"]] as const;
  assert.deepEqual(pack({ network: xor, sections: sectionsOf(weights, { groups }), metadata }), bytes);
  const file = unpack(bytes);
  assert.deepEqual(file.network, xor);
  assert.deepEqual(toWeights(file), weights);
  assert.deepEqual(file.metadata, metadata);
  assert.deepEqual(
    inspect(bytes).ranges.map(({ start }) => String(start)),
    rows.map(([start]) => start),
  );
  assert.match(format, new RegExp(`in ${bytes.length} bytes`));
});

test("every code that can be refused is in the document, and no other", () => {
  const source = readdirSync("codecs")
    .filter((name) => name.endsWith(".ts"))
    .map((name) => readFileSync(`codecs/${name}`, "utf8"))
    .join("\n");
  const thrown = new Set([...source.matchAll(/(?:fail\(\s*|code: )"([a-z0-9-]+)"/g)].map(([, code]) => code!));
  for (const limit of ["elements", "memory", "ratio", "table", "classes"]) thrown.add(`limit-${limit}`);
  const documented = new Set(
    table(section("## 11 What is refused"), "code").flatMap(([codes]) => codes!.replaceAll("`", "").split(", ")),
  );
  assert.deepEqual([...documented].sort(), [...thrown].sort());
});

test("the limits of the document are those of the code", () => {
  const rows = table(section("## 10 Limits"), "limit");
  assert.deepEqual(Object.fromEntries(rows.map(([name, value]) => [name, Number(value)])), defaultLimits);
});

test("the architectures of the document are those of the code", () => {
  const rows = table(section("## 12 Known architectures"), "number").map(([number, name, , count]) => [
    number,
    name,
    count,
  ]);
  const known = architectures.map(({ number, network }) => {
    const count = parametersOf(network).reduce((sum, { shape }) => sum + sizeOf(shape), 0);
    return [String(number), `\`${network.name}\``, count.toLocaleString("en")];
  });
  assert.deepEqual(rows, known);
});

test("the methods of the document are those of the code", () => {
  const named = [...section("## 5 Methods").matchAll(/^### 5\.\d+ (.+) \(tag (\d+)\)$/gm)];
  assert.deepEqual(
    named.map(([, name, tag]) => [Number(tag), name!.toLowerCase()]),
    methods.map(({ tag, name }) => [tag, name]),
  );
});

test("what the document says of sizes is true", () => {
  const lenet5 = architectures[0]!.network;
  const zeros = parametersOf(lenet5).map(({ name, shape }) => ({
    name,
    shape,
    values: new Float32Array(sizeOf(shape)),
  }));
  const bytes = pack({ network: lenet5, sections: sectionsOf(zeros, { groups: [zeros.map(({ name }) => name)] }) });
  assert.equal(bytes.length, 11);
  assert.match(format, /an all-zero LeNet-5 takes 11 bytes/);
});
