import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { UsageError } from "../../bin/errors.ts";
import { recipeFor } from "../../bin/recipes.ts";
import { dropoutOf, perLayer, rulesOf, sizesOf } from "../../bin/rules.ts";
import { lenet300, lenet5, networks, softmax } from "../../models/index.ts";

suite("numbers by layer", () => {
  const parse = perLayer(Number);

  test("are one for all, or one for each that is named", () => {
    assert.equal(parse("0.1"), 0.1);
    assert.deepEqual(parse("fc1=0.08,fc2=0.09"), { fc1: 0.08, fc2: 0.09 });
    // A name from outside is never a way to something else.
    assert.deepEqual(Object.keys(parse("__proto__=1") as object), ["__proto__"]);
  });

  test("are refused when cut short or said twice", () => {
    for (const text of ["=1", "a=1,", "a=1,b", "a=1=2", "a=1,a=1"]) assert.throws(() => parse(text), text);
  });

  test("become rules of pruning: a layer that nobody names has the rest's, or keeps all", () => {
    const { share } = recipeFor(lenet300);
    assert.deepEqual(rulesOf("deviations", 1.5, softmax), { "fc1.weight": { deviations: 1.5 } });
    assert.deepEqual(rulesOf("share", { fc2: 0.5 }, lenet300), { "fc2.weight": { share: 0.5 } });
    assert.deepEqual(rulesOf("share", { fc2: 0.5 }, lenet300, share), {
      ...rulesOf("share", share, lenet300),
      "fc2.weight": { share: 0.5 },
    });
  });

  test("become sizes of codebooks, and biases have as many values as the widest", () => {
    const sizes = { "fc1.weight": 16, "fc2.weight": 64, "fc3.weight": 16, biases: 64 };
    assert.deepEqual(sizesOf({ fc2: 6 }, lenet300, 4), sizes);
  });

  test("become shares that training drops: one for all is for dense layers", () => {
    assert.equal(dropoutOf(lenet5, undefined), undefined);
    assert.deepEqual(dropoutOf(lenet5, 0.1), { fc1: 0.1, fc2: 0.1 });
    assert.deepEqual(dropoutOf(lenet5, { conv2: 0.2 }), { conv2: 0.2 });
    assert.throws(() => dropoutOf(lenet5, { fc3: 0.2 }), /^UsageError: lenet5 has no layer "fc3" with weights/);
  });

  test("never ask for more values than a layer has weights", () => {
    assert.throws(() => sizesOf({ fc3: 10 }, lenet300, 4), /^UsageError: fc3.weight has 1000 weights, .* share 1024 v/);
    assert.throws(() => sizesOf(10, lenet300, {}), UsageError);
    // What nobody asked for is given as far as it goes.
    assert.equal(sizesOf({}, lenet300, 10)["fc3.weight"], 1024);
  });

  test("of layers that are not there are used wrongly", () => {
    assert.throws(() => rulesOf("share", { conv1: 0.5 }, lenet300), UsageError);
  });

  test("every known network has a recipe that fits it", () => {
    for (const network of networks) {
      const { share, bits } = recipeFor(network);
      assert.deepEqual(
        Object.keys(rulesOf("share", share, network)),
        Object.keys(sizesOf(bits, network, {})).filter((name) => name !== "biases"),
      );
    }
  });
});
