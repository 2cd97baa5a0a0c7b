import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { sectionsOf } from "../../codecs/code.ts";
import { FormatError, type Limits } from "../../codecs/codec.ts";
import type { Coded } from "../../codecs/coded.ts";
import { type ModelFile, pack, toWeights, unpack } from "../../codecs/container.ts";
import { crc32 } from "../../codecs/crc32.ts";
import { inspect } from "../../codecs/inspect.ts";
import { codedBits } from "../../codecs/levels.ts";
import { applyMasks, prune } from "../../codecs/prune.ts";
import { share, toValues } from "../../codecs/codebook.ts";
import { lenet300, lenet5, linear, parametersOf, softmax } from "../../lib/architectures.ts";
import { fillNormal, seedKey } from "../../lib/random.ts";
import type { Network } from "../../lib/network.ts";
import { sizeOf } from "../../lib/shape.ts";
import type { Weights } from "../../lib/weights.ts";
import { files } from "./arbitraries.ts";

const hasCode = (code: string) => (error: unknown) => error instanceof FormatError && error.code === code;
const bitsOf = (weights: Weights) => weights.map(({ values }) => [...new Uint32Array(values.slice().buffer)]);

/** The same bytes with every checksum of an unframed file made right again. */
function resealed(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  new DataView(copy.buffer).setUint32(copy.length - 4, crc32(copy, 0, copy.length - 4), true);
  return copy;
}

function refusedOrCanonical(bytes: Uint8Array): "refused" | "canonical" {
  const before = bytes.slice();
  let file: ReturnType<typeof unpack>;
  try {
    file = unpack(bytes, { elements: 2 ** 16 });
  } catch (error) {
    assert.ok(error instanceof FormatError, String(error));
    assert.ok(error.offset >= 0 && error.offset <= bytes.length);
    return "refused";
  } finally {
    assert.deepEqual(bytes, before);
  }
  assert.deepEqual(pack(file), bytes);
  return "canonical";
}

test("a file gives back what went in, and writing it again gives the same bytes", () => {
  fc.assert(
    fc.property(files, (file) => {
      const bytes = pack(file);
      const back = unpack(bytes);
      assert.deepEqual(back.network, file.network);
      assert.deepEqual(back.metadata, file.metadata);
      assert.equal(back.framed, file.framed);
      assert.deepEqual(bitsOf(toWeights(back)), bitsOf(toWeights(file)));
      assert.deepEqual(pack(back), bytes);
    }),
    { numRuns: 200 },
  );
});

test("any bytes are refused or canonical", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      assert.equal(refusedOrCanonical(bytes), "refused");
      refusedOrCanonical(resealed(Uint8Array.of(0xfb, 0x6b, 0x6e, 1, 0, ...bytes, 0, 0, 0, 0)));
      refusedOrCanonical(resealed(Uint8Array.of(0xfb, 0x6b, 0x6e, 1, 16, ...bytes, 0, 0, 0, 0)));
    }),
    { numRuns: 500 },
  );
});

test("a file with one change is refused, and with its checksum made right it is refused or canonical", () => {
  const verdicts = { refused: 0, canonical: 0 };
  fc.assert(
    fc.property(files, fc.nat(), fc.integer({ min: 1, max: 255 }), (file, where, change) => {
      const bytes = pack(file);
      const changed = bytes.slice();
      changed[where % bytes.length]! ^= change;
      assert.equal(refusedOrCanonical(changed), "refused");
      // Byte 4 says whether the file is framed; a framed one has several checksums and one is made right in vain.
      verdicts[refusedOrCanonical(resealed(changed))] += 1;
    }),
    { numRuns: 1000 },
  );
  // Both ends of the law are met: otherwise it would say nothing.
  assert.ok(verdicts.refused > 100 && verdicts.canonical > 20, JSON.stringify(verdicts));
});

test("a file cut short or extended is refused at every length", () => {
  fc.assert(
    fc.property(files, fc.uint8Array({ minLength: 1, maxLength: 5 }), (file, more) => {
      const bytes = pack(file);
      for (let length = 0; length < bytes.length; length++) {
        assert.equal(refusedOrCanonical(bytes.subarray(0, length)), "refused");
        if (length >= 9) refusedOrCanonical(resealed(bytes.slice(0, length)));
      }
      assert.equal(refusedOrCanonical(Uint8Array.of(...bytes, ...more)), "refused");
      assert.equal(refusedOrCanonical(Uint8Array.of(...bytes, ...bytes)), "refused");
    }),
    { numRuns: 30 },
  );
});

test("inspect names every byte once, in order, and the parts add up", () => {
  fc.assert(
    fc.property(files, (file) => {
      const bytes = pack(file);
      const { ranges, parts, tensors, bytes: size } = inspect(bytes);
      assert.equal(size, bytes.length);
      let at = 0;
      for (const { start, end, path } of ranges) {
        assert.equal(start, at);
        assert.ok(end > start);
        assert.ok(path.length > 0 && path.every((name) => name !== ""));
        at = end;
      }
      assert.equal(at, bytes.length);
      assert.equal(
        parts.reduce((sum, part) => sum + part.bytes, 0),
        bytes.length,
      );
      for (const part of parts) {
        assert.equal(
          part.fields.reduce((sum, field) => sum + field.bytes, 0),
          part.bytes,
        );
      }
      assert.deepEqual(
        tensors.map(({ name, shape }) => ({ name, shape })),
        parametersOf(file.network),
      );
      const last = ranges.at(-1)!;
      assert.deepEqual([last.path.at(-1), last.end - last.start], ["checksum", 4]);
    }),
    { numRuns: 100 },
  );
});

/** Weights of a network, normally distributed. */
function someWeights(network: Network): Weights {
  return parametersOf(network).map(({ name, shape }, block) => {
    const values = new Float32Array(sizeOf(shape));
    fillNormal(values, seedKey(7), { stream: 0, block });
    return { name, shape, values };
  });
}

function compressed(network: Network, share_: number, size: number): Weights {
  const weights = someWeights(network);
  return applyMasks(weights, prune(weights, { share: share_ })).map((tensor) => ({
    ...tensor,
    values: toValues(share(tensor.values, { size: Math.min(size, tensor.values.length) })),
  }));
}

test("LeNet-300-100 with 8 % of its weights in 64 shared values takes less than 30,000 bytes", () => {
  const weights = compressed(lenet300, 0.08, 64);
  const bytes = pack({ network: lenet300, sections: sectionsOf(weights) });
  assert.deepEqual(bitsOf(toWeights(unpack(bytes))), bitsOf(weights));
  assert.ok(bytes.length < 30_000, `${bytes.length} bytes`);
  const huffmanOnly = pack({ network: lenet300, sections: sectionsOf(weights, { coders: ["huffman"] }) });
  assert.deepEqual(bitsOf(toWeights(unpack(huffmanOnly))), bitsOf(weights));
  assert.ok(huffmanOnly.length < 32_000, `${huffmanOnly.length} bytes with Huffman alone`);
});

/** What a file spends on itself: everything but codebooks, code tables, positions (their counts too) and symbols. */
function overheadOf(bytes: Uint8Array): number {
  const payload = [
    ...["entries", "entry values", "code lengths", "codes", "frequencies", "states and symbols", "symbols"],
    ...["positions taken", "positions", "fillers"],
  ];
  return inspect(bytes)
    .ranges.filter(({ path }) => !payload.includes(path.at(-1)!))
    .reduce((sum, { start, end }) => sum + end - start, 0);
}

test("a LeNet-5 file spends 24 bytes or fewer on itself", () => {
  const grouped = pack({ network: lenet5, sections: sectionsOf(compressed(lenet5, 0.02, 8)) });
  assert.ok(overheadOf(grouped) <= 24, `${overheadOf(grouped)} bytes`);
  const weights = compressed(lenet5, 0.01, 4);
  const names = weights.map(({ name }) => name);
  const single = pack({ network: lenet5, sections: sectionsOf(weights, { groups: [names] }) });
  assert.ok(overheadOf(single) <= 24, `${overheadOf(single)} bytes`);
});

test("a LeNet-5 of levels or of MIRACLE spends 24 bytes or fewer on itself, the ends of its coders too", () => {
  const tensors = parametersOf(lenet5).map(({ name }) => name);
  const shapes = parametersOf(lenet5).map(({ shape }) => shape);
  const file = (coded: Coded): Uint8Array => pack({ network: lenet5, sections: [{ tensors, coded }] });
  const pruned = compressed(lenet5, 0.02, 8).map(({ values }) => Int32Array.from(values, (value) => Math.sign(value)));
  const scales = Uint8Array.of(160, 161, 162, 163, 164, 165, 166, 167);
  const levels = file({ method: "levels", scales, levels: pruned });
  const ofLevels = levels.length - scales.length - codedBits(shapes, pruned) / 8;
  assert.ok(ofLevels > 8 && ofLevels <= 12, `levels: ${ofLevels} bytes`);
  const indices = Uint32Array.from({ length: 400 }, (_, b) => b);
  const groups = shapes.map(() => ({ size: 5, hashed: false }));
  const drawn = file({ method: "miracle", shapes, bits: 12, seed: 2026, groups, scales, indices });
  const ofMiracle = drawn.length - scales.length - (12 * indices.length) / 8;
  assert.ok(ofMiracle > 10 && ofMiracle <= 24, `MIRACLE: ${ofMiracle} bytes`);
  for (const bytes of [levels, drawn]) assert.deepEqual(pack(unpack(bytes)), bytes);
});

test("levels before another section need frames, which they get unless that is forbidden", () => {
  const weight = { method: "levels", scales: Uint8Array.of(192), levels: [new Int32Array(7840).fill(1)] } as const;
  const bias = { method: "float32", values: new Float32Array(10) } as const;
  const sections = [
    { tensors: ["fc1.weight"], coded: weight },
    { tensors: ["fc1.bias"], coded: bias },
  ];
  const bytes = pack({ network: softmax, sections });
  assert.equal(unpack(bytes).framed, true);
  assert.deepEqual(pack(unpack(bytes)), bytes);
  assert.throws(() => pack({ network: softmax, sections, framed: false }), /unframed, their section must be the last/);
  // In the other order they are last, and nothing else is.
  const swapped = [
    { tensors: ["fc1.weight"], coded: { method: "float32", values: new Float32Array(7840) } as const },
    { tensors: ["fc1.bias"], coded: { ...weight, levels: [new Int32Array(10).fill(2)] } },
  ];
  assert.equal(unpack(pack({ network: softmax, sections: swapped })).framed, false);
});

const weightsOfLinear = new Float32Array(7840).fill(0.25);
const tiny: ModelFile = {
  network: linear,
  sections: [
    {
      tensors: ["fc1.weight"],
      coded: {
        method: "codebook",
        entries: Float32Array.of(0.25),
        indices: { coder: "fixed", symbols: new Uint16Array(7840) },
      },
    },
  ],
};

test("a known architecture may exceed the ratio of declared to given bytes, a described one may not", () => {
  const bytes = pack(tiny);
  assert.equal(bytes.length, 15);
  assert.deepEqual(toWeights(unpack(bytes))[0]!.values, weightsOfLinear);
  const described = (units: number): Uint8Array => {
    const network: Network = {
      ...linear,
      name: "wide",
      layers: [{ type: "flatten" }, { type: "dense", name: "fc1", units, bias: false, activation: "none" }],
      classes: Array.from({ length: units }, (_, i) => String(i)),
    };
    const symbols = new Uint16Array(784 * units);
    const indices = { coder: "fixed", symbols } as const;
    const coded = { method: "codebook", entries: Float32Array.of(0.25), indices } as const;
    return pack({ network, sections: [{ tensors: ["fc1.weight"], coded }] });
  };
  // 31 bytes times 4,096 are 40.5 times 784 float32.
  assert.equal(described(40).length, 31);
  assert.equal(unpack(described(40)).sections.length, 1);
  assert.throws(() => described(41), /32144 numbers in 31 bytes are more than the format allows/);
});

test("a caller can lower the limits", () => {
  const bytes = pack(tiny);
  const cases: readonly (readonly [string, Partial<Limits>])[] = [
    ["limit-elements", { elements: 7839 }],
    ["limit-memory", { memory: 7839 }],
  ];
  for (const [code, limits] of cases) assert.throws(() => unpack(bytes, limits), hasCode(code), code);
  assert.throws(() => unpack(bytes, { elements: 2 ** 27 }), RangeError);
});

test("files of 65,536 bytes or more are framed, and smaller ones may be", () => {
  const weights = someWeights(linear);
  const raw = (values: Float32Array, network: Network, framed?: boolean): ModelFile => ({
    network,
    sections: [{ tensors: ["fc1.weight"], coded: { method: "float32", values } }],
    framed,
  });
  const small = pack(raw(weights[0]!.values, linear));
  assert.equal(unpack(small).framed, false);
  assert.equal(unpack(pack(raw(weights[0]!.values, linear, true))).framed, true);
  const units = 21;
  const network: Network = {
    ...linear,
    name: "larger",
    layers: [{ type: "flatten" }, { type: "dense", name: "fc1", units, bias: false, activation: "none" }],
    classes: Array.from({ length: units }, (_, i) => String(i)),
  };
  const large = pack(raw(new Float32Array(784 * units), network));
  assert.ok(large.length >= 65_536);
  assert.equal(unpack(large).framed, true);
  assert.throws(() => pack(raw(new Float32Array(784 * units), network, false)), RangeError);
  const forced = resealed(Uint8Array.of(...small, ...new Uint8Array(65_536)));
  assert.throws(() => unpack(forced), hasCode("frame"));
  assert.throws(() => unpack(forced), { offset: 4 }, "the head, which says that it is not framed");
});

test("nothing is returned before the checksum passed, and the input is copied", () => {
  const bytes = pack(tiny);
  const wrong = bytes.slice();
  wrong[bytes.length - 1]! ^= 1;
  assert.throws(() => unpack(wrong), hasCode("checksum"));
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
  shared.set(bytes);
  const raw = pack({
    ...tiny,
    sections: sectionsOf([{ name: "fc1.weight", shape: [784, 10], values: weightsOfLinear }]),
  });
  assert.deepEqual(pack(unpack(shared)), bytes);
  assert.deepEqual(raw, bytes);
  // Bytes that change while they are read, as another thread can do to shared memory: here a limit does it.
  const racing = shared.slice();
  const limits = {
    get elements() {
      racing.fill(0xff, 5);
      return 2 ** 26;
    },
  };
  assert.deepEqual(pack(unpack(racing, limits)), bytes);
  assert.equal(racing[5], 0xff);
  // A Buffer's slice is a view, not a copy: the reader must not be taken in.
  const buffer = Buffer.from(bytes);
  const file = unpack(buffer);
  buffer.fill(0);
  assert.deepEqual(toWeights(file)[0]!.values, weightsOfLinear);
});

test("what the format cannot express is not written", () => {
  const [section] = tiny.sections;
  assert.throws(() => pack({ ...tiny, sections: [] }), /no section holds the tensor "fc1.weight"/);
  assert.throws(() => pack({ ...tiny, sections: [section!, section!] }), /two sections hold/);
  assert.throws(
    () => pack({ ...tiny, sections: [{ ...section!, tensors: ["fc2.weight"] }] }),
    /no tensor "fc2.weight"/,
  );
  assert.throws(() => pack({ ...tiny, sections: [{ ...section!, tensors: [] }] }), /holds no tensor/);
  assert.throws(() => pack({ ...tiny, architecture: 1 }), /architecture 1 is not the network "linear"/);
  assert.throws(() => pack({ ...tiny, architecture: 999 }), RangeError);
  const levels = (scale: number, value: number, length = 7840): ModelFile => ({
    ...tiny,
    sections: [
      {
        tensors: ["fc1.weight"],
        coded: { method: "levels", scales: Uint8Array.of(scale), levels: [new Int32Array(length).fill(value)] },
      },
    ],
  });
  assert.equal(pack(levels(0, 0)).length, 12);
  assert.throws(() => pack(levels(1, 0)), /tensor 0 has no level but 0, so that its scale must be 0/);
  assert.throws(() => pack(levels(1, 16398)), RangeError);
  assert.throws(() => pack(levels(1, 1, 7839)), RangeError);
  assert.throws(() => pack({ ...tiny, metadata: [["B", "x"]] }), RangeError);
  assert.throws(() => pack({ ...tiny, metadata: [] }), RangeError);
  assert.throws(
    () =>
      pack({
        ...tiny,
        metadata: [
          ["b", "x"],
          ["a", "x"],
        ],
      }),
    /keys must rise/,
  );
  const described = pack({ ...tiny, architecture: 0 });
  assert.equal(unpack(described).architecture, 0);
  assert.deepEqual(pack(unpack(described)), described);
});
