import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { fillNormal, fillUniform, type Key } from "../../../lib/random.ts";
import { normalDraws, uniformDraws } from "../../../lib/wasm/threefry.ts";
import { launch } from "./launching.ts";

const word = fc.nat(0xffffffff);
const draws = fc.record({
  key: fc.tuple(word, word),
  stream: fc.integer({ min: 0, max: 254 }),
  block: fc.nat(0xffffff),
  count: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(8191, 8192, 8193, 20_001)),
});

test("draws have the same bits as those of random.ts", () => {
  fc.assert(
    fc.property(draws, ({ key, stream, block, count }) => {
      for (const [kernel, fill] of [[uniformDraws, fillUniform], [normalDraws, fillNormal]] as const) {
        const right = new Float32Array(count);
        fill(right, key as Key, { stream, block });
        const outputs = [[[count], new Float32Array(count)]] as const;
        const words = [...key, stream, block];
        assert.deepEqual(launch(kernel, { attributes: { shape: [count] }, inputs: [], outputs, words }), [right]);
      }
    }),
    { numRuns: 40 },
  );
});

test("streams and blocks that do not exist are refused", () => {
  for (const [stream, block] of [[255, 0], [-1, 0], [0, 2 ** 24], [0, 0.5]] as const) {
    const outputs = [[[1], new Float32Array(1)]] as const;
    const words = [1, 2, stream, block];
    assert.throws(() => launch(uniformDraws, { attributes: { shape: [1] }, inputs: [], outputs, words }), RangeError);
  }
});
