// onnxruntime, in WebAssembly (`--form web`) or native (`--form node`). It does inference only.

import { model } from "./onnx-model.mjs";
import { asked, serve, version } from "./serve.mjs";
import { examples, parameters } from "./works.mjs";

const name = `onnxruntime-${asked.form}`;
const { InferenceSession, Tensor, env } = await import(name);
if (asked.form === "web") env.wasm.numThreads = asked.threads;
const options = {
  executionProviders: [asked.form === "web" ? "wasm" : "cpu"],
  intraOpNumThreads: asked.threads,
  interOpNumThreads: 1,
};

await serve({
  peer: name,
  version: version(name),
  async prepare({ kind, network, batch }) {
    if (kind !== "inference") return "inference only";
    const session = await InferenceSession.create(model(parameters(network), batch), options);
    const { images } = examples(batch);
    return {
      async run() {
        const { logits } = await session.run({ images: new Tensor("float32", images, [batch, 1, 28, 28]) });
        return logits.data;
      },
    };
  },
});
