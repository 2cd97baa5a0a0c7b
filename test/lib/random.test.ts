import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import type { Key } from "../../lib/random.ts";
import {
  derive,
  elementAt,
  fillNormal,
  fillUniform,
  fillWords,
  normalTable,
  permutation,
  seedKey,
  STREAMS,
  threefry2x32,
  word,
} from "../../lib/random.ts";

const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const keys = fc.tuple(uint32, uint32) as fc.Arbitrary<Key>;
const streams = fc.integer({ min: 0, max: 254 });
const blocks = fc.integer({ min: 0, max: 2 ** 24 - 1 });
const elements = fc.integer({ min: 0, max: 2 ** 33 - 1 });

/** Threefry-2x32 as its paper states it, in whole numbers: a second opinion that shares no line with the first. */
function threefry(key: readonly number[], counter: readonly number[], rounds: number): number[] {
  const mask = 0xffffffffn;
  const rotations = [13n, 15n, 26n, 6n, 17n, 29n, 16n, 24n];
  const [a, b] = key.map(BigInt) as [bigint, bigint];
  const schedule = [a, b, 0x1bd11bdan ^ a ^ b];
  let [x, y] = counter.map(BigInt) as [bigint, bigint];
  for (let round = 0; round <= rounds; round++) {
    if (round % 4 === 0) {
      const s = round / 4;
      x = (x + schedule[s % 3]!) & mask;
      y = (y + schedule[(s + 1) % 3]! + BigInt(s)) & mask;
    }
    if (round === rounds) break;
    const r = rotations[round % 8]!;
    x = (x + y) & mask;
    y = (((y << r) | (y >> (32n - r))) & mask) ^ x;
  }
  return [Number(x), Number(y)];
}

function sha256(array: ArrayBufferView): string {
  return createHash("sha256").update(new Uint8Array(array.buffer, array.byteOffset, array.byteLength)).digest("hex");
}

/** Sum of (seen - expected)^2 / expected, in deviations from its mean: beyond 5 is no accident. */
function chiSquare(counts: ArrayLike<number>, total: number): number {
  const expected = total / counts.length;
  let sum = 0;
  for (let i = 0; i < counts.length; i++) sum += (counts[i]! - expected) ** 2 / expected;
  const freedom = counts.length - 1;
  return (sum - freedom) / Math.sqrt(2 * freedom);
}

test("Threefry gives the published answers (Random123, threefry2x32, 20 rounds)", () => {
  const ones = 0xffffffff;
  assert.deepEqual(threefry2x32([0, 0], [0, 0]), [0x6b200159, 0x99ba4efe]);
  assert.deepEqual(threefry2x32([ones, ones], [ones, ones]), [0x1cb996fc, 0xbb002be7]);
  // Counter and key are the first digits of pi.
  const pi = threefry2x32([0x13198a2e, 0x03707344], [0x243f6a88, 0x85a308d3]);
  assert.deepEqual(pi, [0xc4923a9c, 0x483df7a0]);
});

test("Threefry agrees with the second opinion", () => {
  fc.assert(
    fc.property(keys, fc.tuple(uint32, uint32), (key, counter) => {
      assert.deepEqual(threefry2x32(key, counter), threefry(key, counter, 20));
    }),
  );
});

test("a word is where the counter layout says", () => {
  fc.assert(
    fc.property(keys, streams, blocks, elements, (key, stream, block, element) => {
      const counter = [stream * 2 ** 24 + block, Math.floor(element / 2)];
      assert.equal(word(key, stream, block, element), threefry(key, counter, 20)[element % 2]);
    }),
  );
});

test("elements count positions first, then indices", () => {
  assert.equal(elementAt(0, 0), 0);
  assert.equal(elementAt(0, 8191), 8191);
  assert.equal(elementAt(1, 0), 8192);
  assert.equal(elementAt(2 ** 20 - 1, 8191), 2 ** 33 - 1);
});

test("a fill is its words, wherever it starts and ends", () => {
  const anywhere = fc.oneof(elements, fc.constantFrom(0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 33 - 40));
  const length = fc.integer({ min: 0, max: 40 });
  const table = normalTable();
  fc.assert(
    fc.property(keys, streams, blocks, anywhere, length, (key, stream, block, at, count) => {
      const start = Math.min(at, 2 ** 33 - count);
      const want = Array.from({ length: count }, (_, i) => word(key, stream, block, start + i));
      const words = new Uint32Array(count);
      fillWords(words, key, { stream, block, start });
      assert.deepEqual([...words], want);

      // In the middle of a larger array, whose other entries stay.
      const floats = new Float32Array(count + 2).fill(9);
      fillUniform(floats.subarray(1, count + 1), key, { stream, block, start });
      assert.deepEqual([...floats], [9, ...want.map((w) => Math.floor(w / 256) / 2 ** 24), 9]);
      fillNormal(floats.subarray(1, count + 1), key, { stream, block, start });
      assert.deepEqual([...floats], [9, ...want.map((w) => table[Math.floor(w / 2 ** 20)]), 9]);
    }),
  );
});

test("a seed's words are the halves of its 53 bits", () => {
  assert.deepEqual(seedKey(0), [0, 0]);
  assert.deepEqual(seedKey(-0), [0, 0]);
  assert.deepEqual(seedKey(2 ** 32 + 7), [7, 1]);
  assert.deepEqual(seedKey(2 ** 53 - 1), [2 ** 32 - 1, 2 ** 21 - 1]);
});

test("a derived key is the pair of words of the reserved stream", () => {
  fc.assert(
    fc.property(keys, uint32, (key, n) => {
      assert.deepEqual(derive(key, n), threefry(key, [255 * 2 ** 24, n], 20));
    }),
  );
});

test("arguments out of range are refused by name", () => {
  const key = seedKey(1);
  const out = new Uint32Array(3);
  const refused: [() => unknown, RegExp][] = [
    [() => seedKey(-1), /seed must be a whole number from 0 to 9007199254740991, got -1/],
    [() => seedKey(2 ** 53), /seed/],
    [() => seedKey(0.5), /seed/],
    [() => seedKey(NaN), /seed/],
    [() => derive(key, 2 ** 32), /derived key/],
    [() => word(key, STREAMS.derive, 0, 0), /stream must be a whole number from 0 to 254, got 255/],
    [() => word(key, 0, 2 ** 24, 0), /block/],
    [() => word(key, 0, 0, 2 ** 33), /element/],
    [() => fillWords(out, key, { stream: 256, block: 0 }), /stream/],
    [() => fillWords(out, key, { stream: 0, block: 0, start: 2 ** 33 - 2 }), /start/],
    [() => elementAt(2 ** 20, 0), /index/],
    [() => elementAt(0, 2 ** 13), /position/],
    [() => permutation(2 ** 21 + 1, key, { stream: 0, block: 0 }), /permutation/],
  ];
  for (const [call, message] of refused) {
    assert.throws(call, (error) => error instanceof RangeError && message.test(error.message), message.source);
  }
});

test("streams have numbers of their own", () => {
  const numbers = Object.values(STREAMS);
  assert.equal(new Set(numbers).size, numbers.length);
  // Numbers are only ever added: these are in files.
  assert.deepEqual(numbers.slice(0, 11), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

test("a permutation holds every number once, by the algorithm of the format", () => {
  fc.assert(
    fc.property(keys, streams, blocks, fc.integer({ min: 0, max: 300 }), (key, stream, block, n) => {
      const order = permutation(n, key, { stream, block });
      assert.deepEqual([...order].sort((a, b) => a - b), Array.from({ length: n }, (_, i) => i));
      const again = Array.from({ length: n }, (_, i) => i);
      for (let i = n - 1; i >= 1; i--) {
        const j = Number((BigInt(word(key, stream, block, i)) * BigInt(i + 1)) >> 32n);
        [again[i], again[j]] = [again[j]!, again[i]!];
      }
      assert.deepEqual([...order], again);
    }),
  );
});

test("draws never change", () => {
  const key = seedKey(20190407);
  const words = new Uint32Array(10001);
  const floats = new Float32Array(10001);
  fillWords(words, key, { stream: STREAMS.candidates, block: 4711, start: 12345 });
  assert.equal(sha256(words), "ff64bdd103adcc6b9b94edc7d1a578ac20dfed6216bea26bed851eac30e1c1f2");
  fillUniform(floats, key, { stream: STREAMS.dropout, block: 3 });
  assert.equal(sha256(floats), "1f32811f9a5270c5c6a7a49717ad9ec872d4b87422fd6c4553acc5b18b05870e");
  fillNormal(floats, key, { stream: STREAMS.noise, block: 3 });
  assert.equal(sha256(floats), "61efaf7e02ee95db28dad625d9d197c22dbd1887a7bd9e1abd0da35b8c38cf30");
  const order = permutation(26580, derive(key, 7), { stream: STREAMS.partition, block: 0 });
  assert.equal(sha256(order), "a1d5dca000868b0a5b4364f48a27f98a99b93455042dd35c13e389ce1ff9a562");
});

/** CRC-32 (zlib), a bit at a time. */
function crc32(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

test("the normal table has the recorded CRC-32 and is nobody else's to change", () => {
  const view = new DataView(new ArrayBuffer(4 * 4096));
  normalTable().forEach((z, i) => view.setFloat32(4 * i, z, true));
  assert.equal(crc32(new Uint8Array(view.buffer)), 0xda22b45b);
  normalTable().fill(7);
  assert.equal(normalTable()[4095], 3.6683292388916016);
});

/** Quantile of the standard normal by algorithm AS 241 (Wichura, 1988), good to 1e-15. */
function wichura(p: number): number {
  const ratio = (r: number, above: number[], below: number[]) =>
    above.reduceRight((sum, c) => sum * r + c, 0) / below.reduceRight((sum, c) => sum * r + c, 0);
  const q = p - 0.5;
  if (Math.abs(q) <= 0.425) {
    const A = [
      3.3871328727963665, 133.14166789178438, 1971.5909503065513, 13731.69376550946, 45921.95393154987,
      67265.7709270087, 33430.57558358813, 2509.0809287301227,
    ];
    const B = [
      1, 42.31333070160091, 687.1870074920579, 5394.196021424751, 21213.794301586597,
      39307.89580009271, 28729.085735721943, 5226.495278852854,
    ];
    return q * ratio(0.180625 - q * q, A, B);
  }
  const C = [
    1.4234371107496835, 4.630337846156546, 5.769497221460691, 3.6478483247632045,
    1.2704582524523684, 0.2417807251774506, 0.022723844989269184, 0.0007745450142783414,
  ];
  const D = [
    1, 2.053191626637759, 1.6763848301838038, 0.6897673349851, 0.14810397642748008,
    0.015198666563616457, 0.0005475938084995345, 1.0507500716444169e-9,
  ];
  return Math.sign(q) * ratio(Math.sqrt(-Math.log(Math.min(p, 1 - p))) - 1.6, C, D);
}

test("each entry of the normal table is the float32 nearest to the quantile", () => {
  const table = normalTable();
  assert.equal(table.length, 4096);
  let sum = 0;
  let squares = 0;
  for (let i = 0; i < 4096; i++) {
    assert.equal(table[i], Math.fround(wichura((i + 0.5) / 4096)));
    assert.equal(table[i], -table[4095 - i]!);
    if (i > 0) assert.ok(table[i]! > table[i - 1]!);
    sum += table[i]!;
    squares += table[i]! ** 2;
  }
  assert.equal(sum, 0);
  assert.ok(Math.abs(squares / 4096 - 0.99968) < 0.000005);
});

test("uniforms and normals have the mean, variance and spread they should", () => {
  const count = 1 << 20;
  const floats = new Float32Array(count);
  const moments = () => {
    let sum = 0;
    let squares = 0;
    for (const x of floats) {
      sum += x;
      squares += x * x;
    }
    return { mean: sum / count, variance: squares / count - (sum / count) ** 2 };
  };
  const deviation = 1 / Math.sqrt(count);

  fillUniform(floats, seedKey(1), { stream: STREAMS.dropout, block: 0 });
  const uniform = moments();
  assert.ok(Math.abs(uniform.mean - 0.5) < 4 * Math.sqrt(1 / 12) * deviation);
  assert.ok(Math.abs(uniform.variance - 1 / 12) < 4 * Math.sqrt(1 / 180) * deviation);
  assert.ok(floats.every((x) => x >= 0 && x < 1));

  fillNormal(floats, seedKey(1), { stream: STREAMS.noise, block: 0 });
  const normal = moments();
  assert.ok(Math.abs(normal.mean) < 4 * deviation);
  assert.ok(Math.abs(normal.variance - 0.99968) < 4 * Math.sqrt(2) * deviation);
});

test("every part of a word is evenly spread", () => {
  const count = 1 << 19;
  const words = new Uint32Array(count);
  fillWords(words, seedKey(2), { stream: 0, block: 0 });
  for (const shift of [0, 10, 20]) {
    const counts = new Uint32Array(4096);
    for (const w of words) counts[(w >>> shift) & 4095]!++;
    assert.ok(Math.abs(chiSquare(counts, count)) < 5, `bits from ${shift}`);
  }
  for (let bit = 0; bit < 32; bit++) {
    let ones = 0;
    for (const w of words) ones += (w >>> bit) & 1;
    assert.ok(Math.abs(ones - count / 2) < 5 * Math.sqrt(count / 4), `bit ${bit}`);
  }
});

test("neighbouring elements, blocks, streams and keys know nothing of each other", () => {
  const count = 1 << 18;
  const draw = (seed: number, stream: number, block: number, start: number) => {
    const words = new Uint32Array(count);
    fillWords(words, seedKey(seed), { stream, block, start });
    return words;
  };
  const first = draw(5, 3, 100, 0);
  const neighbours = {
    element: draw(5, 3, 100, 1),
    pair: draw(5, 3, 100, 2),
    index: draw(5, 3, 100, elementAt(1, 0)),
    block: draw(5, 3, 101, 0),
    stream: draw(5, 4, 100, 0),
    seed: draw(6, 3, 100, 0),
    "high half of the seed": draw(5 + 2 ** 32, 3, 100, 0),
  };
  for (const [name, other] of Object.entries(neighbours)) {
    // The top six bits of both make a table of 4,096 cells.
    const cells = new Uint32Array(4096);
    let differing = 0;
    for (let i = 0; i < count; i++) {
      cells[((first[i]! >>> 26) << 6) | (other[i]! >>> 26)]!++;
      differing += ((first[i]! ^ other[i]!) >>> 3) & 1;
    }
    assert.ok(Math.abs(chiSquare(cells, count)) < 5, name);
    assert.ok(Math.abs(differing - count / 2) < 5 * Math.sqrt(count / 4), name);
  }
});

test("every order of four is as likely as any other", () => {
  const counts = new Map<string, number>();
  const total = 24000;
  for (let block = 0; block < total; block++) {
    const order = permutation(4, seedKey(3), { stream: STREAMS.shuffle, block }).join();
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  assert.equal(counts.size, 24);
  assert.ok(Math.abs(chiSquare([...counts.values()], total)) < 5);
});
