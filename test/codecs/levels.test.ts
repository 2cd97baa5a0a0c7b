import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ByteReader } from "../../codecs/bytes.ts";
import { Budget, FormatError } from "../../codecs/codec.ts";
import { crc32 } from "../../codecs/crc32.ts";
import type { Grid } from "../../codecs/grid.ts";
import { chooseHuffman, huffman } from "../../codecs/huffman.ts";
import { chooseLevels, codedBits, largestLevel, levels } from "../../codecs/levels.ts";
import { LevelModel } from "../../codecs/levelModel.ts";
import { RangeEncoder } from "../../codecs/range.ts";
import { assertRefusedOrCanonical, codecLaws, decode, encode } from "./laws.ts";
import { prunedNetwork } from "./yardstick.ts";

type Shapes = readonly (readonly number[])[];

const level = fc.oneof(
  { weight: 8, arbitrary: fc.constant(0) },
  { weight: 6, arbitrary: fc.integer({ min: -3, max: 3 }) },
  { weight: 1, arbitrary: fc.integer({ min: -20, max: 20 }) },
  { weight: 1, arbitrary: fc.integer({ min: -largestLevel, max: largestLevel }) },
);

/** Rows of levels of which some inputs and outputs are zero altogether. */
function tensor(shape: readonly number[]): fc.Arbitrary<Int32Array> {
  const size = shape.reduce((product, n) => product * n, 1);
  const outputs = shape.at(-1)!;
  const inputs = shape.at(-2) ?? 1;
  return fc
    .tuple(
      fc.array(level, { minLength: size, maxLength: size }),
      fc.oneof(
        fc.constant(-1),
        fc.nat(2 ** Math.min(outputs, 20) - 1),
        fc.nat(outputs).map((n) => 2 ** n - 1),
      ),
      fc.oneof(
        fc.constant(-1),
        fc.nat(2 ** Math.min(inputs, 20) - 1),
        fc.nat(inputs).map((n) => 2 ** n - 1),
      ),
    )
    .map(([row, liveOutputs, liveInputs]) =>
      Int32Array.from(row, (value, k) => {
        const output = k % outputs;
        const input = Math.floor(k / outputs) % inputs;
        return ((liveOutputs >> output) & 1) === 1 && (shape.length === 1 || ((liveInputs >> input) & 1) === 1)
          ? value
          : 0;
      }),
    );
}

const tensors = (shapes: Shapes) => fc.tuple(...shapes.map(tensor)) as fc.Arbitrary<Int32Array[]>;

const rows: Record<string, Shapes> = {
  "a small LeNet": [[3, 3, 1, 3], [3], [3, 2, 3, 5], [5], [20, 6], [6], [6, 4], [4]],
  "dense layers behind an image": [[9, 4], [4], [4, 3], [3]],
  "dense layers": [[7, 5], [5], [5, 3], [3]],
  "single units": [[1], [1, 1], [3, 1], [1, 3], [1, 1, 1, 2]],
  "odd ranks": [[2, 3, 4], [1, 2, 1, 1, 3], [3]],
  nothing: [],
};
for (const [name, shapes] of Object.entries(rows)) {
  codecLaws({ ...levels({ shapes }), name: `levels, ${name}` }, tensors(shapes), { runs: 60 });
}

test("levels: few decisions, so that random bytes are often accepted", () => {
  const codec = levels({ shapes: [[2, 2], [2]] });
  let accepted = 0;
  for (let a = 0; a < 256; a += 2) {
    for (let b = 0; b < 256; b += 8)
      if (assertRefusedOrCanonical(codec, Uint8Array.of(a, b)) === "canonical") accepted += 1;
  }
  assert.ok(accepted > 10, `${accepted} of 4,096`);
});

const worked: [shapes: Shapes, levels: number[][], hex: string][] = [
  [
    [[2, 2], [2]],
    [
      [1, 0, -2, 1],
      [0, 3],
    ],
    "26b720",
  ],
  [
    [[3, 3, 1, 2], [2]],
    [
      [0, 0, 0, -1, 0, 0, 0, 2, 0, 3, 0, 1, 0, 0, 0, 1, 0, 1],
      [0, -1],
    ],
    "dd3b966cd0",
  ],
  [
    [[8, 3], [3], [3, 2]],
    [
      [0, 1, 0, 0, 0, 0, 0, -1, 2, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 1],
      [7, -2, 0],
      [0, 0, -5, 1, -16397, 20],
    ],
    "fdf1234584606aebdcf2d3853afffffd67b1",
  ],
];

for (const [shapes, rows, hex] of worked) {
  test(`levels: the worked bytes of the format, ${hex}`, () => {
    const value = rows.map((row) => Int32Array.from(row));
    assert.equal(Buffer.from(encode(levels({ shapes }), value)).toString("hex"), hex);
    assert.deepEqual(decode(levels({ shapes }), Uint8Array.from(Buffer.from(hex, "hex"))), value);
  });
}

const lenet: Shapes = [[5, 5, 1, 6], [6], [5, 5, 6, 12], [12], [192, 20], [20], [20, 10], [10]];

test("levels: a pruned and quantized network is at least 10 % smaller than in Huffman codes", () => {
  const network = prunedNetwork(lenet);
  const bytes = encode(levels({ shapes: lenet }), network);
  // The whole of the model, down to its last constant.
  assert.equal(crc32(bytes).toString(16), "7571dbdd");
  const inLevels = bytes.length;
  const inHuffman = network.reduce((sum, row) => {
    const lowest = Math.min(...row);
    const symbols = Uint16Array.from(row, (value) => value - lowest);
    const alphabet = Math.max(...symbols) + 1;
    return sum + encode(huffman({ count: row.length, alphabet }), chooseHuffman(symbols, alphabet)).length;
  }, 0);
  assert.ok(inLevels < 0.9 * inHuffman, `${inLevels} bytes against ${inHuffman}`);
});

test("levels: what a network does not use costs next to nothing", () => {
  const whole: Shapes = [[5, 5, 1, 20], [20], [5, 5, 20, 50], [50], [800, 500], [500], [500, 10], [10]];
  const network = prunedNetwork(lenet);
  const channels = [1, 1, 6, 6, 12, 12, 20, 20];
  const wholeChannels = [1, 1, 20, 20, 50, 50, 500, 500];
  const padded = whole.map((shape, t) => {
    const row = new Int32Array(shape.reduce((product, n) => product * n, 1));
    const outputs = lenet[t]!.at(-1)!;
    network[t]!.forEach((value, k) => {
      const input = Math.floor(k / outputs);
      const position = shape.length === 1 ? 0 : Math.floor(input / channels[t]!) * wholeChannels[t]!;
      const wholeInput = shape.length === 1 ? 0 : position + (input % channels[t]!);
      row[wholeInput * shape.at(-1)! + (k % outputs)] = value;
    });
    return row;
  });
  const alone = encode(levels({ shapes: lenet }), network).length;
  const bytes = encode(levels({ shapes: whole }), padded);
  assert.ok(bytes.length <= alone + 6, `${bytes.length} bytes against ${alone}`);
  assert.deepEqual(decode(levels({ shapes: whole }), bytes, {}), padded);
  const zeros = whole.map((shape) => new Int32Array(shape.reduce((product, n) => product * n, 1)));
  assert.ok(encode(levels({ shapes: whole }), zeros).length <= 5);
});

test("levels: codedBits is the size, but for the end", () => {
  fc.assert(
    fc.property(tensors(rows["a small LeNet"]!), (value) => {
      const bits = codedBits(rows["a small LeNet"]!, value);
      const bytes = encode(levels({ shapes: rows["a small LeNet"]! }), value).length;
      assert.ok(8 * bytes < bits * 1.01 + 8 && 8 * bytes > bits * 0.99 - 32, `${bytes} bytes, ${bits} bits`);
    }),
  );
});

test("levels: prices are what coding then costs, and asking changes nothing", () => {
  const shapes = rows["a small LeNet"]!;
  fc.assert(
    fc.property(tensors(shapes), level, (wild, other) => {
      // Inside a level of 2 and more the model learns from its own flags, which a price does not follow.
      const value = wild.map((row) => row.map((n) => Math.sign(n)));
      let sum = 0;
      const { tensors: kept, bits } = chooseLevels(shapes, value, (t, index, price) => {
        price(other);
        sum += price(value[t]![index]!);
        price(0);
        return value[t]![index]!;
      });
      assert.deepEqual(kept, value);
      assert.equal(bits, codedBits(shapes, value));
      // The rest is for the live units.
      assert.ok(sum <= bits + 1e-6 && bits - sum < 120, `${sum} of ${bits} bits`);
    }),
  );
});

test("levels: choosing the cheaper of two neighbours makes the file smaller", () => {
  const network = prunedNetwork(lenet);
  const { tensors: chosen, bits } = chooseLevels(lenet, network, (t, index, price) => {
    const given = network[t]![index]!;
    const lower = given - Math.sign(given);
    return price(lower) < price(given) - 1 ? lower : given;
  });
  assert.ok(bits < 0.8 * codedBits(lenet, network));
  const bytes = encode(levels({ shapes: lenet }), chosen);
  assert.ok(8 * bytes.length < bits + 8);
});

/** Bytes of a grid of 2 inputs and 2 outputs, from what `speak` says. */
function spoken(speak: (coder: RangeEncoder, model: LevelModel) => void): Uint8Array {
  const grid: Grid = { kind: "dense", height: 1, width: 1, inputs: 2, outputs: 2, size: 4 };
  const coder = new RangeEncoder();
  const model = new LevelModel([grid]);
  model.begin(0, grid, new Int32Array(4));
  speak(coder, model);
  return coder.finish();
}

const even = 32768;
const likely = 57344;
const refused: [name: string, bytes: Uint8Array, code: string][] = [
  [
    "units said to be live whose levels are all 0",
    spoken((coder, model) => {
      coder.code(0, even);
      coder.code(0, likely);
      for (let k = 0; k < 4; k++) {
        model.aim(0, 0, k >> 1, k & 1, 1);
        model.code(coder, k === 0 ? 1 : 0);
      }
    }),
    "levels-live",
  ],
  [
    "more live units than there are",
    spoken((coder) => [1, 1, 1].forEach((bit) => coder.code(bit, even))),
    "levels-live",
  ],
  [
    "live units spelled out as expected",
    spoken((coder) => {
      [1, 1, 0].forEach((bit) => coder.code(bit, even));
      coder.code(0, likely);
    }),
    "levels-live",
  ],
  [
    "flags of live units without a gap",
    spoken((coder) => {
      [1, 1, 0].forEach((bit) => coder.code(bit, even));
      coder.code(1, likely);
      coder.code(1, even);
    }),
    "levels-live",
  ],
  [
    "a byte after the end",
    Uint8Array.of(...encode(levels({ shapes: [[2, 2]] }), [Int32Array.of(1, 0, -2, 1)]), ...new Uint8Array(8), 7),
    "range-leftover",
  ],
  ["zeros at the end", Uint8Array.of(0x80, 0), "range-zero"],
];

for (const [name, bytes, code] of refused) {
  test(`levels: refuses ${name}`, () => {
    const codec = levels({ shapes: [[2, 2]] });
    assert.throws(
      () => decode(codec, bytes),
      (error) =>
        error instanceof FormatError && (error.code === code || assert.fail(`${error.code}: ${error.message}`)),
    );
    assert.equal(assertRefusedOrCanonical(codec, bytes), "refused");
  });
}

test("levels: a budget is asked before anything is made", () => {
  const from = new ByteReader(Uint8Array.of());
  const codec = levels({ shapes: [[4096, 4096]] });
  assert.throws(
    () => codec.read(from, new Budget({ memory: 2 ** 20 })),
    (error) => error instanceof FormatError && error.code === "limit-memory",
  );
});

test("levels: refuses to write what the format cannot say", () => {
  const codec = levels({ shapes: [[2, 2]] });
  assert.throws(() => encode(codec, [Int32Array.of(0, 0, 0, largestLevel + 1)]), RangeError);
  assert.throws(() => encode(codec, [Int32Array.of(0, 0, 0)]), RangeError);
  assert.throws(() => encode(codec, []), RangeError);
  assert.throws(() => chooseLevels([[2]], [Int32Array.of(1, 0)], () => 0.5), RangeError);
  assert.throws(() => levels({ shapes: [[]] }), RangeError);
  assert.throws(() => levels({ shapes: [[0, 2]] }), RangeError);
  assert.throws(() => levels({ shapes: [[2 ** 14, 2 ** 14]] }), RangeError);
});
