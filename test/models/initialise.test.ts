import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { lenet5 } from "../../lib/architectures.ts";
import { digest, initialise } from "../../models/index.ts";
import { smallNetwork } from "./small.ts";

/** Largest magnitude and variance. */
function spread(values: Float32Array): [number, number] {
  let largest = 0;
  let squares = 0;
  for (const value of values) {
    largest = Math.max(largest, Math.abs(value));
    squares += value * value;
  }
  return [largest, squares / values.length];
}

suite("initialise", () => {
  test("weights are uniform in the bounds of He and of Glorot, biases are 0", () => {
    const weights = initialise(lenet5, 3);
    const bounds: Readonly<Record<string, number>> = {
      "conv1.weight": Math.sqrt(6 / 25),
      "conv2.weight": Math.sqrt(6 / 500),
      "fc1.weight": Math.sqrt(6 / 800),
      "fc2.weight": Math.sqrt(6 / 510),
    };
    for (const { name, values } of weights) {
      const [largest, variance] = spread(values);
      const bound = bounds[name] ?? 0;
      assert.ok(largest <= bound, `${name}: ${largest} is beyond ${bound}`);
      if (values.length < 1000) continue;
      // The variance of a uniform number in ±b is b²/3.
      assert.ok(largest > 0.99 * bound, `${name}: ${largest} stays far from ${bound}`);
      assert.ok(Math.abs(variance / (bound ** 2 / 3) - 1) < 0.1, `${name}: variance ${variance}`);
    }
  });

  test("a seed gives the same weights, another seed others, and no two tensors the same draws", () => {
    assert.equal(digest(initialise(smallNetwork(), 1)), digest(initialise(smallNetwork(), 1)));
    assert.notEqual(digest(initialise(smallNetwork(), 1)), digest(initialise(smallNetwork(), 2)));
    const [first, , second] = initialise(smallNetwork(), 1);
    assert.notEqual(first!.values[0]! / first!.values[1]!, second!.values[0]! / second!.values[1]!);
  });

  test("a recorded digest: the numbers are the same everywhere", () => {
    assert.equal(digest(initialise(lenet5, 1)), "368c5a0073964ff9d9d9b4b1267296c477349040b495e77dcb85b4cb2b7f0577");
  });

  test("refuses what is no seed", () => {
    assert.throws(() => initialise(lenet5, -1), RangeError);
    assert.throws(() => initialise(lenet5, 0.5), RangeError);
  });
});
