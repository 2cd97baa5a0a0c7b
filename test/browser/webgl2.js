// What is only so in the mode webgl2: what it cannot do, and when it ends.

/* global OffscreenCanvas */
import { add, createRuntime, matmul, sgd, sum } from "kilonet";

const said = async (body) => {
  try {
    return `nothing: ${await body()}`;
  } catch (error) {
    return `${error.name}: ${error.message}`;
  }
};

/** An operation of one kernel. */
const operation = (name, pass) => ({
  name,
  outputs: () => [{ shape: [2], type: "float" }],
  gradient: null,
  gpu: () => ({ passes: [{ threads: [2], reads: {}, ...pass }], results: [0] }),
});

export async function webgl2() {
  // The context of the runtime, so that it can be lost.
  const contexts = [];
  const { getContext } = OffscreenCanvas.prototype;
  OffscreenCanvas.prototype.getContext = function (...from) {
    const context = getContext.apply(this, from);
    contexts.push(context);
    return context;
  };
  const runtime = await createRuntime({ device: "gpu", mode: "webgl2" });
  OffscreenCanvas.prototype.getContext = getContext;

  const run = (own) => runtime.run(own, [], { attributes: {} });
  const helpers = [{ name: "twice", parameters: ["x"], result: "x << 1" }];
  const cannot = {
    integers: await said(() => run(operation("doubling", { helpers, body: "return twice(this.thread.x);" }))),
    nonsense: await said(() => run(operation("nonsense", { body: "return (;" }))),
    large: await said(() => run(operation("growing", { threads: [2 ** 30], body: "return 1;" }))),
    atOnce: await said(() => sum(runtime.tensor([1, 2])).readSync()),
  };

  const weights = runtime.variable([0.5, -0.5], [2, 1]);
  const optimizer = sgd([weights], { momentum: 0.9 });
  const counts = [];
  for (let step = 0; step < 400; step++) {
    runtime.step(() => {
      const x = runtime.tensor([step, 1, 1, step], [2, 2]);
      optimizer.update([matmul(x, add(matmul(x, weights), x.shape[0]), { transposeA: true })], 1e-9);
    });
    if (step % 133 === 0) counts.push([runtime.backend.buffers, runtime.backend.compiled].join());
    if (step % 50 === 0) await weights.read();
  }

  const kept = runtime.tensor([1, 2]);
  contexts[0].getExtension("WEBGL_lose_context").loseContext();
  const lost = [await said(() => kept.read()), await said(() => sum(kept).read())];
  await runtime.close();
  return { cannot, counts, lost, contexts: contexts.length };
}
