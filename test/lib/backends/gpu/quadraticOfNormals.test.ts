import { test } from "node:test";
import fc from "fast-check";
import { assertForms, forms } from "../../quadraticForms.ts";
import { runtimeOf } from "../../runtimes.ts";
import { gpuDevices, skip } from "./modes.ts";

for (const device of gpuDevices) {
  test(`quadraticOfNormals on ${device.name}: the host's draws, and float32 sums`, { skip }, async () => {
    const runtime = await runtimeOf(device);
    // Few sizes: each is a kernel, and it is the address that matters.
    const sizes = fc.constantFrom<[number, number]>([1, 1], [5, 7], [64, 30], [130, 31]);
    const holds = fc.asyncProperty(forms(sizes), (given) => assertForms(runtime, given, "float32"));
    await fc.assert(holds, { numRuns: 30 });
  });
}
