import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { suite, test } from "node:test";
import fc from "fast-check";
import { digest, sha256 } from "../../models/digest.ts";

const theirs = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

suite("digest", () => {
  test("SHA-256 is Node's, for any bytes", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => assert.equal(sha256(bytes), theirs(bytes))));
  });

  test("and for every length around the ends of a block", () => {
    const bytes = Uint8Array.from({ length: 200 }, (_, i) => i * 7);
    for (let length = 0; length <= 200; length++) {
      assert.equal(sha256(bytes.subarray(0, length)), theirs(bytes.subarray(0, length)), `${length} bytes`);
    }
  });

  test("vectors of FIPS 180-4", () => {
    const abc = new TextEncoder().encode("abc");
    assert.equal(sha256(abc), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert.equal(
      sha256(new Uint8Array(1_000_000).fill(97)),
      "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
    );
  });

  test("of weights is that of their numbers in order, little-endian, views included", () => {
    const values = Float32Array.of(9, 1.5, -0, NaN, 3e38);
    const bytes = new Uint8Array(20);
    const view = new DataView(bytes.buffer);
    [1.5, -0, NaN, 3e38, 9].forEach((value, i) => view.setFloat32(4 * i, value, true));
    const weights = [
      { name: "a", shape: [2, 2], values: values.subarray(1) },
      { name: "b", shape: [1], values: values.subarray(0, 1) },
    ];
    assert.equal(digest(weights), theirs(bytes));
  });
});
