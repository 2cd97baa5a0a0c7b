/**
 * Two decoders of one document: ours, and decoder.py, which knows nothing but docs/format.md. Whatever they are given
 * must mean the same to both: the same tensors, bit for bit, or the same refusal, at the same byte. Python decodes
 * everything in one process, so that thousands of files take seconds.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { endianness } from "node:os";
import { test } from "node:test";
import fc from "fast-check";
import type { Coded } from "../../codecs/coded.ts";
import { crc32 } from "../../codecs/crc32.ts";
import { FormatError, pack, toWeights, unpack } from "../../codecs/index.ts";
import { lenet5, parametersOf, softmax } from "../../lib/architectures.ts";
import type { Network } from "../../lib/network.ts";
import { sizeOf } from "../../lib/shape.ts";
import { files } from "../codecs/arbitraries.ts";
import { prunedNetwork, uniforms } from "../codecs/yardstick.ts";
import { graphFile } from "../vectors/pieces.ts";
import { readVectors } from "../vectors/vectors.ts";

interface Accepted {
  readonly ok: true;
  readonly network: string;
  readonly tensors: readonly { readonly name: string; readonly shape: readonly number[]; readonly sha256: string }[];
  /** Whether what was read is written as the same bytes (section 1.7). */
  readonly rewritten: boolean;
}

interface Refused {
  readonly ok: false;
  readonly code: string;
  readonly offset: number;
}

type Verdict = Accepted | Refused;

/** An input, and where it came from in a few words. */
interface Input {
  readonly from: string;
  readonly bytes: Uint8Array;
}

const seed = 4;
const generated = fc
  .sample(files, { numRuns: 300, seed })
  .map((file, i): Input => ({ from: `file ${i} of seed ${seed}`, bytes: pack(file) }));
const mutated = mutations(generated, 2000);
const wild = wildSections(1500);
const whole = wholeNetworks();
const large = [manyNumbers()];
const accepted = readVectors("accepted").map(({ name, bytes }): Input => ({ from: `accepted/${name}`, bytes }));
const refused = readVectors("refused");

const found = spawnSync("python3", ["--version"]);
const missing = found.status !== 0 && process.env.CI !== "true";
const skip = missing && "python3 is not there to run the second decoder";
const [ofAccepted, ofRefused, ofGenerated, ofMutated, ofWild, ofWhole, ofLarge] = missing
  ? []
  : secondOpinions(accepted, refused, generated, mutated, wild, whole, large);

test("both decoders find the same tensors in each accepted vector", { skip }, () => {
  assert.ok(accepted.length >= 76);
  for (const [i, input] of accepted.entries()) agreeOnAccepted(input, ofAccepted![i]!);
});

test("both decoders refuse each refused vector with its code, at its byte", { skip }, () => {
  assert.ok(refused.length >= 256);
  for (const [i, { name, bytes, code, offset }] of refused.entries()) {
    const theirVerdict = ofRefused![i]!;
    assert.deepEqual(theirVerdict, { ok: false, code, offset }, `${name}, decoder.py`);
    agree({ from: `refused/${name}`, bytes }, theirVerdict);
  }
});

test("both decoders find the same tensors in files with random choices", { skip }, () => {
  for (const [i, input] of generated.entries()) agreeOnAccepted(input, ofGenerated![i]!);
});

test("both decoders find the same tensors in networks of the usual sizes", { skip }, () => {
  for (const [i, input] of whole.entries()) agreeOnAccepted(input, ofWhole![i]!);
});

test("both decoders refuse a legacy code of more than 2^24 numbers, which no small file declares", { skip }, () => {
  const codes = agreeOnAll(large, ofLarge!);
  assert.deepEqual([...codes.keys()], ["legacy-size"]);
});

test("both decoders say the same of mutated files", { skip }, () => {
  const codes = agreeOnAll(mutated, ofMutated!);
  // The mutations reach past the checksums: most rules are met, and none drowns the others.
  assert.ok(codes.size >= 30, `only ${[...codes.keys()].join(" ")}`);
  assert.ok(Math.max(...codes.values()) < mutated.length / 2, JSON.stringify([...codes]));
});

test("both decoders say the same of sections made of any bytes", { skip }, () => {
  const codes = agreeOnAll(wild, ofWild!);
  const levels = ["levels-live", "levels-scale", "range-end"];
  const legacy = ["legacy-form", "legacy-groups", "legacy-scale"];
  const deep = ["sparse-zero", ...levels, "miracle-form", "miracle-live", "miracle-groups", ...legacy];
  for (const code of ["accepted", ...deep]) assert.ok(codes.has(code), `no ${code}: ${[...codes.keys()].join(" ")}`);
});

/** How often either code was the verdict of both. */
function agreeOnAll(inputs: readonly Input[], verdicts: readonly Verdict[]): Map<string, number> {
  const codes = new Map<string, number>();
  for (const [i, input] of inputs.entries()) {
    const verdict = verdicts[i]!;
    const said = verdict.ok ? "accepted" : verdict.code;
    codes.set(said, (codes.get(said) ?? 0) + 1);
    agree(input, verdict);
  }
  return codes;
}

function agreeOnAccepted(input: Input, verdict: Verdict): void {
  assert.ok(verdict.ok, `${input.from}: decoder.py refuses it: ${JSON.stringify(verdict)}`);
  agree(input, verdict);
}

function agree({ from, bytes }: Input, verdict: Verdict): void {
  const ours = ourVerdict(bytes);
  const where = `${from}, decoder.py beside ours: ${Buffer.from(bytes).toString("hex")}`;
  if (ours.ok || verdict.ok) {
    assert.deepEqual(verdict, ours, where);
    assert.ok(verdict.ok && verdict.rewritten, `${from}: written as other bytes`);
  } else {
    assert.equal(verdict.code, ours.code, where);
    assert.equal(verdict.offset, ours.offset, `${ours.code}, ${where}`);
    assert.ok(ours.offset <= bytes.length, where);
  }
}

function ourVerdict(bytes: Uint8Array): Verdict {
  try {
    const file = unpack(bytes);
    const tensors = toWeights(file).map(({ name, shape, values }) => ({
      name,
      shape: [...shape],
      sha256: createHash("sha256").update(littleEndian(values)).digest("hex"),
    }));
    return { ok: true, network: file.network.name, tensors, rewritten: Buffer.compare(pack(file), bytes) === 0 };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return { ok: false, code: error.code, offset: error.offset };
  }
}

function littleEndian(values: Float32Array): Buffer {
  const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  return endianness() === "LE" ? bytes : Buffer.from(bytes).swap32();
}

/** Whatever decoder.py says of each of several lists of inputs. */
function secondOpinions(...lists: readonly { readonly bytes: Uint8Array }[][]): Verdict[][] {
  const inputs = lists.flat();
  const lines = inputs.map(({ bytes }) => `${Buffer.from(bytes).toString("hex")}\n`).join("");
  const run = spawnSync("python3", ["test/spec/verdict.py", "--hex"], { input: lines, maxBuffer: 2 ** 28 });
  assert.equal(run.status, 0, `decoder.py: ${run.error?.message ?? run.stderr.toString()}`);
  const verdicts = run.stdout.toString().trimEnd().split("\n");
  assert.equal(verdicts.length, inputs.length);
  let start = 0;
  return lists.map(({ length }) => {
    const ofList = verdicts.slice(start, (start += length));
    return ofList.map((line) => JSON.parse(line) as Verdict);
  });
}

/** A matrix of 4096 * 4097 numbers, before as many bytes as a file that declares them has at least. */
function manyNumbers(): Input {
  const bytes = graphFile("01 78 8020 01 01 00 02 04 02 00 00 8120 00", `1c 00 28 ${"00".repeat(16400)}`);
  return { from: "many numbers", bytes };
}

/** What small files do not reach: levels until the bounds of mixing are met, many blocks of unequal tensors. */
function wholeNetworks(): Input[] {
  const widths: Record<string, number> = { conv1: 6, conv2: 12, fc1: 20, fc2: 10 };
  const narrow: Network = {
    ...lenet5,
    name: "narrow",
    layers: lenet5.layers.map((layer) => {
      if (layer.type === "convolution") return { ...layer, filters: widths[layer.name]! };
      return layer.type === "dense" ? { ...layer, units: widths[layer.name]! } : layer;
    }),
  };
  const shapesIn = (network: Network) => parametersOf(network).map(({ shape }) => shape);
  const uniform = uniforms(seed);
  const miracle = { method: "miracle" as const, bits: 12, seed: 2 ** 32 - 1, scales: Uint8Array.of(150, 160) };
  const indices = Uint32Array.from({ length: 90 }, () => Math.floor(uniform() * 2 ** 12));
  const alone = { size: 1, hashed: false };
  const choices: [network: Network, coded: Coded][] = [
    [
      narrow,
      {
        method: "levels",
        scales: Uint8Array.of(150, 151, 152, 153, 154, 155, 156, 157),
        levels: prunedNetwork(shapesIn(narrow)),
      },
    ],
    [
      lenet5,
      {
        ...miracle,
        shapes: shapesIn(lenet5),
        live: [5, 10, 16],
        groups: [alone, alone, { size: 3, hashed: true }, alone, { size: 7, hashed: false }, alone, alone, alone],
        scales: Uint8Array.of(150, 151, 152, 153, 154, 155, 156, 157),
        indices,
      },
    ],
    [
      softmax,
      {
        ...miracle,
        shapes: shapesIn(softmax),
        bits: 20,
        // So that numbers of draws go beyond 32 bits: almost 2^20 times 7,800.
        sizes: Uint16Array.of(20, 30, 7800),
        indices: Uint32Array.of(0, 2 ** 19, 2 ** 20 - 1),
      },
    ],
  ];
  return choices.map(([network, coded]) => {
    const tensors = parametersOf(network).map(({ name }) => name);
    const bytes = pack({ network, sections: [{ tensors, coded }], framed: false });
    return { from: `${network.name} in ${coded.method}`, bytes };
  });
}

/**
 * Files with something wrong in them. A checksum would stop nearly all of them at once, so it is made right again, but
 * for one in eight.
 */
function mutations(sources: readonly Input[], count: number): Input[] {
  const parts = sources.map(({ bytes }) => checkedParts(bytes));
  const plans = fc.record({
    source: fc.nat(sources.length - 1),
    part: fc.nat(20),
    kind: fc.constantFrom("flip", "set", "truncate", "insert", "delete", "splice"),
    at: fc.nat(2 ** 20),
    length: fc.integer({ min: 1, max: 8 }),
    byte: fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 2, 3, 127, 128, 255)),
    other: fc.nat(sources.length - 1),
    from: fc.nat(2 ** 20),
    repair: fc.nat(7).map((n) => n > 0),
  });
  return fc.sample(plans, { numRuns: count, seed: seed + 1 }).map((plan): Input => {
    const { source, kind, length, byte, repair } = plan;
    const pieces = parts[source]!.map((part) => Buffer.from(part));
    const chosen = plan.part % pieces.length;
    const piece = pieces[chosen]!;
    // Nearly all bytes are numbers; half of the places are among the first, where the structure is.
    const at = plan.at % (plan.from % 2 === 0 ? piece.length : Math.min(piece.length, 48));
    const before = piece.subarray(0, at);
    const other = sources[plan.other]!.bytes;
    const from = plan.from % other.length;
    if (kind === "flip") piece[at]! ^= 1 << (byte % 8);
    else if (kind === "set") piece[at] = byte;
    else if (kind === "truncate") pieces[chosen] = before;
    else if (kind === "insert") pieces[chosen] = Buffer.concat([before, Buffer.of(byte), piece.subarray(at)]);
    else if (kind === "delete") pieces[chosen] = Buffer.concat([before, piece.subarray(at + length)]);
    else pieces[chosen] = Buffer.concat([before, other.subarray(from, from + length), piece.subarray(at + length)]);
    const sums = (repair ? pieces : parts[source]!).map((bytes) => littleEndian32(crc32(bytes)));
    const bytes = Buffer.concat(pieces.flatMap((bytes, i) => [bytes, sums[i]!]));
    return { from: `${kind} at ${at} of part ${chosen} of ${sources[source]!.from}`, bytes };
  });
}

/** Files that are right up to their one section, which is a method's tag and any bytes. */
function wildSections(count: number): Input[] {
  const heads = fc.sample(files, { numRuns: 40, seed: seed + 2 }).map(({ network, metadata }) => {
    const parameters = parametersOf(network);
    const tensors = parameters.map(({ name }) => name);
    const values = new Float32Array(parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0));
    const section = { tensors, coded: { method: "float32" as const, values } };
    const bytes = pack({ network, metadata, sections: [section], framed: false });
    const length = bytes.length - values.byteLength - 5;
    return { head: bytes.subarray(0, length), cover: Math.min(tensors.length - 1, 1) };
  });
  const byte = fc.oneof({ weight: 3, arbitrary: fc.nat(255) }, { weight: 3, arbitrary: fc.nat(8) }, fc.constant(255));
  const content = fc.array(byte, { maxLength: 30, size: "max" });
  // A first byte that is right more often than any byte is.
  const form = fc.tuple(fc.nat(7), fc.nat(17)).map(([flags, bits]) => 32 * flags + bits);
  // Few candidates, as they take time: one in eight forms has groups, one in 16 is none.
  const legacyForm = fc
    .tuple(fc.constantFrom(0, 0, 0, 32, 32, 32, 64), fc.nat(3), fc.nat(15))
    .map(([flags, bits, none]) => (none === 0 ? 128 : 0) + flags + bits);
  // Gaps of 1 are bits that are 0: so some numbers follow their places, and some of those are 0.
  const few = fc.integer({ min: 1, max: 4 });
  const zeros = fc.array(fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, byte), { maxLength: 20, size: "max" });
  const section = fc.oneof(
    fc.record({ tag: fc.constantFrom(2, 3, 4, 4, 6), content }),
    fc.tuple(few, zeros).map(([count, rest]) => ({ tag: 6, content: [count, 0x11, ...rest] })),
    fc.tuple(form, content).map(([form, content]) => ({ tag: 5, content: [form, 1, ...content] })),
    fc.tuple(legacyForm, few, fc.nat(9), content).map(([form, block, tensors, content]) => {
      const scales = new Array<number[]>(tensors).fill([0, 0, 128, 63]).flat();
      const groups = form >= 64 ? new Array<number>(tensors).fill(1) : [];
      return { tag: 7, content: [form, ...groups, block, ...scales, ...content] };
    }),
  );
  const plans = fc.record({ head: fc.constantFrom(...heads), section });
  return fc.sample(plans, { numRuns: count, seed: seed + 3 }).map((plan, i): Input => {
    const { tag, content } = plan.section;
    const bytes = Buffer.of(...plan.head.head, 4 * tag + plan.head.cover, ...content);
    return { from: `wild section ${i}`, bytes: Buffer.concat([bytes, littleEndian32(crc32(bytes))]) };
  });
}

/** The parts of a file that have a checksum each, without it: found by trying, as nothing here knows the format. */
function checkedParts(bytes: Uint8Array): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let start = 0;
  for (let end = 1; end + 4 <= bytes.length; end++) {
    const part = bytes.subarray(start, end);
    if (Buffer.compare(bytes.subarray(end, end + 4), littleEndian32(crc32(part))) !== 0) continue;
    parts.push(part);
    start = end + 4;
    end = start;
  }
  assert.equal(start, bytes.length, "a file that does not end with a checksum");
  return parts;
}

function littleEndian32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}
