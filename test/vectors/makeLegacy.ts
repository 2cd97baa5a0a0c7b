import type { LegacyCode } from "../../codecs/legacy.ts";
import { trainedCount } from "../../codecs/mrcl/hashGroups.ts";
import { pack } from "../../codecs/container.ts";
import { lenet5, linear, parametersOf, softmax } from "../../lib/architectures.ts";
import type { Network } from "../../lib/network.ts";
import { sizeOf } from "../../lib/shape.ts";
import { image } from "./makeAcceptedCoded.ts";
import { twoLayers } from "./makeRefusedCoded.ts";
import {
  type Accepted,
  framedFile,
  graph,
  graphFile,
  hex,
  type Refused,
  sealed,
  small,
  smallFile,
  startFramed,
} from "./pieces.ts";

/** Files of legacy codes. Their indices follow a pattern: none is of a published file. */

type Choice = Pick<LegacyCode, "candidates" | "bits" | "block" | "groups">;

/** All tensors of a network in one legacy code. */
function legacyOf(network: Network, choice: Choice): LegacyCode {
  const shapes = parametersOf(network).map(({ shape }) => shape);
  const scalars = shapes.reduce((sum, shape, t) => sum + trainedCount(sizeOf(shape), choice.groups?.[t] ?? 1), 0);
  const blocks = Math.ceil(scalars / choice.block);
  return {
    method: "legacy",
    shapes,
    ...choice,
    scales: Float32Array.from(shapes, (_, t) => Math.fround(0.3 / (t + 1))),
    indices: Uint32Array.from({ length: blocks }, (_, b) => (b * b * 31 + b * 7 + 5) % 2 ** choice.bits),
  };
}

function legacyFile(network: Network, choice: Choice): Uint8Array {
  const tensors = parametersOf(network).map(({ name }) => name);
  return pack({ network, framed: false, sections: [{ tensors, coded: legacyOf(network, choice) }] });
}

/** A legacy code of the matrix of the small network, before a codebook for its bias. */
const beforeAnother = pack({
  network: small,
  framed: true,
  sections: [
    {
      tensors: ["fc1.weight"],
      coded: {
        method: "legacy",
        shapes: [[2, 2]],
        candidates: "sobol",
        bits: 3,
        block: 2,
        scales: Float32Array.of(0.5),
        indices: Uint32Array.of(6, 1),
      },
    },
    { tensors: ["fc1.bias"], coded: { method: "float32", values: Float32Array.of(1, 2) } },
  ],
});

const half = "0000003f";
const eighth = "0000803d";
const scales = `${half} ${eighth}`;

export const acceptedLegacy: readonly Accepted[] = [
  ["legacy-small", "legacy: two blocks of 16 candidates", smallFile(`1d 03 03 ${scales} 5c`)],
  ["legacy-padding", "legacy: a block of 40 places for six scalars", smallFile(`1d 03 28 ${scales} 50`)],
  ["legacy-normals", "legacy: drawn normals, all in one block", smallFile(`1d 23 06 ${scales} 50`)],
  ["legacy-groups", "legacy: groups of three and of two, a block each", smallFile(`1d 63 03 02 01 ${scales} 51f0`)],
  ["legacy-no-bytes", "legacy: indices of 0, in no bytes", smallFile(`1d 03 03 ${scales}`)],
  [
    "legacy-scale-edges",
    "legacy: the smallest scale and the largest, 2^-100 and 2^100",
    smallFile("1d 03 03 0000800d 00008071 5c"),
  ],
  ["legacy-most-bits", "legacy: the last of 4,096 candidates of 32", smallFile(`1d 0b 20 ${scales} fff0`)],
  ["legacy-framed", "legacy, framed: before another section", beforeAnother],
  [
    "legacy-after-codebook",
    "not framed: a codebook for a bitmap of tensors, then legacy for the others",
    graphFile(twoLayers, `0a 02 01 0000803f 1d 01 02 ${half} ${eighth} 90`),
  ],
  [
    "legacy-image",
    "legacy: kernels, groups that do not fill their tensors, a matrix behind an image",
    legacyFile(image, { candidates: "sobol", bits: 5, block: 7, groups: [1, 1, 5, 4, 2] }),
  ],
  [
    "legacy-softmax",
    "legacy: an image of 28 x 28 weights for each output",
    legacyFile(softmax, { candidates: "sobol", bits: 6, block: 15 }),
  ],
  ["legacy-linear", "legacy: drawn normals, padding", legacyFile(linear, { candidates: "normal", bits: 5, block: 30 })],
  [
    "legacy-lenet5",
    "legacy: the groups of published networks, a dense matrix behind one of groups",
    legacyFile(lenet5, { candidates: "sobol", bits: 2, block: 20, groups: [1, 1, 2, 1, 50, 1, 1, 1] }),
  ],
];

const legacy = (text: string): Uint8Array => smallFile(`1d ${text}`);
/** Networks that are known by their number. */
const linearLegacy = (text: string): Uint8Array => sealed(hex(`fb6b6e 01 10 1c ${text}`));
const lenet300 = (text: string): Uint8Array => sealed(hex(`fb6b6e 01 08 1d ${text}`));

export const refusedLegacy: readonly Refused[] = [
  ["legacy-form", "legacy: 13 bits per block", "legacy-form", legacy(`0c 03 ${scales} 5c`)],
  ["legacy-form-wide", "legacy: 17 bits per block", "legacy-form", legacy(`10 03 ${scales} 5c`)],
  ["legacy-form-unknown", "legacy: a form of 128", "legacy-form", legacy(`83 03 ${scales} 5c`)],
  ["legacy-cut", "legacy: nothing after the form", "truncated", legacy("03")],
  ["legacy-groups-alone", "legacy: groups of 1, which are not said", "legacy-groups", legacy(`43 01 01 03 ${scales}`)],
  ["legacy-groups-zero", "legacy: a group of no numbers", "varint-range", legacy(`43 02 00 03 ${scales}`)],
  ["legacy-groups-large", "legacy: three of two numbers", "varint-range", legacy(`43 01 03 03 ${scales}`)],
  ["legacy-groups-cut", "legacy: the second group is missing", "truncated", legacy("43 02")],
  ["legacy-block-none", "legacy: a block of no scalars", "varint-range", legacy(`03 00 ${scales}`)],
  ["legacy-block-sobol", "legacy: a block of 41 Sobol numbers", "varint-range", legacy(`03 29 ${scales}`)],
  ["legacy-block-normals", "legacy: a block of seven of six scalars", "varint-range", legacy(`23 07 ${scales}`)],
  [
    "legacy-block-groups",
    "legacy: a block of four where groups leave three scalars",
    "varint-range",
    legacy(`63 03 02 04 ${scales} 50`),
  ],
  [
    "legacy-size-table",
    "legacy: 4,096 candidates of 33 drawn normals, where 32 would be 2^17",
    "legacy-size",
    linearLegacy(`2b 21 ${half}`),
  ],
  [
    "legacy-size-scores",
    "legacy: 1,024 candidates for each of 266,610 scalars, which are more than 2^27",
    "legacy-size",
    lenet300(`09 28 ${half}`),
  ],
  ["legacy-scales-cut", "legacy: the second scale is missing", "truncated", legacy(`03 03 ${half}`)],
  [
    "legacy-scales-cut-zero",
    "legacy: the second scale is missing, and the first is 0",
    "truncated",
    legacy("03 03 00000000"),
  ],
  ["legacy-scale-zero", "legacy: a scale of 0", "legacy-scale", legacy(`03 03 ${half} 00000000`)],
  ["legacy-scale-negative", "legacy: a scale of -0.5", "legacy-scale", legacy("03 03 000000bf 0000803d")],
  ["legacy-scale-nan", "legacy: a scale that is no number", "legacy-scale", legacy(`03 03 ${half} 0000c07f`)],
  ["legacy-scale-infinite", "legacy: an infinite scale", "legacy-scale", legacy(`03 03 ${half} 0000807f`)],
  ["legacy-scale-small", "legacy: the largest scale below 2^-100", "legacy-scale", legacy("03 03 ffff7f0d 0000803d")],
  ["legacy-scale-large", "legacy: the smallest scale above 2^100", "legacy-scale", legacy("03 03 01008071 0000803d")],
  [
    "legacy-last",
    "legacy before another section, in a file that is not framed",
    "levels-last",
    smallFile(`1c 03 03 ${half} 08 01 0000803f`),
  ],
  ["legacy-range-start", "legacy: a number above every range", "range-start", legacy(`03 03 ${scales} ffffffff`)],
  [
    "legacy-range-leftover",
    "legacy: a byte after the last one needed",
    "range-leftover",
    legacy(`03 03 ${scales} 5c 00 00 00 01`),
  ],
  ["legacy-range-zero", "legacy: a last byte of 0, which is not written", "range-zero", legacy(`03 03 ${scales} 5c00`)],
  ["legacy-range-end", "legacy: not the roundest number of the range", "range-end", legacy(`03 03 ${scales} 5c01`)],
  [
    "legacy-framed-cut",
    "legacy, framed: a length that ends inside a scale",
    "truncated",
    framedFile(startFramed + graph, `1d 09 03 03 ${half} 000080`),
  ],
  [
    "legacy-ratio",
    "no bytes of indices for 4 million numbers of a described network",
    "limit-ratio",
    graphFile("01 78 8008 01 01 00 02 04 02 00 00 8020 00", `1c 00 28 ${half}`),
  ],
];
