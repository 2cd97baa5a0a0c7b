/** The document is the law of the bytes: what it says of itself is checked against the code here. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { code, sectionsOf } from "../../codecs/code.ts";
import { codebookOf } from "../../codecs/codebook.ts";
import { defaultLimits } from "../../codecs/codec.ts";
import { methods } from "../../codecs/coded.ts";
import { pack, toWeights, unpack } from "../../codecs/container.ts";
import { crc32 } from "../../codecs/crc32.ts";
import { codeLengths, huffman } from "../../codecs/huffman.ts";
import { inspect } from "../../codecs/inspect.ts";
import { levels } from "../../codecs/levels.ts";
import { drawsOf } from "../../codecs/mrcl/draws.ts";
import { codeIndices, likelihoodTable } from "../../codecs/mrcl/indexCoder.ts";
import { MersenneTwister } from "../../codecs/mrcl/mersenneTwister.ts";
import { normalQuantile } from "../../codecs/mrcl/normalQuantile.ts";
import { sobolTable } from "../../codecs/mrcl/sobol.ts";
import { squareRoot } from "../../codecs/mrcl/squareRoot.ts";
import { Context, RangeEncoder } from "../../codecs/range.ts";
import { encodeSingle } from "../../codecs/rans.ts";
import { scaleOf } from "../../codecs/scale.ts";
import { sparse } from "../../codecs/sparse.ts";
import { sparseFloat32 } from "../../codecs/sparseFloat32.ts";
import { architectures, parametersOf } from "../../lib/architectures.ts";
import {
  type Key,
  normalTable,
  permutation,
  seedKey,
  STREAMS,
  threefry2x32,
  word,
} from "../../lib/random.ts";
import { log } from "../../lib/math.ts";
import { sizeOf } from "../../lib/shape.ts";
import type { Network } from "../../lib/network.ts";
import { readVectors } from "../vectors/vectors.ts";
import { encode } from "./laws.ts";

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

test("the worked file of codebooks is what the code writes and reads, byte by byte", () => {
  const rows = table(section("### 13.1 Codebooks"), "byte");
  const bytes = Uint8Array.from(Buffer.from(rows.map(([, hex]) => hex!.replaceAll(" ", "")).join(""), "hex"));
  const groups = [
    ["fc1.weight", "fc2.weight"],
    ["fc1.bias", "fc2.bias"],
  ];
  const metadata = [["made-by", "hand"]] as const;
  const sections = groups.map((tensors) => {
    const numbers = weights.filter(({ name }) => tensors.includes(name)).flatMap(({ values }) => [...values]);
    return { tensors, coded: code(codebookOf(Float32Array.from(numbers))) };
  });
  assert.deepEqual(pack({ network: xor, sections, metadata }), bytes);
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

/** The bytes in the table of a worked file. */
function bytesOf(heading: string): Uint8Array {
  const rows = table(section(heading), "byte");
  const bytes = Uint8Array.from(Buffer.from(rows.map(([, hex]) => hex!.replaceAll(" ", "")).join(""), "hex"));
  // Rows begin where they say, and where a field does.
  const starts = new Set(inspect(bytes).ranges.map(({ start }) => start));
  let at = 0;
  for (const [start, hex] of rows) {
    assert.equal(start, String(at), heading);
    assert.ok(starts.has(at), `${heading}: no field begins at byte ${at}`);
    at += hex!.split(" ").length;
  }
  assert.match(section(heading), new RegExp(`in ${bytes.length} bytes`));
  return bytes;
}

test("the worked file of levels is what the code writes and reads, bit by bit", () => {
  const heading = "### 13.2 Levels";
  const bytes = bytesOf(heading);
  const levels = weights.map(({ values }) => Int32Array.from(values));
  const coded = { method: "levels", scales: Uint8Array.of(192, 192, 192, 0), levels } as const;
  const tensors = weights.map(({ name }) => name);
  assert.deepEqual(pack({ network: xor, sections: [{ tensors, coded }] }), bytes);
  assert.deepEqual(toWeights(unpack(bytes)), weights);
  // The bits of the table, with their probabilities, are the bytes.
  const coder = new RangeEncoder();
  const bits = table(section(heading), "bits").flatMap(([bits]) => [...bits!.matchAll(/([01]) \((\d+)\)/g)]);
  for (const [, bit, zero] of bits) coder.code(Number(bit), Number(zero));
  assert.equal(hexOf(coder.finish()), hexOf(bytes.subarray(29, 32)));
});

test("the worked file of MIRACLE is what the code writes and reads, number by number", () => {
  const heading = "### 13.3 MIRACLE";
  const bytes = bytesOf(heading);
  const file = unpack(bytes);
  const tensors = ["fc1.weight", "fc1.bias"];
  const coded = {
    method: "miracle",
    shapes: [[2, 2], [2]],
    bits: 4,
    seed: 7,
    scales: Uint8Array.of(184, 160),
    indices: Uint32Array.of(5, 11),
  } as const;
  assert.deepEqual(pack({ network: file.network, sections: [{ tensors, coded }] }), bytes);
  const [matrix, bias] = toWeights(file).map(({ values }) => values);
  const rows = table(section(heading), "block");
  assert.equal(rows.length, 6);
  const normals = normalTable();
  for (const [block, place, scalar, element, drawn, entry, value] of rows) {
    const [tensor, number] = scalar!.split(" ");
    const z = entry!.split(": ");
    assert.equal(Number(element), 3 * coded.indices[Number(block)]! + Number(place));
    assert.equal(bitsOf(word(seedKey(7), STREAMS.candidates, Number(block), Number(element))), drawn);
    assert.equal(Number.parseInt(drawn!, 16) >>> 20, Number(z[0]));
    assert.equal(normals[Number(z[0])]!.toFixed(8), z[1]);
    assert.equal((tensor === "fc1.bias" ? bias! : matrix!)[Number(number)]!.toFixed(8), value);
  }
  const bits = (values: Float32Array): string => [...new Uint32Array(values.slice().buffer)].map(bitsOf).join(" ");
  assert.ok(section(heading).includes(`fc1.weight = ${bits(matrix!)} and fc1.bias = ${bits(bias!)}`));
});

function bitsOf(number: number): string {
  return number.toString(16).toUpperCase().padStart(8, "0");
}

test("the scales and the random numbers of the document are those of the code", () => {
  const constants = table(section("### 6.2 Scales"), "i");
  assert.equal(constants.length, 8);
  const bits = (value: number): string => bitsOf(new Uint32Array(Float32Array.of(value).buffer)[0]!);
  for (const [i, value, hex] of constants) {
    assert.deepEqual([bits(Number(value)), bits(scaleOf(192 + Number(i)))], [hex, hex]);
  }
  const random = section("### 6.3 Random numbers");
  const pair = (text: string): Key => text.split(" ").map((word) => Number.parseInt(word, 16)) as [number, number];
  const answers = table(random, "k0 k1");
  assert.equal(answers.length, 3);
  for (const [key, counter, words] of answers) {
    assert.equal(threefry2x32(pair(key!), pair(counter!)).map(bitsOf).join(" "), words);
  }
  const words = table(random, "key");
  assert.equal(words.length, 5);
  for (const [key, address, found] of words) {
    assert.equal(key, "(7, 0)");
    const [stream, block, element] = address!.split(", ").map(Number) as [number, number, number];
    assert.equal(bitsOf(word(seedKey(7), stream, block, element)), found);
  }
  const normals = normalTable();
  for (const [, i, hex] of random.matchAll(/normal\[(\d{4})\](?: is)? ([0-9A-F]{8})\b/g)) {
    assert.equal(bits(normals[Number(i)]!), hex);
  }
  assert.ok(random.includes(`CRC-32 ${bitsOf(crc32(littleEndian(normals)))}`));
  const scales = Float32Array.from({ length: 256 }, (_, k) => scaleOf(k));
  assert.ok(section("### 6.2 Scales").includes(`CRC-32 ${bitsOf(crc32(littleEndian(scales)))}`));
  const order = permutation(10, seedKey(7), { stream: 7, block: 2 });
  assert.ok(random.includes(`permutation(10, (7, 0), 7, 2) is ${[...order].join(" ")}.`));
});

test("the numbers of legacy codes in the document are those of the code", () => {
  const text = section("### 6.4 Numbers of legacy codes");
  const seeded = (): MersenneTwister => new MersenneTwister(53);
  const drawn = <T>(count: number, draw: (random: MersenneTwister) => T): string => {
    const random = seeded();
    return Array.from({ length: count }, () => draw(random)).join(" ");
  };
  const found: Record<string, string> = {
    "word()": drawn(4, (random) => bitsOf(random.word())),
    "uniform() instead": drawn(3, (random) => random.uniform()),
    "normal() instead": drawn(4, (random) => random.normal()),
    "permutation(10) instead": [...seeded().permutation(10)].join(" "),
    "ln(0.1), ln(0.7)": [0.1, 0.7].map(log).join(" "),
    "root(0.1), root(2)": [0.1, 2].map(squareRoot).join(" "),
  };
  const rows = table(text, "after `begin`");
  assert.deepEqual(Object.fromEntries(rows.map(([what, value]) => [what, value])), found);
  for (const [, n, d, value] of text.matchAll(/quantile\(([\d.]+)(?: \/ (\d+))?\) = (-[\d.]*\d)/g)) {
    assert.equal(String(normalQuantile(Number(n) / Number(d ?? 1))), value);
  }
  const sobol = sobolTable(40);
  const words = Uint32Array.from({ length: 1024 * 40 }, (_, i) => sobol(Math.floor(i / 40), i % 40));
  assert.ok(text.includes(`CRC-32 ${bitsOf(crc32(littleEndianWords(words)))}`));
  const row = Array.from({ length: 8 }, (_, column) => sobol(3, column) / 2 ** 30).join(" ");
  assert.ok(text.includes(`sobol(3, column) * 2^-30 is ${row} `));
  const draws = (candidates: "sobol" | "normal") => drawsOf({ candidates, block: 3, blocks: 3, scalars: 8, rows: 2 });
  const orders = (["sobol", "normal"] as const).map((candidates) => [...draws(candidates).order].join(" "));
  assert.ok(text.includes(`With N = 8 and P = 9 the orders are ${orders.join(" and ")}.`));
  const { candidate } = draws("normal");
  const two = [0, 1].map((k) => [0, 1, 2].map((j) => candidate(k, j).toFixed(7)).join(" "));
  assert.ok(text.replaceAll("\n", " ").includes(`are then ${two.join(" and ")}.`), two.join(" and "));
  const likelihood = likelihoodTable();
  const indices = section("### 7.8 Indices of legacy codes");
  assert.ok(indices.includes(`CRC-32 ${bitsOf(crc32(littleEndianWords(Uint32Array.from(likelihood))))}`));
  for (const [, n, value] of indices.matchAll(/likelihood\[(\d+)\] = (\d+)/g)) {
    assert.equal(String(likelihood[Number(n)]), value);
  }
});

test("the indices of legacy codes worked in the document are those of the code, bit by bit", () => {
  const text = section("### 7.8 Indices of legacy codes");
  const rows = table(text, "block");
  assert.equal(rows.length, 2);
  const common = { candidates: "sobol", block: 3 } as const;
  const given = Uint32Array.from(rows, ([, , index]) => Number(index));
  const encoder = new RangeEncoder();
  const bits: string[] = [];
  const coder = {
    code(bit: number, zero: number) {
      bits.push(`${bit} (${zero})`);
      return encoder.code(bit, zero);
    },
  };
  codeIndices({ ...common, shapes: [[2, 2], [2]], bits: 4, groups: [1, 1], coder, given });
  assert.equal(rows.map(([, bits]) => bits).join(", "), bits.join(", "));
  assert.ok(text.includes(`The byte \`${hexOf(encoder.finish())}\``));
  const { order, candidate } = drawsOf({ ...common, blocks: 2, scalars: 6, rows: 16 });
  assert.ok(text.includes(`order is ${[...order].join(" ")}.`));
  for (const [, , index, numbers] of rows) {
    assert.equal([0, 1, 2].map((j) => candidate(Number(index), j).toFixed(8)).join(" "), numbers);
  }
});

function littleEndianWords(values: Uint32Array): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  values.forEach((value, i) => new DataView(bytes.buffer).setUint32(4 * i, value, true));
  return bytes;
}

function littleEndian(values: Float32Array): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  values.forEach((value, i) => new DataView(bytes.buffer).setFloat32(4 * i, value, true));
  return bytes;
}

/** The text of a module of codecs/ and of all that it imports from there, but for what only types need. */
function reachable(name: string, seen = new Map<string, string>()): Map<string, string> {
  const text = readFileSync(`codecs/${name}`, "utf8");
  seen.set(name, text);
  const imports = text.matchAll(/^(?:import|export) (?!type )[^;]*? from "(\.[\w./]+\.ts)"/gm);
  for (const [, path] of imports) {
    const next = join(dirname(name), path!);
    if (!next.startsWith("..") && !seen.has(next)) reachable(next, seen);
  }
  return seen;
}

test("every code that a reader can refuse with is in the document, and no other", () => {
  const source = [...reachable("container.ts").values()].join("\n");
  const thrown = new Set([...source.matchAll(/(?:fail!?\(\s*|code: )"([a-z0-9-]+)"/g)].map(([, code]) => code!));
  // A limit that a reader sets for itself is no rule of the format.
  assert.ok(thrown.delete("limit-memory"));
  for (const limit of ["elements", "ratio", "classes"]) thrown.add(`limit-${limit}`);
  assert.deepEqual([...documentedCodes()].sort(), [...thrown].sort());
});

test("every code of the document has a vector, but for that of a file too large to keep", () => {
  const shown = new Set(readVectors("refused").map(({ code }) => code!));
  const without = [...documentedCodes()].filter((code) => !shown.has(code));
  assert.deepEqual(without.sort(), ["frame"]);
});

function documentedCodes(): Set<string> {
  const rows = table(section("## 11 What is refused"), "code");
  return new Set(rows.flatMap(([codes]) => codes!.replaceAll("`", "").split(", ")));
}

test("the limits of the document are those of the code", () => {
  const rows = table(section("## 10 Limits"), "limit");
  // What a reader allows itself is no business of the format.
  const law = Object.fromEntries(Object.entries(defaultLimits).filter(([name]) => name !== "memory"));
  assert.deepEqual(Object.fromEntries(rows.map(([name, value]) => [name, Number(value)])), law);
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

test("the examples of the coders are what the code writes", () => {
  const shows = (heading: string, bytes: Uint8Array): void => {
    assert.ok(section(heading).includes(`\`${hexOf(bytes)}\``), `${heading}: ${hexOf(bytes)}`);
  };
  const lengths = Uint8Array.of(1, 3, 3, 3, 3);
  assert.deepEqual(codeLengths([15, 7, 6, 6, 5]), lengths);
  const symbols = Uint16Array.of(0, 1, 0, 2, 0, 3, 0);
  shows("### 7.2 Huffman", encode(huffman({ count: 7, alphabet: 5 }), { lengths, symbols }));
  shows("### 7.3 rANS", encodeSingle(12, Uint32Array.of(2048, 1024, 1024), Uint16Array.of(0, 1, 0, 2)));
  const positions = Uint32Array.of(1, 4, 15);
  const forms = [{ kind: "relative", width: 3 }, { kind: "bitmap" }, { kind: "golomb", order: 1 }] as const;
  for (const form of forms) {
    shows("## 9 Sparse positions", encode(sparse({ length: 16 }), { form, positions }));
  }
  const values = Float32Array.of(1, -0);
  const places = { form: { kind: "bitmap" }, positions: Uint32Array.of(2, 4) } as const;
  const codec = sparseFloat32.codec([{ name: "numbers", shape: [6] }]);
  shows("### 5.6 Sparse float32 (tag 6)", encode(codec, { method: "sparse float32", length: 6, places, values }));
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

function hexOf(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0").toUpperCase()).join(" ");
}

test("the rows of bits under 7.4 are what the range coder writes", () => {
  const rows: Record<string, number[]> = {
    "64 bits, number i (from 0) being (i^2 mod 7) mod 2": Array.from({ length: 64 }, (_, i) => ((i * i) % 7) % 2),
    "100 zeros": new Array<number>(100).fill(0),
    "100 ones": new Array<number>(100).fill(1),
  };
  const found = table(section("### 7.4 Range coder"), "bits");
  assert.equal(found.length, 4);
  for (const [said, bytes] of found) {
    const context = new Context();
    const coder = new RangeEncoder();
    for (const bit of rows[said!] ?? said!.split(" ").map(Number)) context.code(coder, bit);
    assert.equal(hexOf(coder.finish()) || "none", bytes, said);
  }
});

test("the levels under 7.7 are spelled in the bytes that stand beside them", () => {
  const text = section("### 7.7 Levels");
  const row = (numbers: string): Int32Array => Int32Array.from(numbers.trim().split(" "), Number);
  const found = table(text, "shapes");
  assert.equal(found.length, 2);
  for (const [shapes, tensors, bytes] of found) {
    const codec = levels({ shapes: JSON.parse(`[${shapes}]`) as number[][] });
    assert.equal(hexOf(encode(codec, tensors!.split(";").map(row))), bytes);
  }
  const worked = encode(levels({ shapes: [[2, 2], [2]] }), [Int32Array.of(1, 0, -2, 1), Int32Array.of(0, 3)]);
  assert.ok(text.includes(`The bytes \`${hexOf(worked)}\` are the bits below`));
});
