import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Heap } from "../../codecs/heap.ts";

test("a heap gives back its least item, whatever was added and removed", () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.nat(20), { nil: undefined }), { maxLength: 200 }), (steps) => {
      const heap = new Heap<number>((a, b) => a < b);
      const model: number[] = [];
      for (const item of steps) {
        if (item === undefined) {
          heap.removeFirst();
          model.shift();
        } else {
          heap.add(item);
          model.push(item);
          model.sort((a, b) => a - b);
        }
        assert.equal(heap.first, model[0]);
      }
    }),
  );
});
