import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { movingAverage } from "../../../lib/optimizers/average.ts";
import { gridNumber, list } from "../arbitraries.ts";
import { assertClose } from "../laws.ts";
import { devices, exactRuntime, runtimeOf } from "../runtimes.ts";

for (const device of devices) {
  test(`movingAverage on ${device.name} is its formula, in a step and outside`, async () => {
    const runtime = await runtimeOf(device);
    const property = async (courses: number[][], decay: number, inStep: boolean): Promise<void> => {
      const w = runtime.variable(courses[0]!, [3], "w");
      const average = movingAverage([w], decay);
      let want = courses[0]!;
      assert.deepEqual([...(await average.variables[0]!.read())], [...(await w.read())], "it begins at the parameters");
      for (const values of courses.slice(1)) {
        w.assign(values);
        if (inStep) runtime.step(() => average.update());
        else average.update();
        want = want.map((a, i) => decay * a + (1 - decay) * values[i]!);
        assertClose(await average.variables[0]!.read(), want, 2e-6, "average");
        assertClose(await w.read(), values, 1e-6, "parameter");
      }
    };
    const courses = fc.array(list(gridNumber, 3), { minLength: 1, maxLength: 6 });
    const decays = fc.constantFrom(0, 0.5, 0.9, 0.999);
    await fc.assert(fc.asyncProperty(courses, decays, fc.boolean(), property), { numRuns: 40 });
  });
}

test("averages are named after their parameters; a decay outside [0, 1) is refused", () => {
  const runtime = exactRuntime();
  const parameters = [runtime.variable([1, 2], [2], "fc1.weight"), runtime.variable([3], [1], "fc1.bias")];
  const { variables } = movingAverage(parameters, 0.9);
  const named = variables.map(({ name, shape }) => [name, shape]);
  assert.deepEqual(named, [["fc1.weight.average", [2]], ["fc1.bias.average", [1]]]);
  for (const decay of [1, -0.1, NaN]) {
    assert.throws(() => movingAverage(parameters, decay), {
      name: "RangeError",
      message: `movingAverage: decay must be from 0 to below 1, got ${decay}`,
    });
  }
});
