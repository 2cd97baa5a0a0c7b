import assert from "node:assert/strict";
import { test } from "node:test";
import { FormatError } from "../../codecs/codec.ts";
import { graph } from "../../codecs/graph.ts";
import { lenet300, lenet5 } from "../../lib/architectures.ts";
import type { Network } from "../../lib/network.ts";
import { networks } from "./arbitraries.ts";
import { codecLaws, decode, encode } from "./laws.ts";

codecLaws(graph, networks, { runs: 200 });

test("a described LeNet-5 takes 45 bytes", () => {
  assert.equal(encode(graph, lenet5).length, 45);
});

const small: Network = {
  ...lenet300,
  name: "x",
  layers: [{ type: "flatten" }, { type: "dense", name: "fc1", units: 2, bias: true, activation: "none" }],
  classes: ["0", "1"],
};

test("each wrong spelling of a network is refused with its code", () => {
  const good = encode(graph, small);
  assert.equal(Buffer.from(good).toString("hex"), "0178" + "1c1c01" + "00" + "02" + "04" + "02000802" + "00");
  const changed = (at: number, ...bytes: number[]): Uint8Array => {
    const copy = good.slice();
    copy.set(bytes, at);
    return copy;
  };
  const cases: readonly (readonly [code: string, bytes: Uint8Array])[] = [
    ["varint-range", changed(0, 0)],
    ["text-control", changed(1, 0x1b)],
    ["text-utf8", changed(1, 0xff)],
    ["varint-range", changed(2, 0)],
    ["graph-pixels", changed(5, 2)],
    ["varint-range", changed(6, 0)],
    ["graph-layer", changed(6, 100)],
    ["graph-layer", changed(7, 0)],
    ["graph-layer", changed(7, 6)],
    ["graph-shape", Uint8Array.of(...good.subarray(0, 6), 1, ...good.subarray(8))],
    ["graph-activation", changed(10, 8 + 5)],
    ["graph-flags", changed(10, 16 + 8)],
    ["varint-range", changed(11, 0)],
    ["graph-classes", changed(12, 2)],
    ["graph-classes", Uint8Array.of(...changed(12, 1), 1, 0x30, 1, 0x31)],
    ["graph-classes", Uint8Array.of(...changed(12, 1), 1, 0x61, 1, 0x61)],
    ["graph-name", Uint8Array.of(...good.subarray(0, 9), 3, 0x66, 0x63, 0x31, ...good.subarray(10))],
    ["graph-shape", Uint8Array.of(...good.subarray(0, 9), 1, 0x2f, ...good.subarray(10))],
    ["leftover", Uint8Array.of(...good, 0)],
  ];
  for (const [i, [code, bytes]] of cases.entries()) {
    assert.throws(
      () => decode(graph, bytes),
      (error) => error instanceof FormatError && error.code === code,
      `case ${i}: ${code}`,
    );
  }
});

test("the usual scale, spelled out, is refused, and so are numbers that are not plain", () => {
  const scaled = (scale: number, offset: number): Uint8Array =>
    encode(graph, { ...small, input: { ...small.input, scale, offset } });
  const unusual = scaled(1, 128);
  assert.deepEqual(decode(graph, unusual).input, { ...small.input, scale: 1, offset: 128 });
  const view = (scale: number, offset: number): Uint8Array => {
    const bytes = unusual.slice();
    new DataView(bytes.buffer).setFloat64(6, scale, true);
    new DataView(bytes.buffer).setFloat64(14, offset, true);
    return bytes;
  };
  assert.deepEqual(view(1, 128), unusual);
  for (const [code, scale, offset] of [
    ["graph-pixels", 1 / 255, 0],
    ["number", NaN, 0],
    ["number", 1, Infinity],
    ["number", 1, -0],
    ["number", 2 ** -1030, 0],
    ["graph-shape", 0, 0],
  ] as const) {
    assert.throws(
      () => decode(graph, view(scale, offset)),
      (error) => error instanceof FormatError && error.code === code,
      code,
    );
  }
  assert.throws(() => scaled(1, -0), RangeError);
});

test("what cannot be run cannot be written", () => {
  assert.throws(() => encode(graph, { ...small, classes: ["0"] }));
  assert.throws(() => encode(graph, { ...small, name: "" }), RangeError);
  assert.throws(() => encode(graph, { ...small, name: "\u001b[31m" }), RangeError);
  assert.throws(() => encode(graph, { ...small, name: "\ud800" }), RangeError);
  assert.throws(() => encode(graph, { ...small, classes: ["same", "same"] }), RangeError);
});
