import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { crc32 } from "../../../codecs/crc32.ts";
import { expandGroups, trainedCount } from "../../../codecs/mrcl/hashGroups.ts";
import { MersenneTwister } from "../../../codecs/mrcl/mersenneTwister.ts";
import { normalQuantile } from "../../../codecs/mrcl/normalQuantile.ts";
import { maxSobolColumns, sobolTable } from "../../../codecs/mrcl/sobol.ts";
import { squareRoot } from "../../../codecs/mrcl/squareRoot.ts";
import { normalTable } from "../../../lib/random.ts";

const repeat = <T>(count: number, draw: () => T): T[] => Array.from({ length: count }, draw);
/** Of the words, as bytes with the lowest first. */
function crcOf(words: Uint32Array): string {
  const view = new DataView(new ArrayBuffer(words.byteLength));
  words.forEach((word, i) => view.setUint32(4 * i, word, true));
  return crc32(new Uint8Array(view.buffer)).toString(16).padStart(8, "0");
}
const close = (found: number, expected: number, error: number): void => {
  assert.ok(Math.abs(found - expected) <= error, `${found}, not ${expected}`);
};

suite("the Mersenne twister", () => {
  test("draws the words, numbers, normals and orders that it is known for", () => {
    const seeded = (): MersenneTwister => new MersenneTwister(53);
    let random = seeded();
    assert.deepEqual(repeat(4, () => random.word()), [3636387353, 2915230493, 2410187637, 3634682277]);
    random = seeded();
    for (const expected of [0.8466624072, 0.5611655403, 0.4548754024]) close(random.uniform(), expected, 1e-10);
    random = seeded();
    for (const expected of [0.2058648669, 1.1667617092, -2.0726397786, -0.6326871731]) {
      close(random.normal(), expected, 1e-10);
    }
    assert.deepEqual([...seeded().permutation(10)], [1, 2, 0, 6, 4, 7, 3, 8, 5, 9]);
    // The generator's own golden, of its authors: the 10,000th word of seed 5489.
    const usual = new MersenneTwister(5489);
    assert.equal(repeat(10000, () => usual.word()).at(-1), 4123659995);
  });

  test("gives the orders of the published models", () => {
    const library = (normals: number, total: number): string => {
      const random = new MersenneTwister(53);
      random.skipNormals(normals);
      return crcOf(random.permutation(total));
    };
    assert.equal(library(26580, 26580), "ddacc41e");
    assert.equal(library(7850, 7860), "8eb7a7b1");
    assert.equal(library(0, 7845), "b4fa07f2");
    assert.equal(library(0, 7860), "cca62e4a");
  });

  test("gives the drawn candidates of the older program; an odd number passed over leaves a normal behind", () => {
    for (const [total, first] of [
      [7845, [-0.5797554, -0.0728324, -0.7484902, -1.8547269]],
      [7860, [1.3487655, -0.4103329, 0.7065133, 1.1931540]],
    ] as const) {
      const random = new MersenneTwister(53);
      random.permutation(total);
      random.skipNormals(total);
      for (const expected of first) close(random.normal(), expected, 5e-8);
    }
  });

  test("passes over normals as if it had drawn them, and keeps one through other draws", () => {
    fc.assert(
      fc.property(fc.nat(2 ** 32 - 1), fc.nat(9), fc.nat(5), (seed, count, length) => {
        const [drawn, skipped] = [new MersenneTwister(seed), new MersenneTwister(seed)];
        repeat(count, () => drawn.normal());
        skipped.skipNormals(count);
        assert.deepEqual(drawn.permutation(length), skipped.permutation(length));
        assert.equal(drawn.normal(), skipped.normal());
      }),
    );
  });

  test("an order holds every place once", () => {
    fc.assert(
      fc.property(fc.nat(2 ** 32 - 1), fc.nat(300), (seed, n) => {
        const order = new MersenneTwister(seed).permutation(n);
        assert.deepEqual([...order].sort((a, b) => a - b), [...order.keys()]);
      }),
    );
  });

  test("refuses seeds that are none", () => {
    for (const seed of [-1, 0.5, 2 ** 32, NaN]) assert.throws(() => new MersenneTwister(seed), RangeError);
  });
});

suite("the Sobol table", () => {
  test("has the rows and checksums it is known for", () => {
    const table = sobolTable(40);
    const row = (r: number): number[] => Array.from({ length: 8 }, (_, column) => table(r, column) / 2 ** 30);
    assert.deepEqual(row(0), new Array(8).fill(0.5));
    assert.deepEqual(row(1).slice(0, 5), [0.75, 0.25, 0.75, 0.25, 0.75]);
    assert.deepEqual(row(2), row(1).map((x) => 1 - x));
    assert.deepEqual(row(3), [0.375, 0.375, 0.625, 0.125, 0.875, 0.875, 0.125, 0.625]);
    assert.deepEqual([0, 1, 2, 3].map((i) => table(1023, i)), [1572864, 404226048, 883425280, 703070208]);
    const checksums = { 15: "1bda0778", 20: "b3244178", 30: "ab41aa66", 40: "ff6c385e" };
    for (const [columns, expected] of Object.entries(checksums)) {
      const width = Number(columns);
      const narrow = sobolTable(width);
      const words = Uint32Array.from({ length: 1024 * width }, (_, i) => narrow(Math.floor(i / width), i % width));
      assert.equal(crcOf(words), expected, `${columns} columns`);
    }
  });

  test("every column of the first 2^k - 1 rows, with 0, holds each multiple of 2^-k once", () => {
    const table = sobolTable(maxSobolColumns);
    for (const k of [1, 5, 9]) {
      for (let column = 0; column < maxSobolColumns; column++) {
        const rows = Array.from({ length: 2 ** k - 1 }, (_, row) => table(row, column) / 2 ** (30 - k));
        assert.deepEqual([0, ...rows].sort((a, b) => a - b), [...new Array(2 ** k).keys()], `column ${column}`);
      }
    }
  });

  test("refuses widths that it does not have", () => {
    for (const columns of [0, 41, 1.5]) assert.throws(() => sobolTable(columns), RangeError);
  });
});

suite("the normal quantile", () => {
  test("agrees with the table of the format, every entry of which is the float32 nearest to the truth", () => {
    const quantiles = Float32Array.from({ length: 4096 }, (_, i) => normalQuantile((i + 0.5) / 4096));
    assert.deepEqual(quantiles, normalTable());
  });

  test("is known far out, odd, and rises", () => {
    close(normalQuantile(1 / 1024), -3.09726908, 1e-8);
    close(normalQuantile(2 ** -30), -6.00935357, 1e-8);
    const numbers = fc.integer({ min: 1, max: 2 ** 30 - 1 });
    fc.assert(
      fc.property(numbers, numbers, (a, b) => {
        const [p, q] = [a / 2 ** 30, b / 2 ** 30];
        // Exactly: 1 - p is exact, and so is each step after it.
        assert.equal(normalQuantile(1 - p) + normalQuantile(p), 0);
        if (a < b) assert.ok(normalQuantile(p) < normalQuantile(q));
      }),
    );
  });

  test("its root is within an ulp of the true one", () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-300, max: 1e300, noNaN: true }), (x) => {
        close(squareRoot(x), Math.sqrt(x), 2 ** -52 * Math.sqrt(x));
      }),
    );
  });
});

suite("hash groups", () => {
  test("repeat what neighbours share, and leave the rest alone", () => {
    assert.deepEqual([...expandGroups(Float32Array.of(1, 2, 3, 4), 8, 3)], [1, 1, 1, 2, 2, 2, 3, 4]);
    assert.equal(trainedCount(8, 3), 4);
  });

  test("every number is its group's, in order", () => {
    const upTo = (max: number) => fc.integer({ min: 1, max });
    const sizes = upTo(60).chain((n) => fc.tuple(fc.constant(n), upTo(n)));
    fc.assert(
      fc.property(sizes, ([n, g]) => {
        const scalars = Float32Array.from({ length: trainedCount(n, g) }, (_, i) => i);
        const whole = n - (n % g);
        const expected = Array.from({ length: n }, (_, i) => (i < whole ? Math.floor(i / g) : whole / g + i - whole));
        assert.deepEqual([...expandGroups(scalars, n, g)], expected);
      }),
    );
  });
});
