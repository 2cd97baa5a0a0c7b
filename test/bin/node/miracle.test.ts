import assert from "node:assert/strict";
import { test } from "node:test";
import { pack, toWeights, unpack } from "../../../codecs/index.ts";
import { createRuntime, parametersOf } from "../../../lib/index.ts";
import {
  evaluate,
  hardLabels,
  initialise,
  lenet5,
  type Loss,
  narrow,
  softmax,
  weightsOf,
} from "../../../models/index.ts";
import { miracle, miracleBlocks, type MiracleRunOptions, type MiracleRunProgress } from "../../../bin/node/index.ts";
import { smallData, smallNetwork } from "../../models/small.ts";

const network = smallNetwork("tanh", 1);
const data = { training: smallData(64), validation: smallData(30, 2) };
const runtime = await createRuntime({ device: "reference" });

function options(change: Partial<MiracleRunOptions> = {}): MiracleRunOptions {
  return {
    ...{ runtime, bytes: 150, bits: 10, live: [2, 4], pretraining: 60, training: 90, refit: 2, batch: 16, samples: 2 },
    ...{ rate: 0.02, refitRate: 0.01 },
    ...change,
  };
}

/** The bytes of a run, and all that it said on the way. */
async function told(change: Partial<MiracleRunOptions> = {}) {
  const looks: MiracleRunProgress[] = [];
  const result = await miracle(network, data, options({ ...change, onProgress: (look) => void looks.push(look) }));
  return { ...result, looks };
}

const plain = await told();

test("miracle: the file has at most its bytes, and holds the network that was measured", async () => {
  assert.ok(plain.bytes.length <= 150 && plain.bytes.length > 147, `${plain.bytes.length} bytes`);
  const file = unpack(plain.bytes);
  assert.deepEqual(pack(file), plain.bytes);
  assert.deepEqual(toWeights(file), plain.weights);
  assert.deepEqual(file.network, network);
  const measured = await evaluate({ runtime, network, weights: toWeights(file), data: data.validation });
  assert.deepEqual(measured, plain.validation);
  const { indices } = plain.file.sections[0]!.coded as { indices: Uint32Array };
  assert.equal(indices.length, miracleBlocks(network, options()));
});

test("miracle: the network learns", () => {
  assert.ok(plain.looks.at(-1)!.loss < plain.looks[0]!.loss, "the loss falls");
  assert.ok(plain.validation!.accuracy > 0.6, `${plain.validation!.accuracy}`);
});

test("miracle: progress rises to its end and no further", () => {
  const { looks } = plain;
  const { blocks, total } = looks[0]!;
  assert.equal(total, 60 + 90 + 2 * (blocks - 1));
  looks.forEach((look, i) => assert.ok(i === 0 || look.done >= looks[i - 1]!.done, `${look.done}`));
  const last = looks.at(-1)!;
  assert.deepEqual([last.done, last.coded, last.phase], [total, blocks, "compress"]);
  assert.ok(looks.every(({ bytes }) => bytes === 150));
});

test("miracle: weights to start from stand for pretraining", async () => {
  const weights = initialise(narrow(network, [2, 4]), 7);
  const { looks } = await told({ weights });
  const { blocks } = looks[0]!;
  assert.ok(looks.every(({ phase, total }) => phase !== "pretrain" && total === 90 + 2 * (blocks - 1)));
  assert.ok(looks[0]!.done <= 10);
});

test("miracle: phases may have no steps at all", async () => {
  for (const none of ["pretraining", "training", "refit"] as const) {
    const { bytes } = await told({ [none]: 0 });
    assert.ok(bytes.length <= 150, none);
  }
});

test("miracle: the same bytes whatever the threads, and whether or not anyone looks", async () => {
  const files: Uint8Array[] = [];
  for (const threads of [1, 2]) {
    const own = await createRuntime({ device: "wasm", threads });
    const images = threads === 1 ? data : { training: data.training };
    const { bytes } = await miracle(network, images, options({ runtime: own, refit: 1 }));
    files.push(bytes);
    await own.close();
  }
  assert.deepEqual(files[0], files[1]);
});

/** The bytes of a run that is stopped every `looks` looks and goes on from its checkpoint; and how often that was. */
async function stopped(change: Partial<MiracleRunOptions>, looks: number) {
  let saved: Uint8Array | undefined;
  const phases = new Set<string>();
  for (let stops = 0; ; stops++) {
    const controller = new AbortController();
    let left = looks;
    const run = miracle(network, data, options({
      ...change,
      signal: controller.signal,
      ...(saved && { resume: saved }),
      checkpoint: { every: stops % 2 === 0 ? 0 : 1000, save: (bytes) => void (saved = bytes) },
      onProgress: ({ phase }) => {
        left -= 1;
        if (left > 0) return;
        phases.add(phase);
        controller.abort(new Error("stop"));
      },
    }));
    const result = await run.catch((error: Error) => error.message);
    if (typeof result !== "string") return { bytes: result.bytes, stops, phases: [...phases] };
    assert.equal(result, "stop");
  }
}

test("miracle: stopped at every look in turn, it ends with the same bytes", async () => {
  // Five looks on: each stop is at another place.
  const { bytes, stops } = await stopped({}, 5);
  assert.deepEqual(bytes, plain.bytes);
  assert.ok(stops > 5, `${stops} stops`);
});

test("miracle: with groups, whose runs of units are computed once, it is as repeatable", async () => {
  // Runs of filters and of units, and of others that do not divide theirs.
  const sizes = new Map([["c1.weight", 2], ["d1.weight", 2], ["d2.weight", 2]]);
  const groups = parametersOf(network).map(({ name }) => ({ size: sizes.get(name) ?? 1, hashed: false }));
  const change = { groups, bytes: 130, training: 50, refit: 1 };
  const runtimes = await Promise.all([1, 2].map((threads) => createRuntime({ device: "wasm", threads })));
  const files = [];
  for (const own of runtimes) files.push((await told({ ...change, runtime: own })).bytes);
  assert.deepEqual(files[0], files[1]);
  assert.deepEqual((await stopped({ ...change, runtime: runtimes[0]! }, 7)).bytes, files[0]);
  await Promise.all(runtimes.map((own) => own.close()));
});

test("miracle: dropout is of training alone, and a stopped run goes on with it", async () => {
  const change = { dropout: { d1: 0.3, d2: 0 }, training: 50, refit: 1 };
  const { bytes, file } = await told(change);
  assert.deepEqual(file.network, network);
  assert.notDeepEqual(bytes, (await told({ ...change, dropout: {} })).bytes);
  assert.deepEqual((await stopped(change, 4)).bytes, bytes);
  await assert.rejects(told({ dropout: { d3: 0.3 } }), /dropout: small has no layer "d3"/);
});

test("miracle: units are learned so that what is left fits the file, and a stopped search goes on", async () => {
  const change = { live: "auto", searching: 120, bitsPerWeight: 20, pretraining: 40, training: 30, refit: 1 } as const;
  const { looks, file, bytes } = await told(change);
  const { live } = file.sections[0]!.coded as { live: readonly number[] };
  const left = weightsOf(network, live);
  assert.ok(left <= (8 * 150) / 20 && left > 20, `${live.join("-")}: ${left} weights`);
  assert.deepEqual(looks.at(-1)!.live, live);
  const searching = looks.filter(({ phase }) => phase === "units");
  assert.deepEqual([searching[0]!.live, searching.at(-1)!.live, searching.at(-1)!.done], [[3, 5], live, 120]);
  assert.equal(looks.at(-1)!.done, looks.at(-1)!.total);
  const again = await stopped(change, 3);
  assert.deepEqual(again.bytes, bytes);
  assert.deepEqual(again.phases, ["units", "pretrain", "train", "compress"]);
  // From weights of all units, which stand for pretraining.
  const from = await told({ ...change, weights: initialise(network, 9) });
  assert.ok(from.looks.every(({ phase }) => phase !== "pretrain") && from.looks[0]!.phase === "units");
});

test("miracle: what the library can do a run can be asked for", async () => {
  const short = { pretraining: 20, training: 40, refit: 1 };
  const meanKl = await told({ ...short, free: "divergences" });
  for (const { phase, divergence } of meanKl.looks) {
    if (phase === "train") assert.ok(Math.abs(divergence - 10) < 0.1, `${divergence} bits a block`);
  }
  const equal = await told({ ...short, equal: "divergence" });
  const { sizes } = equal.file.sections[0]!.coded as { sizes?: Uint16Array };
  assert.ok(sizes !== undefined && new Set(sizes).size > 1 && equal.bytes.length <= 150);
  const price = { start: 0.1, rate: 0.02, rule: "sign" } as const;
  const [priced, unpriced] = [await told({ ...short, prices: price }), await told(short)];
  const last = ({ looks }: typeof plain): number => looks.filter(({ phase }) => phase === "train").at(-1)!.divergence;
  assert.ok(last(priced) < last(unpriced) - 1, "a nat that costs more is spent less often");
  const judged = await told({ ...short, choice: { by: "loss", among: 4, images: 30 } });
  assert.notDeepEqual(judged.bytes, unpriced.bytes);
  const best = await told({ ...short, choice: { by: "loss", among: 1, images: 30 } });
  assert.deepEqual(best.bytes, unpriced.bytes, "among one there is no choice");
});

test("miracle: training ends when accuracy and mean KL have converged, and goes on from a checkpoint so", async () => {
  // Its KL is the budget's from the first step on.
  const change = { free: "divergences", pretraining: 60, training: 900, patience: 50, refit: 0 } as const;
  const { looks, bytes } = await told(change);
  const trained = looks.filter(({ phase }) => phase === "train").at(-1)!;
  assert.ok(trained.step >= 60 && trained.step < 900, `${trained.step} steps`);
  assert.ok(Math.abs(trained.divergence - 10) < 0.1);
  const seen = new Map(looks.filter(({ phase }) => phase === "train").map((look) => [look.step, look]));
  const accuracyAt = (step: number): number => seen.get(step)!.validation!.accuracy;
  assert.ok(accuracyAt(trained.step) <= accuracyAt(trained.step - 50), "in its last steps it learned nothing");
  assert.deepEqual((await stopped(change, 8)).bytes, bytes);
});

test("miracle: a checkpoint of another run is refused, and says what differs", async () => {
  let saved: Uint8Array | undefined;
  const controller = new AbortController();
  const first = miracle(network, data, options({
    signal: controller.signal,
    checkpoint: { save: (bytes) => void (saved = bytes) },
    onProgress: () => controller.abort(new Error("stop")),
  }));
  await assert.rejects(first, /stop/);
  const again = (change: Partial<MiracleRunOptions>) => miracle(network, data, options({ resume: saved!, ...change }));
  await assert.rejects(again({ seed: 2 }), /made with another seed: it has 1, now it is 2/);
  await assert.rejects(again({ bytes: 140 }), /made with another (blocks|bytes)/);
  await assert.rejects(again({ metadata: [["author", "a"]] }), /made with another blocks/);
  await assert.rejects(again({ choice: { by: "sampling" } }), /made with another choice/);
  await assert.rejects(again({ resume: saved!.subarray(0, -1) }), /cut short or damaged/);
});

test("miracle: what does not go together is a RangeError before any training", async () => {
  const known: Loss = { ...hardLabels, pictures: 63 };
  const wrong: [Partial<MiracleRunOptions>, RegExp][] = [
    [{ bytes: 40 }, /a file of small needs \d+ bytes at least, got a budget of 40/],
    [{ bits: 3 }, /bits per block must be/],
    [{ live: [2] }, /narrow: small takes 2 live counts, got 1/],
    [{ groups: parametersOf(network).map(() => ({ size: 1000, hashed: false })) }, /a group must have from 1 to/],
    [{ batch: 15 }, /a batch of 15 images cannot be shared by 2 samples/],
    [{ batch: 500, samples: 3 }, /a batch of 64 images cannot be shared by 3 samples/],
    [{ weights: initialise(network, 1) }, /tensor 0 has \d+ live weights, got/],
    [{ free: "divergences", prices: {} }, /where divergences are free, KL has no price/],
    [{ prices: { rate: 2 } }, /the rate of prices must be from 0 to 1, got 2/],
    [{ deviation: 0 }, /the first deviation must be above 0, got 0/],
    [{ choice: { by: "loss", among: 1025, images: 9 } }, /samples that are judged must be .* to 1024, got 1025/],
    [{ choice: { by: "loss", among: 4, images: 0 } }, /images that judge must be/],
    [{ patience: 0 }, /patience must be a whole number from 1/],
    [{ live: "auto", bytes: 40 }, /a file of small needs \d+ bytes at least, got a budget of 40/],
    [{ live: "auto", groups: [] }, /groups are of weights that are known/],
    [{ live: "auto", bitsPerWeight: 0 }, /bits per weight must be above 0, got 0/],
    [{ live: "auto", searching: 8 }, /units: steps must be a whole number from 9/],
    [{ loss: known }, /the loss knows 63 pictures, training has 64/],
  ];
  for (const [change, message] of wrong) {
    const onProgress = (): void => assert.fail("trained");
    await assert.rejects(miracle(network, data, options({ ...change, onProgress })), (error: Error) => {
      assert.ok(error instanceof RangeError, String(error));
      assert.match(error.message, message);
      return true;
    });
  }
});

test("miracle: without images to look at there is no patience, without hidden units nothing to learn", async () => {
  const { training } = data;
  const impatient = miracle(network, { training }, options({ patience: 100 }));
  await assert.rejects(impatient, /patience looks at validation images/);
  assert.throws(() => miracleBlocks(softmax, { bytes: 400, live: "auto" }), /softmax has no hidden units/);
});

test("miracle: live counts that name every unit are the whole network", () => {
  const groups = [1, 1, 2, 1, 50, 1, 1, 1].map((size) => ({ size, hashed: false }));
  const options = { bytes: 1140, bits: 10, groups };
  const blocks = miracleBlocks(lenet5, { ...options, live: [20, 50, 500] })!;
  // Blocks of ten bits in what the head leaves of 1,140 bytes.
  assert.ok(blocks > 880 && blocks < 900, `${blocks}`);
  assert.ok(miracleBlocks(lenet5, { ...options, live: [20, 50, 400] })! < blocks);
});
