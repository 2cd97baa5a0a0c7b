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

/** Section "Mixing" word for word, with objects for contexts: what `Mixer` must do, whatever it is asked. */
class PlainMixer {
  readonly #weights: number[];
  readonly #rate: number;
  readonly #counts: readonly { prior: number; limit: number }[];

  constructor(weights: number[], rate: number, counts: readonly { prior: number; limit: number }[]) {
    this.#weights = weights.slice();
    this.#rate = rate;
    this.#counts = counts;
  }

  mix(contexts: readonly ({ zero: number; seen: number } | undefined)[], bit: number): number {
    const base = contexts[0]!;
    const inputs = contexts.map((context, k) => {
      if (k === 0) return stretchTable[Math.floor(base.zero / 16)]!;
      if (context === undefined || context.seen === 0) return 0;
      return stretchTable[Math.floor(context.zero / 16)]! - stretchTable[Math.floor(base.zero / 16)]!;
    });
    const sum = inputs.reduce((total, input, k) => total + Math.floor(this.#weights[k]! / 16) * input, 0);
    const p = squash(Math.max(-2048, Math.min(2048, Math.floor(sum / 4096))));
    const target = bit === 0 ? 65536 : 0;
    const error = Math.floor(((target - p) * this.#rate) / 256);
    const before = base.zero;
    contexts.forEach((context, k) => {
      const weight = this.#weights[k]! + Math.floor((inputs[k]! * error + 8192) / 16384);
      this.#weights[k] = Math.max(-(2 ** 18), Math.min(2 ** 18, weight));
      if (context === undefined) return;
      const { prior, limit } = this.#counts[Math.min(k, 1)]!;
      const q = context.seen === 0 ? before : context.zero;
      const step = Math.floor(2 ** 15 / (2 * context.seen + prior));
      context.zero = Math.max(16, Math.min(65520, q + Math.floor(((target - q) * step) / 16384)));
      context.seen = Math.min(limit, context.seen + 1);
    });
    return p;
  }
}

test("mixing: the mixer does what the format says, at the extremes too", () => {
  const runs = fc.array(
    fc.record({
      bit: fc.nat(1),
      a: fc.integer({ min: -1, max: 4 }),
      b: fc.integer({ min: -1, max: 4 }),
      times: fc.nat(300),
    }),
    { minLength: 1, maxLength: 12 },
  );
  fc.assert(
    fc.property(runs, fc.constantFrom(1, 64, 127), (source, rate) => {
      const weights = [250_000, -250_000, 250_000];
      const contexts = new Contexts(new Uint16Array(16).fill(32768), new Uint16Array(16));
      const mixer = new Mixer(contexts, { weights, rate, base: counting(7, 464), further: counting(3, 20) });
      const plain = new PlainMixer(weights, rate, [
        { prior: 7, limit: 464 },
        { prior: 3, limit: 20 },
      ]);
      const rows = Array.from({ length: 16 }, () => ({ zero: 32768, seen: 0 }));
      for (const { bit, a, b, times } of source) {
        for (let i = 0; i < times; i++) {
          const chosen = [10, a, b < 0 ? b : 5 + b];
          mixer.chosen.set(chosen);
          const p = mixer.predict();
          assert.ok(p >= 1 && p <= 65535);
          assert.equal(
            p,
            plain.mix(
              chosen.map((c) => (c < 0 ? undefined : rows[c]!)),
              bit,
            ),
          );
          mixer.code(new BitMeter(), bit);
        }
      }
      assert.deepEqual(
        [...contexts.zero],
        rows.map(({ zero }) => zero),
      );
    }),
    { numRuns: 200 },
  );
});
