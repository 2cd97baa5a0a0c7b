import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { parametersOf } from "../../lib/architectures.ts";
import { sizeOf } from "../../lib/shape.ts";
import { lenet300, lenet5, network, networks, softmax } from "../../models/index.ts";

suite("networks", () => {
  test("have as many parameters as published", () => {
    const count = (name: string): number =>
      parametersOf(network(name)).reduce((sum, { shape }) => sum + sizeOf(shape), 0);
    assert.equal(count("lenet5"), 431_080);
    assert.equal(count("lenet300"), 266_610);
    assert.equal(count("softmax"), 7_850);
  });

  test("are found by name", () => {
    for (const known of networks) assert.equal(network(known.name), known);
    assert.deepEqual([network("lenet5"), network("lenet300"), network("softmax")], [lenet5, lenet300, softmax]);
    assert.throws(() => network("lenet6"), {
      name: "RangeError",
      message: /there is no "lenet6"; there are lenet5, lenet300, softmax/,
    });
  });
});
