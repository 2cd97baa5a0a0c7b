import type { Coded } from "../../codecs/coded.ts";
import { type ModelFile, pack } from "../../codecs/container.ts";
import { largestLevel } from "../../codecs/levels.ts";
import { lenet5, linear, parametersOf } from "../../lib/architectures.ts";
import type { Network } from "../../lib/network.ts";
import { sizeOf } from "../../lib/shape.ts";
import { steps, twoLayers } from "./makeRefusedCoded.ts";
import { type Accepted, framedFile, graph, graphFile, small, smallFile, startFramed } from "./pieces.ts";

/** Accepted files of levels and MIRACLE, and some at the edges of the graph. */

/** All tensors of a network in one section of levels: `level` names each from its tensor and its place in it. */
function leveled(network: Network, scales: readonly number[], level: (t: number, i: number) => number): Uint8Array {
  const tensors = parametersOf(network);
  const levels = tensors.map(({ shape }, t) => Int32Array.from({ length: sizeOf(shape) }, (_, i) => level(t, i)));
  const coded: Coded = { method: "levels", scales: Uint8Array.from(scales), levels };
  return pack({ network, sections: [{ tensors: tensors.map(({ name }) => name), coded }] });
}

/** Whole numbers from 0 to 99 that look drawn. */
const draw = (i: number): number => (Math.imul(i + 1, 2654435761) >>> 8) % 100;

/** Two convolutions of which units are dead, and a dense layer behind them. */
export const image: Network = {
  name: "image",
  input: { height: 8, width: 8, channels: 1, scale: 1 / 255, offset: 0 },
  layers: [
    {
      type: "convolution",
      name: "conv1",
      filters: 4,
      kernel: [3, 3],
      stride: [1, 1],
      padding: "valid",
      bias: true,
      activation: "relu",
    },
    { type: "maxPool", size: 2, stride: 2 },
    {
      type: "convolution",
      name: "conv2",
      filters: 3,
      kernel: [2, 2],
      stride: [1, 1],
      padding: "same",
      bias: false,
      activation: "tanh",
    },
    { type: "flatten" },
    { type: "dense", name: "fc1", units: 2, bias: true, activation: "none" },
  ],
  classes: ["0", "1"],
};
const outputsOfImage = parametersOf(image).map(({ shape }) => shape.at(-1)!);

const ofTwo: ModelFile["sections"][number] = {
  tensors: ["fc1.weight"],
  coded: { method: "levels", scales: Uint8Array.of(180), levels: [Int32Array.of(1, 0, -2, 1)] },
};
const rest: ModelFile["sections"][number] = {
  tensors: ["fc1.bias"],
  coded: { method: "levels", scales: Uint8Array.of(0), levels: [Int32Array.of(0, 0)] },
};

export const acceptedCoded: readonly Accepted[] = [
  // Levels.
  ["levels-small", "levels of two tensors, each with a scale of 1", smallFile("11 c0 c0 26b720")],
  ["levels-zero", "levels that are all 0, whose scales are 0 too", smallFile("11 00 00 80")],
  ["levels-scale-edges", "levels: the smallest scale and the largest, 2^-24 and 234.75", smallFile("11 00 ff 26b720")],
  [
    "levels-largest",
    "levels: the largest and the smallest there are",
    leveled(small, [192, 255], (t, i) => (t + i) % 2 === 0 ? largestLevel : -largestLevel),
  ],
  [
    "levels-image",
    "levels of kernels with units that are dead, and of a matrix behind an image",
    leveled(image, [170, 180, 171, 172, 0], (t, i) =>
      t === 4 || (t < 3 && i % outputsOfImage[t]! === 1) ? 0 : Math.trunc((draw(i + 97 * t) - 50) / 16),
    ),
  ],
  [
    "levels-linear",
    "levels of 7,840 weights, most of them 0",
    leveled(linear, [168], (_, i) => (draw(i) < 6 && (i * 7) % 280 < 200 ? draw(i) - 3 || 3 : 0)),
  ],
  ["levels-lenet5-zero", "levels of a LeNet-5: all are 0", leveled(lenet5, new Array<number>(8).fill(0), () => 0)],
  [
    "levels-first-framed",
    "framed: levels before another section",
    pack({ network: small, framed: true, sections: [ofTwo, rest] }),
  ],
  [
    "levels-after-codebook",
    "not framed: a codebook for a bitmap of tensors, then levels for the others",
    graphFile(twoLayers, "0a 02 01 0000803f 11 c0 00 5a"),
  ],
  ["levels-no-bytes", "levels of a bias that are all 0, in no bytes", smallFile("08 01 0000803f 10 00")],

  // MIRACLE.
  ["miracle-small", "MIRACLE: six scalars in one block, the sixth of 16 samples", smallFile("15 00 07 01 c0 c0 50")],
  ["miracle-two", "MIRACLE: two blocks, whose indices share a byte", smallFile("15 00 07 02 b8 a0 5b")],
  ["miracle-most-bits", "MIRACLE: the last of 2^20 samples", smallFile("15 10 07 01 c0 c0 fffff0")],
  ["miracle-most-blocks", "MIRACLE: a block for each scalar", smallFile("15 00 07 06 c0 c0 012345")],
  ["miracle-seed", "MIRACLE: the largest seed, and the scales at the edges", smallFile("15 00 ffffffff0f 01 00 ff 50")],
  [
    "miracle-live",
    "MIRACLE: one of two units is live: no scalar for its weights, its bias, or what it feeds",
    graphFile(twoLayers, "15 20 07 01 02 c0 c1 c2 c3 19"),
  ],
  [
    "miracle-runs",
    "MIRACLE: three neighbours share a scalar, and one is left over",
    smallFile("15 40 07 06 02 01 c0 c0 50"),
  ],
  [
    "miracle-hashed",
    "MIRACLE: a hash names which of two scalars, and its sign",
    smallFile("15 40 07 05 04 02 c0 c0 50"),
  ],
  [
    "miracle-sizes",
    "MIRACLE: blocks of 4 and 2 scalars, and as many as without sizes: a choice is kept",
    smallFile(`15 80 07 02 c0 c0 ${steps(13, 4, 2)} 5b`),
  ],
  [
    "miracle-sizes-equal",
    "MIRACLE: sizes that would hold unsaid: a choice is kept",
    smallFile(`15 80 07 02 c0 c0 ${steps(13, 3, 3)} 5b`),
  ],
  [
    "miracle-all",
    "MIRACLE: live units, groups and sizes at once",
    graphFile(twoLayers, `15 e0 07 01 05 02 02 02 02 c0 c1 c2 c3 ${steps(13, 1, 3)} 19`),
  ],
  ["miracle-first", "MIRACLE for one tensor, then a codebook", smallFile("14 00 07 01 c0 50 08 01 0000803f")],
  ["miracle-framed", "MIRACLE, framed", framedFile(startFramed + graph, "15 06 00 07 01 c0 c0 50")],
  [
    "miracle-linear",
    "MIRACLE: 7,840 weights in 20 blocks of 8 bits, three and more to a scalar",
    pack({
      network: linear,
      sections: [
        {
          tensors: ["fc1.weight"],
          coded: {
            method: "miracle",
            shapes: [[784, 10]],
            bits: 8,
            seed: 2026,
            groups: [{ size: 3, hashed: true }],
            scales: Uint8Array.of(160),
            indices: Uint32Array.from({ length: 20 }, (_, b) => (draw(b) * 41) % 256),
          },
        },
      ],
    }),
  ],

  // The largest input of 3.3.
  [
    "graph-input-largest",
    "an input of 2^26 numbers, of which a pooling makes one",
    graphFile("01 78 8040 8040 01 00 03 03 8040 01 04 02 00 08 02 00", "09 01 0000803f"),
  ],
];
