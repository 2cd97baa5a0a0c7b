import assert from "node:assert/strict";
import { test } from "node:test";
import { squeeze, type SqueezeRunOptions, type SqueezeRunProgress } from "../../../bin/node/index.ts";
import { pack, toWeights, unpack } from "../../../codecs/index.ts";
import { createRuntime } from "../../../lib/index.ts";
import { evaluate, readCheckpoint } from "../../../models/index.ts";
import { smallData, smallNetwork } from "../../models/small.ts";

const network = smallNetwork("tanh", 1);
const data = { training: smallData(64), validation: smallData(30, 2) };
const runtime = await createRuntime({ device: "reference" });

/** The bytes of a run, and all that it said on the way. */
async function told(change: Partial<SqueezeRunOptions> = {}) {
  const looks: SqueezeRunProgress[] = [];
  const result = await squeeze(network, data, {
    ...{ runtime, bytes: 130, pretraining: 60, training: 120, batch: 16, rate: 0.05, pretrainingRate: 0.02 },
    ...change,
    onProgress: (look) => {
      looks.push(look);
      change.onProgress?.(look);
    },
  });
  const { loss } = await evaluate({ runtime, network, weights: result.weights, data: data.training });
  return { ...result, looks, loss };
}

const plain = await told();
const refined = await told({ refine: 2 });

test("squeeze: the file has at most its bytes, and holds the network that was measured", async () => {
  for (const { bytes, weights, validation } of [plain, refined]) {
    assert.ok(bytes.length <= 130 && bytes.length >= 128, `${bytes.length} bytes`);
    const file = unpack(bytes);
    assert.deepEqual(pack(file), bytes);
    assert.deepEqual(toWeights(file), weights);
    assert.deepEqual(await evaluate({ runtime, network, weights, data: data.validation }), validation);
  }
});

test("squeeze: refinement comes after training, and pays in bytes or in loss", () => {
  const trials = refined.looks.filter(({ phase }) => phase === "refine");
  assert.ok(trials.length > 0);
  const trained = ({ looks }: typeof plain) =>
    looks.filter(({ phase }) => phase === "squeeze").map(({ done, loss, bytes }) => ({ done, loss, bytes }));
  assert.deepEqual(trained(refined), trained(plain));
  refined.looks.forEach(({ done, total }, i) => {
    assert.ok(done <= total && (i === 0 || done >= refined.looks[i - 1]!.done));
  });
  assert.notDeepEqual(refined.bytes, plain.bytes);
  assert.ok(refined.loss < plain.loss || refined.bytes.length < plain.bytes.length);
  // What it says of itself is so: the mean loss over all training images, and the size of the file.
  const { loss, bytes } = trials.at(-1)!;
  assert.ok(Math.abs(loss - refined.loss) < 1e-4, `${loss} and ${refined.loss}`);
  // It counts bits, which the coder rounds to bytes.
  const over = bytes! - refined.bytes.length;
  assert.ok(over >= -2 && over <= 2, `${bytes} and ${refined.bytes.length}`);
});

test("squeeze: stopped in any phase and gone on, it ends with the same bytes", async () => {
  const stops: [phase: string, kind: string, options: Partial<SqueezeRunOptions>, bytes: Uint8Array][] = [
    ["pretrain", "fit", {}, plain.bytes],
    ["squeeze", "squeeze", {}, plain.bytes],
    ["refine", "squeeze", { refine: 2 }, refined.bytes],
  ];
  for (const [phase, kind, options, bytes] of stops) {
    const stop = new AbortController();
    let saved: Uint8Array | undefined;
    const stopped = told({
      ...options,
      signal: stop.signal,
      checkpoint: { save: (state) => void (saved = state) },
      onProgress: (look) => {
        if (look.phase === phase) stop.abort(new Error("stop"));
      },
    });
    await assert.rejects(stopped, /^Error: stop$/);
    assert.equal(readCheckpoint(saved!).kind, kind);
    const { bytes: found } = await told({ ...options, resume: saved });
    assert.deepEqual(found, bytes, `stopped in ${phase}`);
  }
});

test("squeeze: dropout is of training alone", async () => {
  const { bytes, file } = await told({ dropout: { d1: 0.3 } });
  assert.deepEqual(file.network, network);
  assert.notDeepEqual(bytes, plain.bytes);
  assert.deepEqual((await told({ dropout: { d1: 0 } })).bytes, plain.bytes);
});

test("squeeze: a training that is over can be refined from its checkpoint", async () => {
  let saved: Uint8Array | undefined;
  await told({ checkpoint: { every: 0, save: (state) => void (saved = state) } });
  const { looks, bytes } = await told({ refine: 2, resume: saved });
  assert.ok(looks.every(({ phase }) => phase === "refine"));
  assert.deepEqual(bytes, refined.bytes);
});

test("squeeze: what does not go together is a RangeError", async () => {
  const wrong: [Partial<SqueezeRunOptions>, RegExp][] = [
    [{ refine: -1 }, /rounds of refinement must be a whole number from 0 up, got -1/],
    [{ refine: 0.5 }, /from 0 up, got 0.5/],
    [{ bytes: 20 }, /a file of small needs \d+ bytes, got a budget of 20/],
    [{ batch: 0 }, /batch/],
  ];
  for (const [change, message] of wrong) {
    await assert.rejects(told(change), (error: Error) => {
      assert.ok(error instanceof RangeError, String(error));
      assert.match(error.message, message);
      return true;
    });
  }
});
