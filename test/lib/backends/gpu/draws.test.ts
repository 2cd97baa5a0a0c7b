import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { dropout, normal, uniform } from "../../../../lib/index.ts";
import type { Key } from "../../../../lib/random.ts";
import { exact } from "./agreement.ts";
import { runtimeOf } from "../../runtimes.ts";
import { gpuDevices, skip } from "./modes.ts";

const word = fc.integer({ min: 0, max: 0xffffffff });
const addresses = fc.record({
  key: fc.oneof(fc.tuple(word, word), fc.constantFrom<Key>([0, 0], [0xffffffff, 0xffffffff], [0x80000000, 1])),
  stream: fc.nat(254),
  block: fc.nat(0xffffff),
});

for (const device of gpuDevices) {
  test(`draws on ${device.name}: the same bits as on the host`, { skip }, async () => {
    const runtime = await runtimeOf(device);
    // Few shapes: each is a kernel, and it is the key and the address that matter.
    const shapes = fc.constantFrom([1], [7], [2, 3, 5], [4099]);
    await fc.assert(
      fc.asyncProperty(addresses, shapes, fc.boolean(), async (from, shape, inStep) => {
        for (const draw of [uniform, normal]) {
          const drawn = inStep ? runtime.step(() => draw(runtime, shape, from)) : draw(runtime, shape, from);
          // The oracle holds float32 draws in float64.
          assert.deepStrictEqual(await drawn.read(), Float32Array.from(draw(exact, shape, from).readSync()));
        }
      }),
      { numRuns: 20 },
    );
  });

  test(`dropout on ${device.name}: drops what the host drops`, { skip }, async () => {
    const runtime = await runtimeOf(device);
    const from = { key: [3, 4], stream: 2, block: 5 } as const;
    const ones = new Float32Array(1000).fill(1);
    const kept = async (own: typeof runtime): Promise<boolean[]> =>
      Array.from(await own.step(() => dropout(own.tensor(ones), 0.5, from)).read(), (x) => x > 0);
    assert.deepEqual(await kept(runtime), await kept(exact));
  });
}
