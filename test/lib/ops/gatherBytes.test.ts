import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { gatherBytes, packBytes, type Runtime, rowsPerTable, type Tensor } from "../../../lib/index.ts";
import { gpuDevices, skip } from "../backends/gpu/modes.ts";
import { devices, runtimeOf } from "../runtimes.ts";

/** Rows of bytes, where they are cut into tables, and which are asked for. */
const cases = fc
  .record({
    rows: fc.integer({ min: 1, max: 12 }),
    bytes: fc.integer({ min: 1, max: 10 }),
    tables: fc.integer({ min: 1, max: 9 }),
    seed: fc.nat(),
  })
  .chain(({ rows, bytes, tables, seed }) =>
    fc.record({
      bytes: fc.constant(bytes),
      all: fc.constant(Uint8Array.from({ length: rows * tables * bytes }, (_, i) => ((seed % 9973) + i * 73) % 256)),
      rows: fc.constant(rows),
      indices: fc.array(fc.nat(rows * tables - 1), { minLength: 1, maxLength: 6 }),
    }),
  );

const values = Float32Array.from({ length: 256 }, (_, byte) => (byte - 33.5) / 255);

function look(runtime: Runtime, all: Uint8Array, bytes: number, rows: number, indices: readonly number[]): Tensor {
  const tables: Tensor[] = [];
  for (let from = 0; from < all.length; from += rows * bytes) {
    const packed = packBytes(all.subarray(from, from + rows * bytes), bytes);
    tables.push(runtime.tensor(packed, [rows, Math.ceil(bytes / 3)]));
  }
  return gatherBytes(tables, runtime.tensor(Int32Array.from(indices)), runtime.tensor(values), bytes);
}

for (const device of [...devices, ...gpuDevices]) {
  const reason = gpuDevices.includes(device) ? skip : false;

  test(`gatherBytes on ${device.name}: each byte of each row, as its value`, { skip: reason }, async () => {
    const runtime = await runtimeOf(device);
    await fc.assert(
      fc.asyncProperty(cases, fc.boolean(), async ({ bytes, all, rows, indices }, inStep) => {
        const body = (): Tensor => look(runtime, all, bytes, rows, indices);
        const found = inStep ? runtime.step(body) : body();
        const wanted = indices.flatMap((index) => Array.from(all.subarray(index * bytes, (index + 1) * bytes)));
        assert.deepEqual(found.shape, [indices.length, bytes]);
        assert.deepEqual(await found.read(), Float32Array.from(wanted, (byte) => values[byte]!));
      }),
      { numRuns: gpuDevices.includes(device) ? 6 : 60 },
    );
  });

  test(`gatherBytes on ${device.name}: an index outside is a RangeError`, { skip: reason }, async () => {
    const runtime = await runtimeOf(device);
    for (const index of [-1, 4, 2 ** 24 - 1]) {
      assert.throws(() => look(runtime, new Uint8Array(8), 2, 2, [0, index]), {
        name: "RangeError",
        message: `gatherBytes: index ${index} is outside 0 to 3`,
      });
    }
    assert.deepEqual([...(await look(runtime, Uint8Array.of(0, 255), 1, 1, [1]).read())], [values[255]]);
  });
}

test("gatherBytes: tables fit every GPU, and rows are whole", async () => {
  assert.equal(rowsPerTable(784), Math.floor(2 ** 24 / 262));
  assert.equal(rowsPerTable(2 ** 26), 1);
  const odd = { name: "ShapeError", message: /5 bytes are no whole rows of 2/ };
  assert.throws(() => packBytes(new Uint8Array(5), 2), odd);
  const runtime = await runtimeOf(devices[0]!);
  const [ints, floats] = [runtime.tensor(Int32Array.of(0)), runtime.tensor(new Float32Array(256))];
  const table = runtime.tensor([1, 2], [1, 2]);
  const refuses = (body: () => Tensor, message: RegExp): void =>
    assert.throws(body, (error: Error) => error.name === "ShapeError" && message.test(error.message));
  refuses(() => gatherBytes([], ints, floats, 4), /needs at least one table, got none/);
  refuses(() => gatherBytes([table], floats, floats, 4), /indices must be an int tensor/);
  refuses(() => gatherBytes([table], ints, table, 4), /needs the values of 256 bytes, got \[1, 2\]/);
  refuses(() => gatherBytes([table], ints, floats, 7), /rows of 7 bytes are \[n, 3\], got \[1, 2\]/);
});
