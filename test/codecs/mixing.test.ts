import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Contexts, counting, Mixer, type MixingRule, squashTable, stretchTable } from "../../codecs/mixing.ts";
import { BitMeter } from "../../codecs/cost.ts";
import { crc32 } from "../../codecs/crc32.ts";
import { uniforms } from "./yardstick.ts";

const squash = (logit: number) => squashTable[logit + 2048]!;

test("mixing: the squash table is 65536 / (1 + e^-x/256), rises, and is symmetric", () => {
  assert.equal(squashTable.length, 4097);
  for (let x = -2048; x <= 2048; x++) {
    assert.ok(Math.abs(squash(x) - 65536 / (1 + Math.exp(-x / 256))) <= 0.5001, `at ${x}`);
    assert.equal(squash(x) + squash(-x), 65536);
    if (x > -2048) assert.ok(squash(x) >= squash(x - 1));
  }
});

test("mixing: the stretch table undoes the squash table", () => {
  assert.equal(stretchTable.length, 4096);
  stretchTable.forEach((x, j) => {
    const p = 16 * j + 8;
    assert.ok(x === -2048 || squash(x) <= p);
    assert.ok(x === 2048 || squash(x + 1) > p);
    if (x > -2048 && x < 2047) assert.ok(Math.abs(256 * Math.log(p / (65536 - p)) - x) < 18, `at ${j}`);
  });
});

test("mixing: the tables are the ones whose CRC-32 the format names", () => {
  const bytesOf = (row: ArrayLike<number>) =>
    Uint8Array.from({ length: 2 * row.length }, (_, i) => (row[i >> 1]! >> (8 * (i & 1))) & 255);
  assert.equal(crc32(bytesOf(squashTable)).toString(16), "737615a3");
  assert.equal(crc32(bytesOf(stretchTable)).toString(16), "f5c96600");
});

const rule = (weights: number[]): MixingRule => ({
  weights,
  rate: 64,
  base: counting(7, 464),
  further: counting(7, 50),
});

/** Bits that a mixer of `contexts` spends on a source; -1 is a context that does not apply. */
function spent(source: readonly (readonly [bit: number, contexts: readonly number[]])[], weights: number[]): number {
  const mixer = new Mixer(new Contexts(new Uint16Array(64).fill(32768), new Uint16Array(64)), rule(weights));
  const meter = new BitMeter();
  for (const [bit, contexts] of source) {
    mixer.chosen.set(contexts);
    mixer.code(meter, bit);
  }
  return meter.bits;
}

test("mixing: a context that tells is used, one that tells nothing does little harm", () => {
  const uniform = uniforms(11);
  const source = Array.from({ length: 4000 }, () => {
    const kind = uniform() < 0.5 ? 1 : 2;
    return { bit: Number(uniform() < (kind === 1 ? 0.05 : 0.6)), kind, noise: 3 + Math.floor(8 * uniform()) };
  });
  const alone = spent(
    source.map(({ bit }) => [bit, [0]]),
    [65536],
  );
  const told = spent(
    source.map(({ bit, kind }) => [bit, [0, kind]]),
    [65536, 20000],
  );
  const noisy = spent(
    source.map(({ bit, noise }) => [bit, [0, noise]]),
    [65536, 20000],
  );
  const entropy = source.reduce((sum, { bit, kind }) => {
    const p = kind === 1 ? 0.05 : 0.6;
    return sum - Math.log2(bit === 1 ? p : 1 - p);
  }, 0);
  assert.ok(told < 1.05 * entropy, `${told} bits against ${entropy}`);
  assert.ok(alone > 1.2 * entropy, `${alone} bits against ${entropy}`);
  assert.ok(noisy < 1.02 * alone, `${noisy} bits against ${alone}`);
});

test("mixing: an unused context says nothing, and then begins where its base stands", () => {
  const contexts = new Contexts(new Uint16Array(3).fill(32768), new Uint16Array(3));
  contexts.start(0, 60000);
  const mixer = new Mixer(contexts, rule([65536, 65536]));
  mixer.chosen.set([0, 1]);
  const first = mixer.predict();
  assert.ok(Math.abs(first - 60000) < 200, String(first));
  mixer.code(new BitMeter(), 1);
  const steps = counting(7, 50);
  assert.equal(contexts.zero[1], 60000 + ((-60000 * steps[0]!) >> 14));
  assert.equal(contexts.seen[1], 1);
  assert.equal(contexts.seen[2], 0);
});

test("mixing: probabilities stay inside the range coder's, whatever comes", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(1), fc.integer({ min: -1, max: 9 }), fc.integer({ min: -1, max: 9 })), {
        maxLength: 400,
      }),
      fc.constantFrom(0, 1, 2),
      (source, forced) => {
        const contexts = new Contexts(new Uint16Array(16).fill(32768), new Uint16Array(16));
        const mixer = new Mixer(contexts, { ...rule([260_000, -260_000, 260_000]), rate: 800 });
        for (const [bit, a, b] of source) {
          mixer.chosen.set([10, a, b]);
          const p = mixer.predict();
          assert.ok(Number.isInteger(p) && p >= 1 && p <= 65535, String(p));
          mixer.code(new BitMeter(), forced === 2 ? bit : forced);
        }
        assert.ok(contexts.zero.every((zero) => zero >= 16 && zero <= 65520));
      },
    ),
  );
});
