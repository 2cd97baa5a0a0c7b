import type { Activation, Network } from "../../lib/network.ts";
import { seedKey, word } from "../../lib/random.ts";
import type { Dataset } from "../../models/index.ts";

/** A network of every kind of layer, small enough to train in milliseconds: 6x6 pixels, three classes. */
export function smallNetwork(activation: Activation = "tanh", keep = 0.8): Network {
  return {
    name: "small",
    input: { height: 6, width: 6, channels: 1, scale: 1 / 255, offset: 10 },
    layers: [
      {
        type: "convolution",
        name: "c1",
        filters: 3,
        kernel: [3, 3],
        stride: [1, 1],
        padding: "valid",
        bias: true,
        activation: "relu",
      },
      { type: "maxPool", size: 2, stride: 2 },
      { type: "flatten" },
      { type: "dropout", keep },
      { type: "dense", name: "d1", units: 5, bias: false, activation },
      { type: "dense", name: "d2", units: 3, bias: true, activation: "none" },
    ],
    classes: ["left", "middle", "right"],
  };
}

/** Images of two bright columns, at a place that says the class, among noise. */
export function smallData(count: number, seed = 1): Dataset {
  const key = seedKey(seed);
  const images = new Uint8Array(count * 36);
  const labels = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    labels[i] = word(key, 0, 1, i) % 3;
    for (let p = 0; p < 36; p++) {
      const bright = Math.floor((p % 6) / 2) === labels[i] ? 120 : 0;
      images[i * 36 + p] = bright + (word(key, 0, 0, i * 36 + p) % 120);
    }
  }
  return { images, count, height: 6, width: 6, channels: 1, labels, classes: ["left", "middle", "right"] };
}
