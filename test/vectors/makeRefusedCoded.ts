import { BitWriter } from "../../codecs/bits.ts";
import { ByteWriter } from "../../codecs/bytes.ts";
import { StepWriter, writeGamma } from "../../codecs/golomb.ts";
import {
  framedFile,
  graph,
  graphFile,
  hex,
  type Refused,
  sealed,
  smallFile,
  startFramed,
  startMetadata,
} from "./pieces.ts";

/** Refused files of the methods whose bytes are not spelled by hand: levels, MIRACLE; and sparse positions in codes. */

/** Bits that `write` writes, filled up with zeros to bytes, in hex. */
export function bits(write: (to: BitWriter) => void): string {
  const to = new ByteWriter();
  const row = new BitWriter(to);
  write(row);
  row.finish();
  return Buffer.from(to.finish()).toString("hex");
}

/** A row of steps: numbers, and `undefined` for an absent entry. */
export function steps(field: number, ...numbers: readonly (number | undefined)[]): string {
  return bits((to) => {
    const row = new StepWriter(to, field);
    for (const n of numbers) {
      if (n === undefined) row.absent();
      else row.present(n);
    }
  });
}

/** A network of two layers: [2, 2], [2], [2, 1] and [1], nine numbers. */
export const twoLayers = "01 78 02 01 01 00 03 04 02 00 08 02 02 00 08 01 00";

/** Levels for all six numbers of the small network: two scales, then the bytes of a range coder. */
const levels = (text: string): Uint8Array => smallFile(`11 ${text}`);
const miracle = (text: string): Uint8Array => smallFile(`15 ${text}`);
const twoLayerMiracle = (text: string): Uint8Array => graphFile(twoLayers, `15 ${text}`);
const sparseCoded = (text: string): Uint8Array => smallFile(`0d ${text} 01 0000803f`);

/** 2,098,176 numbers in a matrix: a file that large is needed for the ratio, and the metadata fill it. */
const large = (section: string): Uint8Array =>
  sealed(
    hex(
      `${startMetadata} 01 78 8110 01 01 00 02 04 02 00 00 8008 00 ` +
        `d510 01 01 61 d010 ${"61".repeat(2128)} ${section}`,
    ),
  );

/** LeNet-300-100, known by its number. */
const lenet300 = (section: string): Uint8Array => sealed(hex(`fb6b6e 01 08 ${section}`));

export const refusedCoded: readonly Refused[] = [
  // Levels.
  ["levels-cut", "levels: the second scale is missing", "truncated", levels("c0")],
  [
    "levels-last",
    "levels before another section, in a file that is not framed",
    "levels-last",
    smallFile("10 c0 26b8 08 01 0000803f"),
  ],
  [
    "levels-last-bitmap",
    "levels for a bitmap of tensors, while one is open",
    "levels-last",
    graphFile(twoLayers, "12 03 c0 c0 c0 17 08 01 0000803f"),
  ],
  ["levels-scale", "levels: a scale for a tensor whose levels are all 0", "levels-scale", levels("c0 c0 26b4")],
  ["levels-scale-first", "levels: scales for nothing but zeros", "levels-scale", levels("01 00 80")],
  ["levels-live-dead", "levels: units that are said to be live, and are not", "levels-live", levels("c0 c0")],
  ["levels-live-expected", "levels: the expected live units spelled out", "levels-live", levels("c0 c0 78")],
  ["levels-live-flags", "levels: flags for live units of which none is missing", "levels-live", levels("c0 c0 7b")],
  ["levels-live-end", "levels: unit 3 of two is live", "levels-live", levels("c0 c0 7c")],
  ["range-start", "levels: a number above every range", "range-start", levels("c0 c0 ffffffff")],
  [
    "range-leftover",
    "levels: a byte after the last one needed",
    "range-leftover",
    levels("c0 c0 26b720 00 00 00 00 01"),
  ],
  ["range-leftover-file", "levels, and after them a section", "range-leftover", levels("c0 c0 26b720 08 01 0000803f")],
  ["range-zero", "levels: a last byte of 0, which is not written", "range-zero", levels("c0 c0 26b720 00")],
  ["range-end", "levels: not the roundest number of the last range", "range-end", levels("c0 c0 26b721")],
  [
    "range-framed",
    "levels, framed: the length ends where more zeros begin",
    "range-zero",
    framedFile(startFramed + graph, "11 06 c0 c0 26b720 00"),
  ],
  [
    "levels-ratio",
    "no bytes of levels for 4 million zeros of a described network",
    "limit-ratio",
    graphFile("01 78 8008 01 01 00 02 04 02 00 00 8020 00", "10 00 80"),
  ],

  // MIRACLE.
  ["miracle-form", "MIRACLE: 21 bits per block", "miracle-form", miracle("11 07 01 c0 c0 500000")],
  ["miracle-form-wide", "MIRACLE: 35 bits per block", "miracle-form", miracle("1f 07 01 c0 c0 5000000000")],
  ["miracle-seed", "MIRACLE: a seed of 2^32", "varint-range", miracle("00 8080808010 01 c0 c0 50")],
  ["miracle-cut", "MIRACLE: nothing after the form", "truncated", miracle("00")],
  [
    "miracle-live-none",
    "MIRACLE: live counts where there are none to give",
    "miracle-live",
    miracle("20 07 01 c0 c0 50"),
  ],
  [
    "miracle-live-all",
    "MIRACLE: all units are live, which is not said",
    "miracle-live",
    twoLayerMiracle("20 07 02 01 c0 c0 c0 c0 50"),
  ],
  ["miracle-live-zero", "MIRACLE: no unit is live", "varint-range", twoLayerMiracle("20 07 00 01 c0 c0 c0 c0 50")],
  [
    "miracle-live-many",
    "MIRACLE: three live units of two",
    "varint-range",
    twoLayerMiracle("20 07 03 01 c0 c0 c0 c0 50"),
  ],
  [
    "miracle-groups-alone",
    "MIRACLE: groups of one weight, which are not said",
    "miracle-groups",
    miracle("40 07 02 02 01 c0 c0 50"),
  ],
  [
    "miracle-groups-hashed",
    "MIRACLE: a hashed group of one weight",
    "miracle-groups",
    miracle("40 07 04 03 01 c0 c0 50"),
  ],
  ["miracle-groups-zero", "MIRACLE: a group of no weights", "varint-range", miracle("40 07 01 02 01 c0 c0 50")],
  [
    "miracle-groups-large",
    "MIRACLE: five of four weights share a scalar",
    "varint-range",
    miracle("40 07 0a 02 01 c0 c0 50"),
  ],
  [
    "miracle-groups-huge",
    "MIRACLE: 2^31 weights share a scalar",
    "varint-range",
    miracle("40 07 ffffffff0f 02 01 c0 c0 50"),
  ],
  [
    "miracle-groups-live",
    "MIRACLE: three weights share a scalar where two are live",
    "varint-range",
    twoLayerMiracle("60 07 01 06 02 02 02 01 c0 c0 c0 c0 50"),
  ],
  [
    "miracle-size",
    "MIRACLE: 2,098,176 scalars in a tensor",
    "miracle-size",
    large(`14 00 07 8104 c0 ${"55".repeat(257)}`),
  ],
  ["miracle-blocks-none", "MIRACLE: no blocks", "varint-range", miracle("00 07 00 c0 c0")],
  ["miracle-blocks-many", "MIRACLE: seven blocks of six scalars", "varint-range", miracle("00 07 07 c0 c0 55555550")],
  [
    "miracle-blocks-few",
    "MIRACLE: 32 blocks of 266,610 scalars, 8,332 in a block",
    "varint-range",
    lenet300(`15 00 07 20 c0 c0 c0 c0 c0 c0 ${"55".repeat(16)}`),
  ],
  ["miracle-blocks-huge", "MIRACLE: 2^53 - 1 blocks", "varint-range", miracle("00 07 ffffffffffffff0f c0 c0 50")],
  ["miracle-scales-cut", "MIRACLE: the second scale is missing", "truncated", miracle("00 07 01 c0")],
  [
    "miracle-sizes-sum",
    "MIRACLE: blocks of 3 and 4 scalars where there are six",
    "miracle-sizes",
    miracle(`80 07 02 c0 c0 ${steps(13, 3, 4)} 55`),
  ],
  [
    "miracle-sizes-short",
    "MIRACLE: blocks of 3 and 2 scalars where there are six",
    "miracle-sizes",
    miracle(`80 07 02 c0 c0 ${steps(13, 3, 2)} 55`),
  ],
  ["miracle-sizes-zero", "MIRACLE: a block of no scalars", "step-range", miracle(`80 07 01 c0 c0 ${steps(13, 0)} 50`)],
  [
    "miracle-sizes-large",
    "MIRACLE: a step to a block of 8,192",
    "step-range",
    lenet300(`15 80 07 21 c0 c0 c0 c0 c0 c0 ${bits((to) => {
      writeGamma(1, to);
      to.bits(8191, 13);
      writeGamma(2, to);
    })} ${"55".repeat(20)}`),
  ],
  [
    "miracle-sizes-absent",
    "MIRACLE: a block that is absent",
    "step-absent",
    miracle(`80 07 02 c0 c0 ${bits((to) => {
      writeGamma(1, to);
      to.bits(3, 13);
      writeGamma(4, to);
    })} 55`),
  ],
  ["miracle-sizes-cut", "MIRACLE: six sizes in no bytes", "truncated", miracle("80 07 06 c0 c0")],
  [
    "miracle-sizes-padding",
    "MIRACLE: a spare bit after the sizes",
    "padding",
    miracle(`80 07 01 c0 c0 ${bits((to) => {
      writeGamma(1, to);
      to.bits(6, 13);
      to.bits(1, 2);
    })} 50`),
  ],
  ["miracle-indices-cut", "MIRACLE: an index is missing", "truncated", miracle("00 07 03 c0 c0 55")],
  ["miracle-padding", "MIRACLE: a spare bit after the indices", "padding", miracle("00 07 01 c0 c0 51")],
  ["miracle-leftover", "MIRACLE: a byte after the indices", "leftover", miracle("00 07 01 c0 c0 50 00")],
  [
    "miracle-ratio",
    "MIRACLE: one block for 16 million weights of which few are live",
    "limit-ratio",
    graphFile("01 78 01 01 01 00 03 04 02 00 00 8020 02 00 00 8020 00", "15 20 07 01 01 c0 c0 50"),
  ],

  // Sparse positions in Huffman codes: the alphabet is 2^w + 1, the last symbol is the filler.
  [
    "sparse-huffman-alphabet",
    "code lengths of 2, 2 and 2 for the entries 0, 1 and the filler, and no symbol after it",
    "huffman-incomplete",
    sparseCoded(`01 31 00 ${steps(4, 2, 2, 2)}`),
  ],
  [
    "sparse-huffman-past",
    "a step over the filler, number 2^1, to number 2^1 + 1, which is none",
    "step-absent",
    sparseCoded(`01 31 00 ${steps(4, 2, 2, undefined, 2)}`),
  ],
  [
    "sparse-huffman-over",
    "a step over two absent symbols where one is left",
    "golomb-range",
    sparseCoded(`01 31 00 ${steps(4, 1, undefined, undefined, 1)}`),
  ],

  // Inputs of 3.3 that are just too large.
  [
    "shape-input-edge",
    "an input of 2^26 + 2^13 numbers, of which a pooling makes one",
    "graph-shape",
    graphFile("01 78 8040 8140 01 00 03 03 8040 01 04 02 00 08 02 00"),
  ],
  [
    "framed-length-edge",
    "framed: a length of one more than 8 * 6 + 65536",
    "varint-range",
    framedFile(startFramed + graph, "09 b18004 01 0000803f"),
  ],
  ["version-draft", "a file of version 0, the draft", "version", hex("fb6b6e 00 10 09 01 0000803e 28d8a5fd")],
  [
    "head-reserved",
    "a head whose number is above all architectures",
    "architecture",
    sealed(hex("fb6b6e 01 7c 08 01 0000803f")),
  ],
];
