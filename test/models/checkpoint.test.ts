import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { type Checkpoint, DataError, readCheckpoint, writeCheckpoint } from "../../models/index.ts";
import { checkIdentity } from "../../models/checkpoint.ts";
import { sha256 } from "../../models/digest.ts";

const array = fc
  .record({ name: fc.string(), shape: fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 3 }) })
  .chain(({ name, shape }) => {
    const size = shape.reduce((product, axis) => product * axis, 1);
    return fc
      .array(fc.integer({ min: 0, max: 0xffffffff }), { minLength: size, maxLength: size })
      .map((words) => ({ name, shape, values: new Float32Array(Uint32Array.from(words).buffer) }));
  });

const record = fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 2 })) as fc.Arbitrary<Checkpoint["identity"]>;
const checkpoint: fc.Arbitrary<Checkpoint> = fc.record({
  kind: fc.string(),
  // What JSON cannot tell apart (-0, a key "__proto__") no identity holds.
  identity: record.map((value) => JSON.parse(JSON.stringify(value)) as typeof value),
  progress: record.map((value) => JSON.parse(JSON.stringify(value)) as typeof value),
  arrays: fc.array(array, { maxLength: 4 }),
});

const bits = ({ arrays }: Checkpoint): number[][] =>
  arrays.map(({ values }) => [...new Uint32Array(values.buffer, values.byteOffset, values.length)]);

const example: Checkpoint = {
  kind: "fit",
  identity: { network: { name: "small" }, "batch size": 64, masks: [] },
  progress: { step: 12 },
  arrays: [{ name: "a", shape: [2], values: Float32Array.of(1, 2) }],
};

/** The bytes of a checkpoint that someone wrote by hand, with the right checksum. */
function sealed(text: string, numbers: readonly number[] = []): Uint8Array {
  const head = new TextEncoder().encode(text);
  const body = new Uint8Array([...head, ...new Uint8Array(Float32Array.from(numbers).buffer)]);
  return new Uint8Array([...body, ...new TextEncoder().encode(sha256(body))]);
}

suite("checkpoint", () => {
  test("reading undoes writing, to the bit", () => {
    fc.assert(
      fc.property(checkpoint, (written) => {
        // A Buffer, as files are read into, lies somewhere in memory that others use too.
        const read = readCheckpoint(Buffer.from(writeCheckpoint(written)));
        assert.deepEqual({ ...read, arrays: [] }, { ...written, arrays: [] });
        const named = ({ arrays }: Checkpoint): unknown => arrays.map(({ name, shape }) => ({ name, shape }));
        assert.deepEqual(named(read), named(written));
        assert.deepEqual(bits(read), bits(written));
      }),
    );
  });

  test("a changed, missing or added byte is refused", () => {
    const bytes = writeCheckpoint(example);
    const refused = (changed: Uint8Array): void => {
      assert.throws(() => readCheckpoint(changed), (error) => error instanceof DataError && error.offset !== undefined);
    };
    for (let i = 0; i < bytes.length; i++) {
      refused(bytes.map((byte, at) => (at === i ? byte ^ 1 : byte)));
      refused(bytes.slice(0, i));
    }
    refused(new Uint8Array([...bytes, 0]));
  });

  test("any bytes are refused, and bytes in good order that say something else", () => {
    fc.assert(fc.property(fc.uint8Array(), (bytes) => assert.throws(() => readCheckpoint(bytes), DataError)));
    const code = (bytes: Uint8Array): string => {
      try {
        readCheckpoint(bytes);
      } catch (error) {
        if (error instanceof DataError) return error.code;
        throw error;
      }
      return "accepted";
    };
    const magic = "kilonet checkpoint 1\n";
    const head = (arrays: string): string => `${magic}{"kind":"x","identity":{},"progress":{},"arrays":${arrays}}\n`;
    assert.equal(code(sealed(head("[]"))), "accepted");
    assert.equal(code(sealed(head('[{"name":"a","shape":[2]}]'), [1, 2])), "accepted");
    assert.equal(code(sealed("kilonet checkpoint 2\n{}\n")), "checkpoint-version");
    assert.equal(code(sealed("PK")), "checkpoint-magic");
    assert.equal(code(sealed(magic)), "checkpoint-head");
    assert.equal(code(sealed(`${magic}{}\n`)), "checkpoint-head");
    assert.equal(code(sealed(`${magic}not JSON\n`)), "checkpoint-head");
    assert.equal(code(sealed(head('[{"name":"a","shape":[-2]}]'), [1, 2])), "checkpoint-head");
    assert.equal(code(sealed(head('[{"name":"a","shape":[3]}]'), [1, 2])), "checkpoint-length");
    assert.equal(code(sealed(head('[{"name":"a","shape":[1e9,1e9]}]'), [1, 2])), "checkpoint-length");
    assert.equal(code(sealed(head("[]"), [1])), "checkpoint-length");
  });

  test("another training is refused by the first thing that differs", () => {
    const { identity } = example;
    checkIdentity(example, "fit", { masks: [], "batch size": 64, network: { name: "small" } });
    const refused = (kind: string, other: Checkpoint["identity"], message: RegExp): void => {
      assert.throws(() => checkIdentity(example, kind, other), { name: "RangeError", message });
    };
    refused("miracle", identity, /another method: it has fit, now it is miracle/);
    refused("fit", { ...identity, "batch size": 32 }, /another batch size: it has 64, now it is 32/);
    refused("fit", { ...identity, seed: 1 }, /another seed: it has nothing, now it is 1/);
    refused("fit", { network: { name: "small" }, masks: [] }, /another batch size: it has 64, now it is nothing/);
  });
});
