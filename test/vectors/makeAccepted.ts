import { code, codeExactly, sectionsOf } from "../../codecs/code.ts";
import { codebookOf } from "../../codecs/codebook.ts";
import type { Coded } from "../../codecs/coded.ts";
import { type ModelFile, pack } from "../../codecs/container.ts";
import { chooseRans } from "../../codecs/rans.ts";
import type { Sparse } from "../../codecs/sparse.ts";
import { chooseHuffman } from "../../codecs/huffman.ts";
import { entriesOf, gapsOf } from "../../codecs/sparse.ts";
import { cnn1024, lenet300, lenet5, linear, parametersOf, softmax } from "../../lib/architectures.ts";
import type { Network } from "../../lib/network.ts";
import { sizeOf } from "../../lib/shape.ts";
import type { Weights } from "../../lib/weights.ts";
import { acceptedCoded } from "./makeAcceptedCoded.ts";
import { acceptedLegacy } from "./makeLegacy.ts";
import {
  type Accepted,
  framedFile,
  graph,
  graphFile,
  hex,
  ones,
  sealed,
  small,
  smallFile,
  startFramed,
  startMetadata,
} from "./pieces.ts";

function zeros(network: Network): Weights {
  return parametersOf(network).map(({ name, shape }) => ({ name, shape, values: new Float32Array(sizeOf(shape)) }));
}

function together(network: Network, coded: Coded): ModelFile {
  return { network, sections: [{ tensors: parametersOf(network).map(({ name }) => name), coded }] };
}

/** All tensors in one section, in the smallest spelling of these numbers. */
function chosen(network: Network, values: Float32Array): Uint8Array {
  return pack(together(network, code(codebookOf(values))));
}

/** Whole numbers from 0 to 99 that look drawn. */
const draw = (i: number): number => (Math.imul(i + 1, 2654435761) >>> 8) % 100;

const some = Float32Array.from({ length: 7840 }, (_, i) => (draw(i) < 5 ? Math.floor(draw(i) / 2) + 1 : 0));
const dense = Float32Array.from({ length: 7840 }, (_, i) => Math.floor(Math.sqrt(draw(i))) / 4);
const positions = Uint32Array.from([...some.keys()].filter((i) => some[i] !== 0));
const values = Float32Array.of(1, 2, 3);
const indices = { coder: "fixed", symbols: Uint16Array.from(positions, (_, i) => i % 3) } as const;

function sparse(places: Sparse): Uint8Array {
  return pack(together(linear, { method: "sparse codebook", length: 7840, places, entries: values, indices }));
}

function withCoder(coder: "fixed" | "huffman" | "rans"): Uint8Array {
  return pack(together(linear, code(codebookOf(dense), { coders: [coder] })));
}

const entries = Float32Array.of(0, 1);
const symbols = Uint16Array.of(0, 1, 1, 0, 1, 0);

export const accepted: readonly Accepted[] = [
  [
    "lenet5-zero",
    "the smallest LeNet-5: all numbers are 0; a known architecture is exempt from the ratio",
    pack({ network: lenet5, sections: sectionsOf(zeros(lenet5), { groups: [zeros(lenet5).map(({ name }) => name)] }) }),
  ],
  [
    "lenet300-zero",
    "all numbers of LeNet-300-100 are 0, a section per matrix and one for the biases",
    pack({ network: lenet300, sections: sectionsOf(zeros(lenet300)) }),
  ],
  [
    "cnn1024-zero",
    "all numbers of the network with dropout are 0, a section per matrix and one for the biases",
    pack({ network: cnn1024, sections: sectionsOf(zeros(cnn1024)) }),
  ],
  [
    "softmax-one",
    "softmax regression with a single value in a codebook",
    chosen(softmax, new Float32Array(7850).fill(0.25)),
  ],
  ["linear-dense-fixed", "a dense codebook, symbols of fixed width", withCoder("fixed")],
  ["linear-dense-huffman", "a dense codebook, Huffman codes", withCoder("huffman")],
  ["linear-dense-rans", "a dense codebook, rANS in the form with four states", withCoder("rans")],
  ["linear-sparse", "a sparse codebook as the writer chooses it", chosen(linear, some)],
  ["sparse-bitmap", "sparse positions as a bitmap", sparse({ form: { kind: "bitmap" }, positions })],
  [
    "sparse-relative",
    "sparse positions as gaps of 3 bits with fillers",
    sparse({ form: { kind: "relative", width: 3 }, positions }),
  ],
  [
    "sparse-gamma",
    "sparse positions as Elias gamma codes of gaps",
    sparse({ form: { kind: "golomb", order: 0 }, positions }),
  ],
  [
    "sparse-golomb",
    "sparse positions as exp-Golomb codes of order 4",
    sparse({ form: { kind: "golomb", order: 4 }, positions }),
  ],
  [
    "sparse-huffman",
    "sparse positions as gaps of 4 bits in Huffman codes",
    sparse({
      form: { kind: "huffman", width: 4, lengths: chooseHuffman(entriesOf(gapsOf(positions), 4), 17).lengths },
      positions,
    }),
  ],
  ["sparse-none", "a sparse codebook without positions: neither entries nor symbols", smallFile("0d 00")],
  ["sparse-all", "a sparse codebook where every place is taken", smallFile("0d 06 02 0000803f 00000040 0f 54")],
  [
    "sparse-float32",
    "sparse float32: the bits of a NaN, of -0, of a subnormal; a bitmap of places",
    smallFile("19 03 00 54 0100807f 00000080 01000000"),
  ],
  ["sparse-float32-none", "sparse float32 without positions: all numbers are 0", smallFile("19 00")],
  [
    "sparse-float32-all",
    "sparse float32 where every place is taken and raw numbers would take less: a choice is kept",
    smallFile("19 06 0000803f 0000803f 0000803f 0000803f 0000803f 000080ff"),
  ],
  [
    "sparse-float32-next",
    "sparse float32 for one tensor with gaps, then a codebook",
    smallFile("18 02 12 20 0000803f 00000040 08 01 000000bf"),
  ],
  [
    "sparse-float32-framed",
    "framed: sparse float32, one number of six",
    framedFile(startFramed + graph, "19 07 01 00 04 0000803f"),
  ],
  [
    "sparse-float32-linear",
    "sparse float32 of 7,840 weights, as the writer chooses it",
    pack(together(linear, codeExactly(some.map((value, i) => value * (1 + i / 7840))))),
  ],
  ["small-ones", "a described network, one entry: no symbols are written", smallFile(ones)],
  [
    "small-raw",
    "raw numbers keep a NaN's payload, infinities, -0 and subnormals",
    smallFile("05 0100807f 000080ff 00000080 01000000 ffffffff 00000000"),
  ],
  [
    "small-next-rest",
    "two sections: the next tensor, then the next one, which is the last",
    smallFile("08 01 0000803f 08 01 000000bf"),
  ],
  [
    "small-huffman-larger",
    "Huffman codes where fixed width is smaller: a choice is kept",
    pack(together(small, { method: "codebook", entries, indices: { coder: "huffman", ...chooseHuffman(symbols, 2) } })),
  ],
  [
    "small-huffman-uneven",
    "code lengths that are not the shortest: a choice is kept",
    pack(
      together(small, {
        method: "codebook",
        entries: Float32Array.of(0, 1, 2),
        indices: { coder: "huffman", lengths: Uint8Array.of(2, 2, 1), symbols: Uint16Array.of(0, 1, 0, 1, 0, 2) },
      }),
    ),
  ],
  [
    "small-rans",
    "rANS in the form with one state",
    pack(together(small, { method: "codebook", entries, indices: { coder: "rans", ...chooseRans(symbols, 2) } })),
  ],
  [
    "small-raw-larger",
    "raw numbers where a codebook is smaller: a choice is kept",
    smallFile("05 0000803f 0000803f 0000803f 0000803f 0000803f 0000803f"),
  ],
  [
    "small-metadata",
    "metadata: two keys, one value outside ASCII",
    sealed(hex(`${startMetadata} ${graph} 14 02 01 61 01 31 07 61 2d 6c 6f 6e 67 65 06 c3 a9 e2 82 ac 21 ${ones}`)),
  ],
  [
    "small-framed",
    "framed, though small: each part has its checksum",
    framedFile(startFramed + graph, "09 05 01 0000803f"),
  ],
  [
    "small-framed-metadata",
    "framed, with metadata under the first checksum",
    framedFile(`fb6b6e 01 03 ${graph} 05 01 01 61 01 31`, "08 05 01 0000803f", "08 05 01 000000bf"),
  ],
  [
    "small-framed-bitmap",
    "framed, three tensors, a bitmap that names the first and the third",
    framedFile(
      `${startFramed} 01 78 01 01 01 00 03 04 02 00 08 01 02 00 00 01 00`,
      "0a 02 05 01 0000803f",
      "08 05 01 000000bf",
    ),
  ],
  ["linear-framed", "a known architecture, framed", framedFile("fb6b6e 01 11", "08 05 01 0000803f")],
  [
    "graph-known",
    "a graph that describes a known architecture: its number is shorter, but a choice is kept",
    pack({ ...together(softmax, code(codebookOf(new Float32Array(7850).map((_, i) => draw(i))))), architecture: 0 }),
  ],
  [
    "graph-layers",
    "every kind of layer, every activation, names, strides, paddings",
    graphFile(
      "01 6e 09 08 02 00 08 01 00 19 03 02 03 01 02 01 04 65 64 67 65 0a 02 01 01 01 01 03 02 02 " +
        "05 000000000000e03f 04 02 00 0b 04 02 00 0c 03 02 03 6f 75 74 00 02 01 03 63 61 74 03 64 " +
        "6f 67",
      "09 01 0000803f",
    ),
  ],
  [
    "graph-pixels",
    "a scale and an offset of their own",
    graphFile("01 78 02 01 01 01 000000000000f03f 0000000000006040 02 04 02 00 08 02 00"),
  ],
  [
    "graph-prototype",
    "a layer called __proto__, classes called constructor and toString: names are only text",
    graphFile(
      "01 78 02 01 01 00 02 04 02 09 5f 5f 70 72 6f 74 6f 5f 5f 08 02 01 0b 63 6f 6e 73 74 72 75 " +
        "63 74 6f 72 08 74 6f 53 74 72 69 6e 67",
    ),
  ],
  ["graph-text", "a name outside ASCII", graphFile("02 c3 a9 02 01 01 00 02 04 02 00 08 02 00")],

  ...acceptedCoded,
  ...acceptedLegacy,
];
