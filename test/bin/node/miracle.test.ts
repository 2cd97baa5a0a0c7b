import assert from "node:assert/strict";
import { test } from "node:test";
import { pack, toWeights, unpack } from "../../../codecs/index.ts";
import { createRuntime, parametersOf } from "../../../lib/index.ts";
import { evaluate, hardLabels, initialise, lenet5, type Loss, narrow } from "../../../models/index.ts";
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

test("miracle: stopped at every look in turn, it ends with the same bytes", async () => {
  let saved: Uint8Array | undefined;
  let stops = 0;
  for (;;) {
    const controller = new AbortController();
    let looks = 0;
    const run = miracle(network, data, options({
      signal: controller.signal,
      ...(saved && { resume: saved }),
      checkpoint: { every: stops % 2 === 0 ? 0 : 1000, save: (bytes) => void (saved = bytes) },
      // Five looks on: each stop is at another place.
      onProgress: () => void (++looks === 5 && controller.abort(new Error("stop"))),
    }));
    const result = await run.catch((error: Error) => error.message);
    if (typeof result !== "string") {
      assert.deepEqual(result.bytes, plain.bytes);
      break;
    }
    assert.equal(result, "stop");
    stops += 1;
  }
  assert.ok(stops > 5, `${stops} stops`);
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

test("miracle: live counts that name every unit are the whole network", () => {
  const groups = [1, 1, 2, 1, 50, 1, 1, 1].map((size) => ({ size, hashed: false }));
  const options = { bytes: 1140, bits: 10, groups };
  const blocks = miracleBlocks(lenet5, { ...options, live: [20, 50, 500] });
  // Blocks of ten bits in what the head leaves of 1,140 bytes.
  assert.ok(blocks > 880 && blocks < 900, `${blocks}`);
  assert.ok(miracleBlocks(lenet5, { ...options, live: [20, 50, 400] }) < blocks);
});
