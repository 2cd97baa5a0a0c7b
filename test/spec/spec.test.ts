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
import { FormatError, pack, toWeights, unpack } from "../../codecs/index.ts";
import { crc32 } from "../../codecs/crc32.ts";
import { files } from "../codecs/arbitraries.ts";
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
  .sample(files, { numRuns: 200, seed })
  .map((file, i): Input => ({ from: `file ${i} of seed ${seed}`, bytes: pack(file) }));
const mutated = mutations(generated, 1000);
const accepted = readVectors("accepted").map(({ name, bytes }): Input => ({ from: `accepted/${name}`, bytes }));
const refused = readVectors("refused");

const found = spawnSync("python3", ["--version"]);
const missing = found.status !== 0 && process.env.CI !== "true";
const skip = missing && "python3 is not there to run the second decoder";
const theirs = missing ? [] : secondOpinions([...accepted, ...refused, ...generated, ...mutated]);

test("both decoders find the same tensors in each accepted vector", { skip }, () => {
  assert.ok(accepted.length >= 31);
  for (const [i, input] of accepted.entries()) agreeOnAccepted(input, theirs[i]!);
});

test("both decoders refuse each refused vector with its code", { skip }, () => {
  assert.ok(refused.length >= 163);
  for (const [i, { name, bytes, code }] of refused.entries()) {
    const theirVerdict = theirs[accepted.length + i]!;
    assert.equal(theirVerdict.ok ? "accepted" : theirVerdict.code, code, `${name}, decoder.py`);
    agree({ from: `refused/${name}`, bytes }, theirVerdict);
  }
});

test("both decoders find the same tensors in files with random choices", { skip }, () => {
  const start = accepted.length + refused.length;
  for (const [i, input] of generated.entries()) agreeOnAccepted(input, theirs[start + i]!);
});

test("both decoders say the same of mutated files", { skip }, () => {
  const start = accepted.length + refused.length + generated.length;
  const codes = new Map<string, number>();
  for (const [i, input] of mutated.entries()) {
    const verdict = theirs[start + i]!;
    const said = verdict.ok ? "accepted" : verdict.code;
    codes.set(said, (codes.get(said) ?? 0) + 1);
    agree(input, verdict);
  }
  // The mutations reach past the checksums: most rules are met, and none drowns the others.
  assert.ok(codes.size >= 25, `only ${[...codes.keys()].join(" ")}`);
  assert.ok(Math.max(...codes.values()) < mutated.length / 2, JSON.stringify([...codes]));
});

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

function secondOpinions(inputs: readonly { readonly bytes: Uint8Array }[]): Verdict[] {
  const lines = inputs.map(({ bytes }) => `${Buffer.from(bytes).toString("hex")}\n`).join("");
  const run = spawnSync("python3", ["test/spec/verdict.py", "--hex"], { input: lines, maxBuffer: 2 ** 28 });
  assert.equal(run.status, 0, `decoder.py: ${run.error?.message ?? run.stderr.toString()}`);
  const verdicts = run.stdout.toString().trimEnd().split("\n");
  assert.equal(verdicts.length, inputs.length);
  return verdicts.map((line) => JSON.parse(line) as Verdict);
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
