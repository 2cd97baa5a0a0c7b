import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Chunks, sectionsFrom, unpackChunks } from "../../codecs/chunks.ts";
import { FormatError, type Limits } from "../../codecs/codec.ts";
import { pack, toWeights, unpack } from "../../codecs/container.ts";
import { crc32 } from "../../codecs/crc32.ts";
import { longestContent } from "../../codecs/file.ts";
import { lenet300, linear } from "../../lib/architectures.ts";
import { readVectors } from "../vectors/vectors.ts";
import { files } from "./arbitraries.ts";

/** A file cut at these places, some pieces empty; each is spoiled as soon as the next one is asked for. */
async function* pieces(bytes: Uint8Array, cuts: readonly number[]): AsyncGenerator<Uint8Array> {
  const places = cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b);
  for (const [i, end] of [...places, bytes.length].entries()) {
    const piece = bytes.slice(places[i - 1] ?? 0, end);
    yield piece;
    piece.fill(0x55);
  }
}

function* single(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at++) yield bytes.subarray(at, at + 1);
}

type Verdict = { readonly file: Uint8Array } | { readonly error: string };

function errorOf(error: unknown): { readonly error: string } {
  assert.ok(error instanceof FormatError, String(error));
  return { error: `${error.code} ${error.offset} ${error.message}` };
}

function whole(bytes: Uint8Array, limits?: Partial<Limits>): Verdict {
  try {
    return { file: pack(unpack(bytes, limits)) };
  } catch (error) {
    return errorOf(error);
  }
}

async function inPieces(chunks: Chunks, limits?: Partial<Limits>): Promise<Verdict> {
  try {
    return { file: pack(await unpackChunks(chunks, limits)) };
  } catch (error) {
    return errorOf(error);
  }
}

/** The names of the sections that came, and the error that ended it, if one did. */
async function arrivals(chunks: Chunks): Promise<string[]> {
  const seen: string[] = [];
  try {
    for await (const { weights, section } of sectionsFrom(chunks)) {
      assert.deepEqual(
        weights.map(({ name }) => name),
        section.tensors,
      );
      seen.push(section.tensors.join());
    }
  } catch (error) {
    seen.push(errorOf(error).error);
  }
  return seen;
}

const cutting = fc.array(fc.nat(), { maxLength: 20 });

test("a file in pieces of any size is the file", async () => {
  await fc.assert(
    fc.asyncProperty(files, cutting, async (file, cuts) => {
      const bytes = pack(file);
      assert.deepEqual(await unpackChunks(pieces(bytes, cuts)), unpack(bytes));
      assert.deepEqual(await unpackChunks(single(bytes)), unpack(bytes));
      const found = new Map<string, Float32Array>();
      for await (const { weights } of sectionsFrom(pieces(bytes, cuts))) {
        for (const { name, values } of weights) found.set(name, values);
      }
      for (const { name, values } of toWeights(unpack(bytes))) assert.deepEqual(found.get(name), values);
    }),
    { numRuns: 60 },
  );
});

test("a bad file in pieces of any size is refused as the whole is, after the same sections", async () => {
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(
      files,
      cutting,
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      fc.constantFrom("change", "cut", "extend", "reseal"),
      async (file, cuts, where, change, kind) => {
        const good = pack(file);
        const at = where % good.length;
        let bytes = good.slice();
        if (kind === "cut") bytes = bytes.slice(0, at);
        else if (kind === "extend") bytes = Uint8Array.of(...bytes, change, ...bytes.subarray(at));
        else bytes[at]! ^= change;
        if (kind === "reseal" && good.length - at > 4) {
          new DataView(bytes.buffer).setUint32(bytes.length - 4, crc32(bytes, 0, bytes.length - 4), true);
        }
        const expected = whole(bytes);
        if ("error" in expected) refused += 1;
        assert.deepEqual(await inPieces(pieces(bytes, cuts)), expected);
        assert.deepEqual(await inPieces(single(bytes)), expected);
        assert.deepEqual(await inPieces([bytes]), expected);
        assert.deepEqual(await arrivals(pieces(bytes, cuts)), await arrivals(single(bytes)));
      },
    ),
    { numRuns: 150 },
  );
  assert.ok(refused > 50, `${refused} refused`);
});

test("every vector in pieces has the verdict of the whole", async () => {
  for (const { name, bytes } of [...readVectors("accepted"), ...readVectors("refused")]) {
    if (bytes.length > 4000) continue;
    assert.deepEqual(await inPieces(single(bytes)), whole(bytes), name);
    assert.deepEqual(await inPieces(pieces(bytes, [3, 5, 6, 20, 21, 60])), whole(bytes), name);
  }
});

/** A framed LeNet-300-100 of raw numbers: 1 MB in six sections. */
const large = pack({
  network: lenet300,
  framed: true,
  sections: [235200, 300, 30000, 100, 1000, 10].map((count, t) => ({
    tensors: [`fc${(t >> 1) + 1}.${t % 2 === 0 ? "weight" : "bias"}`],
    coded: { method: "float32", values: new Float32Array(count).fill(t + 1) },
  })),
});

test("a section is given out with its last byte, and not before", async () => {
  const sizes = [235200, 300, 30000, 100, 1000, 10];
  let sent = 0;
  function* counted(): Generator<Uint8Array> {
    for (; sent < large.length; sent += 7) yield large.subarray(sent, sent + 7);
  }
  // Magic, version, head and checksum; then per section the method, the length, the numbers and the checksum.
  let end = 5 + 4;
  let t = 0;
  for await (const { section, network } of sectionsFrom(counted())) {
    const bytes = 4 * sizes[t]!;
    end += 1 + (bytes >= 2 ** 14 ? 3 : bytes >= 128 ? 2 : 1) + bytes + 4;
    assert.equal(network.name, "lenet300");
    assert.ok(sent + 7 >= end && sent < end, `section ${t}: ${sent} bytes were sent, it ends at ${end}`);
    assert.equal(section.tensors.length, 1);
    t += 1;
  }
  assert.equal(t, 6);
});

test("a length, or no end, makes nobody hold more than its numbers may take", async () => {
  /** Bytes without an end; how many were asked for. */
  const endless = (start: Uint8Array): { chunks: Generator<Uint8Array>; taken: () => number } => {
    let taken = 0;
    function* chunks(): Generator<Uint8Array> {
      yield start;
      for (taken = start.length; ; taken += 1000) yield new Uint8Array(1000).fill(1);
    }
    return { chunks: chunks(), taken: () => taken };
  };
  const prelude = (head: number): number[] => {
    const bytes = Uint8Array.of(0xfb, 0x6b, 0x6e, 1, head);
    const sum = crc32(bytes);
    return [...bytes, sum & 255, (sum >>> 8) & 255, (sum >>> 16) & 255, sum >>> 24];
  };
  const framedLinear = prelude(4 * 4 + 1);
  const count = 7840;
  assert.equal(linear.layers.length, 2);
  const cases: readonly (readonly [start: Uint8Array, code: string, most: number])[] = [
    // Not framed: no more than such a file may have.
    [Uint8Array.of(0xfb, 0x6b, 0x6e, 1, 16), "frame", 66_000],
    // A section of 2^53 - 1 bytes.
    [Uint8Array.of(...framedLinear, 4, ...new Array<number>(7).fill(255), 15), "varint-range", 1000],
    // A section of as many bytes as it may have: held, and refused.
    [Uint8Array.of(...framedLinear, 4, 0x80, 0xea, 7), "checksum", longestContent(count) + 2000],
    // A graph that is refused where it is wrong: a name of the byte 1.
    [Uint8Array.of(0xfb, 0x6b, 0x6e, 1, 1, 1, 97), "text-control", 5000],
  ];
  assert.equal(longestContent(count), 128 * 0x6a + 16384 * 7);
  for (const [start, code, most] of cases) {
    const { chunks, taken } = endless(start);
    await assert.rejects(unpackChunks(chunks), (error) => error instanceof FormatError && error.code === code, code);
    assert.ok(taken() <= most, `${code}: ${taken()} bytes were taken`);
    assert.equal(chunks.next().done, true, "the source was closed");
  }
});

test("limits hold in pieces too, and wrong ones are refused at once", async () => {
  const bytes = pack({
    network: linear,
    sections: [{ tensors: ["fc1.weight"], coded: { method: "float32", values: new Float32Array(7840) } }],
  });
  for (const limits of [{ elements: 7839 }, { memory: 7839 }]) {
    assert.deepEqual(await inPieces(single(bytes), limits), whole(bytes, limits));
  }
  await assert.rejects(unpackChunks([bytes], { elements: 2 ** 27 }), RangeError);
  await assert.rejects(unpackChunks([]), (error) => error instanceof FormatError && error.code === "truncated");
});
