// Trains beside the page. A worker has no import map.

/* global self */
import { createRuntime } from "/dist/lib/index.js";
import { digest, fit } from "/dist/models/index.js";

self.onmessage = async ({ data: { options, training } }) => {
  try {
    const runtime = await createRuntime(options);
    const { description } = runtime;
    const { weights } = await fit({ runtime, ...training });
    await runtime.close();
    self.postMessage({ description, trained: digest(weights) });
  } catch (error) {
    self.postMessage({ error: String(error) });
  }
};
