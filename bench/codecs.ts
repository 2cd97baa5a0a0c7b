/**
 * Sizes and speeds of the entropy coders, beside what Node brings along: `npm run bench:codecs`, or
 * `node --import tsx bench/codecs.ts --rounds 40`. Prints Markdown. Every round runs each candidate once, one after the
 * other, and speeds are compared inside a round, so that a busy machine slows both sides of a ratio. A figure is the
 * median of all rounds; in brackets the 10th and the 90th percentile.
 */
import os from "node:os";
import zlib from "node:zlib";
import { findMnist, openData } from "../bin/node/index.ts";
import { ByteReader, ByteWriter } from "../codecs/bytes.ts";
import { Budget, type Codec } from "../codecs/codec.ts";
import { chooseHuffman, huffman } from "../codecs/huffman.ts";
import { codedBits, levels } from "../codecs/levels.ts";
import { type BitCoder, Context, RangeDecoder, RangeEncoder } from "../codecs/range.ts";
import { applyMasks, prune } from "../codecs/prune.ts";
import { chooseRans, rans } from "../codecs/rans.ts";
import { chooseSparse, nonzeroPositions, sparse } from "../codecs/sparse.ts";
import { createRuntime, parametersOf } from "../lib/index.ts";
import { fit, lenet300, lenet5 } from "../models/index.ts";
import { bellSymbols, entropyBytes, prunedNetwork, uniforms } from "../test/codecs/yardstick.ts";

const rounds = roundsAsked(process.argv.slice(2));

function roundsAsked(words: string[]): number {
  if (words.length === 0) return 40;
  const count = Number(words[1]);
  if (words.length !== 2 || words[0] !== "--rounds" || !Number.isInteger(count) || count < 5) {
    console.error("usage: bench/codecs.ts [--rounds N], N a whole number from 5");
    process.exit(2);
  }
  return count;
}

function encode<T>(codec: Codec<T>, value: T): Uint8Array {
  const to = new ByteWriter();
  codec.write(value, to);
  return to.finish();
}

function decode<T>(codec: Codec<T>, bytes: Uint8Array): T {
  const from = new ByteReader(bytes);
  const value = codec.read(from, new Budget({}, from));
  from.finish();
  return value;
}

/** Seconds of each candidate in each round, after a third of the rounds to warm up. */
function race(candidates: Record<string, () => unknown>): Record<string, number[]> {
  const seconds: Record<string, number[]> = {};
  for (const name of Object.keys(candidates)) seconds[name] = [];
  for (let round = -Math.ceil(rounds / 3); round < rounds; round++) {
    for (const [name, run] of Object.entries(candidates)) {
      const start = process.hrtime.bigint();
      run();
      if (round >= 0) seconds[name]!.push(Number(process.hrtime.bigint() - start) / 1e9);
    }
  }
  return seconds;
}

function spread(values: number[], digits: number): string {
  const sorted = values.slice().sort((a, b) => a - b);
  const at = (part: number): string => sorted[Math.round(part * (sorted.length - 1))]!.toFixed(digits);
  return `${at(0.5)} (${at(0.1)} to ${at(0.9)})`;
}

const perSecond = (count: number, seconds: number[]): string =>
  spread(
    seconds.map((s) => count / s / 1e6),
    1,
  );
const ratio = (seconds: number[], yardstick: number[]): string =>
  spread(
    seconds.map((s, i) => yardstick[i]! / s),
    2,
  );

function table(header: string[], rows: string[][]): void {
  console.log(`\n| ${header.join(" | ")} |\n|${" --- |".repeat(header.length)}`);
  for (const row of rows) console.log(`| ${row.join(" | ")} |`);
}

const brotli = (bytes: Uint8Array): number =>
  zlib.brotliCompressSync(bytes, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 11 } }).length;
const gzip = (bytes: Uint8Array): number => zlib.gzipSync(bytes, { level: 9 }).length;
/** Where this Node has it (22.15, 23.8 and later). */
const zstd = (bytes: Uint8Array): number | undefined => {
  const { zstdCompressSync } = zlib as { zstdCompressSync?: (bytes: Uint8Array, options: object) => Uint8Array };
  return zstdCompressSync?.(bytes, { params: { 100: 19 } }).length;
};

console.log(`Node ${process.version}, ${os.cpus()[0]?.model.trim()}, ${os.cpus().length} cores, ${rounds} rounds.`);
bell();
bits();
tree();
await networks();
positions();

/** The yardstick of section 7 and 8: symbols of a bell curve. */
function bell(): void {
  const count = 431_080;
  const symbols = bellSymbols(count);
  const raw = Uint8Array.from(symbols);
  const entropy = entropyBytes(symbols);
  const huffmanOnly = { strategy: zlib.constants.Z_HUFFMAN_ONLY, level: 6 };
  const deflated = zlib.deflateRawSync(raw, huffmanOnly);

  const ours = {
    Huffman: { codec: huffman({ count, alphabet: 32 }) as Codec<never>, value: chooseHuffman(symbols, 32) as never },
    "rANS, interleaved": {
      codec: rans({ count, alphabet: 32 }) as Codec<never>,
      value: chooseRans(symbols, 32) as never,
    },
    "rANS, single": {
      codec: rans({ count, alphabet: 32 }) as Codec<never>,
      value: { ...chooseRans(symbols, 32), form: "single" } as never,
    },
  };
  const candidates: Record<string, () => unknown> = {
    deflate: () => zlib.deflateRawSync(raw, huffmanOnly),
    inflate: () => zlib.inflateRawSync(deflated),
  };
  const sizes: [string, number][] = [];
  for (const [name, { codec, value }] of Object.entries(ours)) {
    const bytes = encode(codec, value);
    sizes.push([name, bytes.length]);
    candidates[`${name} write`] = () => encode(codec, value);
    candidates[`${name} read`] = () => decode(codec, bytes);
  }
  const seconds = race(candidates);

  console.log(
    `\n## ${count.toLocaleString("en")} symbols clamp(floor(4 z) + 16, 0, 31), entropy ${Math.round(entropy)} bytes`,
  );
  const over = (size: number): string[] => [String(size), `${(100 * (size / entropy - 1)).toFixed(3)} %`];
  table(
    ["coder", "bytes", "over entropy", "write, M symbols/s", "to deflate", "read, M symbols/s", "to inflate"],
    [
      ...sizes.map(([name, size]) => [
        name,
        ...over(size),
        perSecond(count, seconds[`${name} write`]!),
        ratio(seconds[`${name} write`]!, seconds["deflate"]!),
        perSecond(count, seconds[`${name} read`]!),
        ratio(seconds[`${name} read`]!, seconds["inflate"]!),
      ]),
      [
        "zlib, Huffman only",
        ...over(deflated.length),
        perSecond(count, seconds["deflate"]!),
        "1",
        perSecond(count, seconds["inflate"]!),
        "1",
      ],
      ["gzip -9", ...over(gzip(raw)), "", "", "", ""],
      ["brotli 11", ...over(brotli(raw)), "", "", "", ""],
      ["zstd 19", ...(zstd(raw) === undefined ? ["not in this Node", ""] : over(zstd(raw)!)), "", "", "", ""],
    ],
  );
}

/** The plain range coder: one context, one bit in ten set. */
function bits(): void {
  const count = 1_000_000;
  const uniform = uniforms(5);
  const row = Uint8Array.from({ length: count }, () => Number(uniform() < 0.1));
  const write = (): Uint8Array => {
    const coder = new RangeEncoder();
    const context = new Context();
    for (let i = 0; i < count; i++) context.code(coder, row[i]!);
    return coder.finish();
  };
  const bytes = write();
  const read = (): void => {
    const from = new ByteReader(bytes);
    const coder = new RangeDecoder(from);
    const context = new Context();
    for (let i = 0; i < count; i++) context.code(coder, 0);
    coder.finish(from);
  };
  const seconds = race({ write, read });
  console.log(`\n## Range coder, one adaptive context, ${count.toLocaleString("en")} bits of which a tenth is 1`);
  table(
    ["bytes", "over entropy", "write, M bits/s", "read, M bits/s"],
    [
      [
        String(bytes.length),
        `${(100 * (bytes.length / entropyBytes(row) - 1)).toFixed(2)} %`,
        perSecond(count, seconds["write"]!),
        perSecond(count, seconds["read"]!),
      ],
    ],
  );
}

/**
 * LeNets that were trained on MNIST for three epochs, pruned to a share, trained for two more, and rounded to an even
 * grid of a third of the root mean square of what is left.
 */
async function trainedNetworks(): Promise<(readonly [string, readonly (readonly number[])[], Int32Array[]])[]> {
  if ((await findMnist()) === null) {
    console.log("\nMNIST is not there (see KILONET_DATA): no trained networks.");
    return [];
  }
  const { training } = await (await openData("mnist")).learning();
  const found = [];
  for (const [network, kept] of [
    [lenet300, 0.08],
    [lenet5, 0.08],
  ] as const) {
    const runtime = await createRuntime();
    const options = { runtime, network, data: { train: training }, seed: 1 };
    const { weights } = await fit({ ...options, epochs: 3 });
    const masks = prune(weights, { share: kept });
    const pruned = await fit({ ...options, epochs: 2, weights: applyMasks(weights, masks), masks });
    await runtime.close();
    const levels = pruned.weights.map(({ values }) => {
      const left = values.filter((value) => value !== 0);
      const step = Math.sqrt(left.reduce((sum, value) => sum + value * value, 0) / left.length) / 3;
      return Int32Array.from(values, (value) => Math.round(value / step));
    });
    found.push([`${network.name}, trained`, parametersOf(network).map(({ shape }) => shape), levels] as const);
  }
  return found;
}

/** The yardstick's symbols by the range coder: five adaptive bits each, from the highest, each in its own context. */
function tree(): void {
  const symbols = bellSymbols(431_080);
  const walk = (coder: BitCoder, given: Uint16Array | null): void => {
    const contexts = Array.from({ length: 32 }, () => new Context());
    for (let i = 0; i < symbols.length; i++) {
      let node = 1;
      for (let place = 4; place >= 0; place--) {
        node = 2 * node + contexts[node]!.code(coder, given === null ? 0 : (given[i]! >> place) & 1);
      }
    }
  };
  const write = (): Uint8Array => {
    const coder = new RangeEncoder();
    walk(coder, symbols);
    return coder.finish();
  };
  const bytes = write();
  const read = (): void => {
    const from = new ByteReader(bytes);
    const coder = new RangeDecoder(from);
    walk(coder, null);
    coder.finish(from);
  };
  const seconds = race({ write, read });
  console.log("\n## Range coder, the yardstick's symbols as five adaptive bits each");
  table(
    ["bytes", "over entropy", "write, M symbols/s", "read, M symbols/s"],
    [
      [
        String(bytes.length),
        `${(100 * (bytes.length / entropyBytes(symbols) - 1)).toFixed(2)} %`,
        perSecond(symbols.length, seconds["write"]!),
        perSecond(symbols.length, seconds["read"]!),
      ],
    ],
  );
}

/** Levels as pruning and quantization leave them. */
async function networks(): Promise<void> {
  console.log("\n## Levels of pruned, quantized networks, bytes");
  const dense = [[784, 300], [300], [300, 100], [100], [100, 10], [10]];
  const small = [[5, 5, 1, 6], [6], [5, 5, 6, 12], [12], [192, 20], [20], [20, 10], [10]];
  const rows: string[][] = [];
  const speeds: string[][] = [];
  for (const [name, shapes, network] of [
    ["LeNet-5, live part, synthetic", small, prunedNetwork(small)],
    ["LeNet-300-100, synthetic", dense, prunedNetwork(dense)],
    ...(await trainedNetworks()),
  ] as const) {
    const inHuffman = network.reduce((sum, row) => sum + huffmanBytes(row), 0);
    const nonzero = network.reduce((sum, row) => {
      const values = row.filter((value) => value !== 0);
      const places = chooseSparse(nonzeroPositions(row), row.length);
      return (
        sum + encode(sparse({ length: row.length }), places).length + (values.length > 0 ? huffmanBytes(values) : 0)
      );
    }, 0);
    const bytes = encode(levels({ shapes }), network);
    const raw = Uint8Array.from(network.flatMap((row) => [...row].map((value) => value & 255)));
    const decisions = countDecisions(shapes, network);
    rows.push([
      name,
      String(raw.length),
      String(bytes.length),
      `${(100 * (1 - bytes.length / inHuffman)).toFixed(1)} %`,
      String(inHuffman),
      String(nonzero),
      String(gzip(raw)),
      String(brotli(raw)),
      String(zstd(raw) ?? "not in this Node"),
    ]);
    const seconds = race({
      write: () => encode(levels({ shapes }), network),
      read: () => decode(levels({ shapes }), bytes),
      price: () => codedBits(shapes, network),
    });
    speeds.push([
      name,
      String(decisions),
      perSecond(decisions, seconds["write"]!),
      perSecond(decisions, seconds["read"]!),
      perSecond(raw.length, seconds["read"]!),
      spread(
        seconds["price"]!.map((s) => 1000 * s),
        2,
      ),
    ]);
  }
  table(
    ["network", "levels", "mixed", "below Huffman", "Huffman", "gaps + Huffman", "gzip -9", "brotli 11", "zstd 19"],
    rows,
  );
  table(
    ["network", "binary decisions", "write, M decisions/s", "read, M decisions/s", "read, M levels/s", "codedBits, ms"],
    speeds,
  );
}

function huffmanBytes(row: Int32Array): number {
  const lowest = row.reduce((least, value) => Math.min(least, value), 0);
  const symbols = Uint16Array.from(row, (value) => value - lowest);
  const alphabet = symbols.reduce((most, symbol) => Math.max(most, symbol), 0) + 1;
  return encode(huffman({ count: row.length, alphabet }), chooseHuffman(symbols, alphabet)).length;
}

/** Bits that the mixed coder decides, the flags of live units apart. */
function countDecisions(shapes: readonly (readonly number[])[], network: Int32Array[]): number {
  let decisions = 0;
  for (const [t, row] of network.entries()) {
    const outputs = shapes[t]!.at(-1)!;
    const inputs = shapes[t]!.at(-2) ?? 1;
    const isBias = shapes[t]!.length === 1;
    const liveOutputs = new Set<number>();
    const liveInputs = new Set<number>();
    row.forEach((value, k) => {
      if (value === 0 && !isBias) return;
      liveOutputs.add(k % outputs);
      liveInputs.add(Math.floor(k / outputs) % inputs);
      decisions += value === 0 ? 0 : 1 + Math.min(14, Math.abs(value));
    });
    decisions += (row.length / inputs / outputs) * liveInputs.size * liveOutputs.size;
  }
  return decisions;
}

/** Positions taken at random, at several densities. */
function positions(): void {
  const length = 431_080;
  console.log(`\n## Positions taken among ${length.toLocaleString("en")}, at random`);
  const rows: string[][] = [];
  for (const density of [0.5, 0.2, 0.08, 0.02, 0.005]) {
    const uniform = uniforms(9);
    const taken = Uint8Array.from({ length }, () => Number(uniform() < density));
    const value = chooseSparse(nonzeroPositions(taken), length);
    const form = value.form.kind === "golomb" ? `golomb ${value.form.order}` : value.form.kind;
    const bitmap = encode(sparse({ length }), { form: { kind: "bitmap" }, positions: value.positions }).subarray(4);
    rows.push([
      String(density),
      form,
      String(encode(sparse({ length }), value).length),
      String(Math.round(entropyBytes(taken))),
      String(gzip(bitmap)),
      String(brotli(bitmap)),
    ]);
  }
  table(["density", "form chosen", "bytes", "entropy", "bitmap, gzip -9", "bitmap, brotli 11"], rows);
}
