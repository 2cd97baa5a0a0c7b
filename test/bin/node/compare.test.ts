import assert from "node:assert/strict";
import { gunzipSync } from "node:zlib";
import { test } from "node:test";
import { compare, compareMethods } from "../../../bin/node/index.ts";
import type { Compared, CompareOptions, CompareRow } from "../../../bin/node/index.ts";
import { toWeights, unpack } from "../../../codecs/index.ts";
import { createRuntime } from "../../../lib/index.ts";
import { evaluate, fit, glyphs, readCheckpoint, softmax } from "../../../models/index.ts";
import { smallData, smallNetwork } from "../../models/small.ts";

const network = smallNetwork("relu", 1);
const data = { training: smallData(90), test: smallData(50, 2) };
const runtime = await createRuntime({ threads: 1 });
const { weights } = await fit({ runtime, network, data: { train: data.training }, epochs: 8, batchSize: 16, seed: 1 });
const names = compareMethods.map(({ name }) => name);
const effort = 0.001;

/** A comparison, its states and the files that it measured. */
async function told(change: Partial<CompareOptions> = {}) {
  const files = new Map<string, Uint8Array | null>();
  const states: Uint8Array[] = [];
  const found = await compare(network, data, {
    ...{ runtime, weights, effort, save: (state: Uint8Array) => void states.push(state) },
    ...change,
    onRow: async (row, file) => {
      files.set(row.method, file);
      await change.onRow?.(row, file);
    },
  });
  return { ...found, files, states };
}

const whole = await told();
const rowOf = (method: string, rows: readonly CompareRow[] = whole.rows): Compared => {
  const row = rows.find((one) => one.method === method);
  assert.ok(row !== undefined && !row.failed, `${method}: ${JSON.stringify(row)}`);
  return row;
};
/** Without what the clock says. */
const timeless = (rows: readonly CompareRow[]) => rows.map((row) => ({ ...row, seconds: 0 }));

test("compare: every method has a row, and what the row says is so of the file that was made", async () => {
  assert.deepEqual(whole.rows.map(({ method }) => method), names);
  assert.deepEqual([whole.weights, whole.trainingSeconds], [weights, null]);
  const parameters = weights.reduce((sum, { values }) => sum + values.length, 0);
  for (const name of names) {
    const row = rowOf(name);
    const given = whole.files.get(name)!;
    assert.equal(row.bytes, given.length, name);
    assert.equal(row.ratio, (4 * parameters) / given.length);
    const file = unpack(name === "gzip" ? gunzipSync(given) : given);
    const decoded = toWeights(file);
    const { accuracy, errors } = await evaluate({ runtime, network: file.network, weights: decoded, data: data.test });
    assert.deepEqual([row.accuracy, row.errors], [accuracy, errors], name);
    const numbers = decoded.flatMap(({ values }) => [...values]);
    assert.deepEqual([row.parameters, row.zeros], [numbers.length, numbers.filter((one) => one === 0).length], name);
    assert.deepEqual(row.layers.map(({ name: layer, before }) => [layer, before]), [["c1", 3], ["d1", 5], ["d2", 3]]);
    assert.ok(row.layers.every(({ left, before }) => left >= 0 && left <= before), name);
    assert.ok(row.seconds >= 0, name);
  }
});

test("compare: each method does what it is named for", () => {
  assert.deepEqual(new Uint8Array(gunzipSync(whole.files.get("gzip")!)), whole.files.get("float32"));
  assert.deepEqual(toWeights(unpack(whole.files.get("float32")!)), weights);
  // Half a step of an even grid, and a scale that is at most 9 % above what was wanted.
  const rounded = toWeights(unpack(whole.files.get("levels")!));
  for (const [t, { values }] of weights.entries()) {
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    values.forEach((value, i) => {
      assert.ok(Math.abs(value - rounded[t]!.values[i]!) <= (0.5 * 1.1 * largest) / 127, `${value}`);
    });
  }
  const distinct = (method: string): number[] =>
    toWeights(unpack(whole.files.get(method)!))
      .filter(({ name }) => name.endsWith(".weight"))
      .map(({ values }) => new Set(values.filter((value) => value !== 0)).size);
  assert.ok(distinct("ternary").every((count) => count <= 2), String(distinct("ternary")));
  assert.ok(distinct("kmeans").every((count) => count <= 32), String(distinct("kmeans")));
  // Pruning keeps a fifth of the 97 weights.
  assert.ok(rowOf("prune").zeros >= 77, String(rowOf("prune").zeros));
  assert.equal(rowOf("chain").zeros, rowOf("prune").zeros);
  const sizes = ["chain", "kmeans", "float32"].map((method) => rowOf(method).bytes);
  assert.deepEqual(sizes, [...sizes].sort((a, b) => a - b));
  // Lumping changes nothing but the size: not even an answer.
  for (const method of ["kmeans", "ternary", "chain"]) {
    const [before, after] = [rowOf(method), rowOf(`${method}+lump`)];
    assert.equal(after.errors, before.errors);
    after.layers.forEach(({ left }, l) => assert.ok(left <= before.layers[l]!.left, method));
  }
});

test("compare: files of a size keep to it", async () => {
  const { rows } = await told({ methods: ["miracle", "squeeze"], bytes: { squeeze: 150, miracle: 130 } });
  assert.deepEqual(rows.map(({ method }) => method), ["miracle", "squeeze"]);
  assert.ok(rowOf("squeeze", rows).bytes <= 150, String(rowOf("squeeze", rows).bytes));
  assert.equal(rowOf("miracle", rows).bytes, 130);
  const { rows: few } = await told({ methods: ["miracle", "squeeze", "float32"], bytes: { squeeze: 20, miracle: 20 } });
  assert.match((few[0] as { reason: string }).reason, /^miracle: a file of small needs \d+ bytes at least, got .* 20$/);
  assert.match((few[1] as { reason: string }).reason, /^squeeze: a file of small needs \d+ bytes, got a budget of 20$/);
  assert.equal(rowOf("float32", few).bytes, rowOf("float32").bytes, "what follows a failure is made");
});

test("compare: a method that the network is not made for is a row with its reason", async () => {
  const digits = { training: glyphs({ count: 40, seed: 1 }), test: glyphs({ count: 20, seed: 1, start: 40 }) };
  const { rows, weights: trained, trainingSeconds } = await compare(softmax, digits, {
    ...{ runtime, effort, methods: ["lump", "kmeans"] },
  });
  assert.deepEqual(rows[0], {
    method: "lump",
    failed: true,
    reason: "lump: softmax has no hidden layer, whose units could be merged",
  });
  assert.equal(rowOf("kmeans", rows).parameters, 7850);
  assert.deepEqual(trained.map(({ name }) => name), ["fc1.weight", "fc1.bias"]);
  assert.notEqual(trainingSeconds, null, "weights that are not given are trained");
});

test("compare: the same seed gives the same rows, and rows do not depend on which others there are", async () => {
  const some = ["chain+lump", "chain", "prune"];
  const { rows } = await told({ methods: some });
  assert.deepEqual(timeless(rows), timeless(some.map((name) => rowOf(name))));
});

test("compare: stopped in any row and gone on, it makes no row twice and ends with the same", async () => {
  const methods = ["levels", "chain", "ternary", "kmeans"];
  const all = await told({ methods });
  for (const stopAt of methods) {
    const stop = new AbortController();
    const states: Uint8Array[] = [];
    const stopped = told({
      methods,
      signal: stop.signal,
      save: (state) => void states.push(state),
      // In the middle of a row, where it trains, or else behind it.
      onProgress: ({ method }) => method === stopAt && stop.abort(new Error("stop")),
      onRow: ({ method }) => void (method === stopAt && stop.abort(new Error("stop"))),
    });
    await assert.rejects(stopped, /^Error: stop$/, stopAt);
    const before = readCheckpoint(states.at(-1)!).progress.rows as unknown as readonly CompareRow[];
    const { rows, files } = await told({ methods, resume: states.at(-1)! });
    assert.deepEqual(timeless(rows), timeless(all.rows), stopAt);
    assert.deepEqual([...files.keys()], methods.slice(before.length), "only what was not there is made");
  }
});

test("compare: goes on from the state of another choice of methods, and from no other comparison's", async () => {
  const { states } = await told({ methods: ["chain"] });
  const { rows, files } = await told({ methods: ["chain", "prune"], resume: states.at(-1)! });
  assert.deepEqual([...files.keys()], ["prune"]);
  assert.deepEqual(timeless(rows), timeless(["chain", "prune"].map((name) => rowOf(name))));
  const resume = states.at(-1)!;
  await assert.rejects(told({ resume, seed: 2 }), /made with another seed: it has 1, now it is 2/);
  await assert.rejects(told({ resume, effort: 0.5 }), /made with another effort/);
  await assert.rejects(told({ resume: new Uint8Array(9) }), /these bytes are no checkpoint/);
});

test("compare: what cannot be is refused before any work", async () => {
  const wrong: [Partial<CompareOptions>, RegExp][] = [
    [{ methods: ["chain", "gtcc"] }, /there is no method "gtcc"; there are float32, gzip, levels/],
    [{ methods: ["chain", "chain"] }, /the method chain is there twice/],
    [{ effort: 0 }, /the effort must be a number above 0, got 0/],
    [{ effort: NaN }, /the effort must be a number above 0, got NaN/],
  ];
  for (const [change, message] of wrong) {
    const looks: string[] = [];
    await assert.rejects(
      told({ ...change, onProgress: ({ method }) => void looks.push(method) }),
      (error: Error) => error instanceof RangeError && message.test(error.message),
      String(message),
    );
    assert.deepEqual(looks, []);
  }
});
