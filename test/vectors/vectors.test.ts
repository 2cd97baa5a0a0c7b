import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { FormatError } from "../../codecs/codec.ts";
import { pack, toWeights, unpack } from "../../codecs/container.ts";
import { inspect } from "../../codecs/inspect.ts";
import { accepted as acceptedSource } from "./makeAccepted.ts";
import { refused as refusedSource } from "./makeRefused.ts";
import { readVectors, weightsCrc } from "./vectors.ts";

const accepted = readVectors("accepted");
const refused = readVectors("refused");

test("each accepted file opens, holds the numbers it held, and is written again as it was", () => {
  assert.ok(accepted.length >= 76);
  for (const { name, bytes, weights, shows } of accepted) {
    assert.ok(shows.length > 0 && weights !== undefined, name);
    const file = unpack(bytes);
    assert.equal(weightsCrc(toWeights(file)), weights, name);
    assert.deepEqual(pack(file), bytes, name);
    assert.equal(inspect(bytes).ranges.at(-1)!.end, bytes.length, name);
  }
});

test("each refused file is refused with its code, at its byte", () => {
  assert.ok(refused.length >= 256);
  for (const { name, bytes, code, offset, shows } of refused) {
    assert.ok(shows.length > 0 && code !== undefined && Number.isInteger(offset), name);
    assert.throws(
      () => unpack(bytes),
      (error) => error instanceof FormatError && error.code === code && error.offset === offset,
      name,
    );
  }
});

test("every vector has its maker and every maker its vector", () => {
  // The bytes may differ in time: a writer may learn to choose better, and a vector is never edited.
  const named = (list: readonly { readonly name: string; readonly shows: string }[]): string[] =>
    list.map(({ name, shows }) => `${name}: ${shows}`).sort();
  const made = (list: readonly (readonly [name: string, shows: string, ...unknown[]])[]): string[] =>
    list.map(([name, shows]) => `${name}: ${shows}`).sort();
  assert.deepEqual(named(accepted), made(acceptedSource));
  assert.deepEqual(named(refused), made(refusedSource));
});

test("each kind of attack that a file can carry out has its vectors", () => {
  const rows = readFileSync("test/vectors/README.md", "utf8").matchAll(/^\| (\d+) \| ([^|]*) \| ([^|]*)\|$/gm);
  const names = [...accepted, ...refused].map(({ name }) => name);
  const numbers: number[] = [];
  for (const [, number, , patterns] of rows) {
    numbers.push(Number(number));
    for (const [, pattern] of patterns!.matchAll(/`([a-z0-9*-]+)`/g)) {
      const form = new RegExp(`^${pattern!.replaceAll("*", "[a-z0-9-]*")}$`);
      assert.ok(
        names.some((name) => form.test(name)),
        `${number}: no vector ${pattern}`,
      );
    }
  }
  assert.deepEqual(
    numbers,
    Array.from({ length: 22 }, (_, i) => i + 1),
  );
});
