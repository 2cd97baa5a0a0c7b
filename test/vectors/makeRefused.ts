import { refusedLegacy } from "./makeLegacy.ts";
import { refusedCoded } from "./makeRefusedCoded.ts";
import {
  framedFile,
  graph,
  graphFile,
  hex,
  ones,
  type Refused,
  sealed,
  smallFile,
  start,
  startFramed,
  startMetadata,
} from "./pieces.ts";

const good = smallFile(ones);
const changed = (bytes: Uint8Array, at: number, change: number): Uint8Array =>
  bytes.map((byte, i) => (i === (at < 0 ? bytes.length + at : at) ? byte ^ change : byte));

/** A codebook for all six numbers: what comes after the section's first byte. */
const dense = (content: string): Uint8Array => smallFile(`09 ${content}`);
/** The entries 1 and 2, and a coder's tag and bytes for six symbols. */
const coded = (symbols: string): Uint8Array => dense(`02 0000803f 00000040 ${symbols}`);
const sparse = (content: string): Uint8Array => smallFile(`0d ${content}`);
/** Sparse float32 for all six numbers. */
const sparseRaw = (content: string): Uint8Array => smallFile(`19 ${content}`);
/** A graph from its layers and classes, for an input [2, 1, 1]. */
const layers = (text: string, classes = "00"): Uint8Array => graphFile(`01 78 02 01 01 00 ${text} ${classes}`);
const pixels = (scale: string, offset: string): Uint8Array =>
  graphFile(`01 78 02 01 01 01 ${scale} ${offset} 02 04 02 00 08 02 00`);
/** Metadata after a graph: its bytes, the length first. */
const metadata = (text: string): Uint8Array => sealed(hex(`${startMetadata} ${graph} ${text} ${ones}`));

const one64 = "000000000000f03f";
const zero64 = "0000000000000000";

export const refused: readonly Refused[] = [
  // Length and identity.
  ["empty", "no bytes at all", "truncated", hex("")],
  ["one-byte", "the first byte alone", "truncated", hex("fb")],
  ["magic-cut", "the magic alone", "truncated", hex("fb6b6e")],
  ["magic-wrong", "another first byte", "magic", changed(good, 0, 1)],
  ["magic-text", "a text file", "magic", new TextEncoder().encode("kilonet file\n")],
  ["magic-gzip", "a gzip file", "magic", hex("1f8b0800000000000003")],
  ["polyglot-prefix", "a good file after a byte that is not its own", "magic", Uint8Array.of(0, ...good)],
  ["version-future", "a version that does not exist yet", "version", hex("fb6b6e ff 00 00000000")],
  [
    "head-overlong",
    "the head spelled with a byte more than it needs",
    "varint-overlong",
    hex("fb6b6e 01 80 00 00000000"),
  ],
  ["head-wide", "a head above 2^53 - 1", "varint-range", hex("fb6b6e 01 ffffffffffffff7f 00000000")],
  ["head-endless", "a head that does not end", "varint-range", hex("fb6b6e 01 ffffffffffffffffffffffffffffffff")],
  ["head-cut", "the head ends inside its varint", "truncated", hex("fb6b6e 01 80")],
  [
    "architecture-unknown",
    "an architecture that does not exist",
    "architecture",
    sealed(hex("fb6b6e 01 fcffffff0f 09 01 0000803f")),
  ],
  ["checksum-cut", "three bytes where the checksum of four should be", "truncated", hex("fb6b6e 01 00 000000")],
  ["cut-last", "the last byte is missing", "checksum", good.slice(0, -1)],
  ["cut-middle", "the second half is missing", "checksum", good.slice(0, good.length / 2)],
  ["checksum-flip", "one bit of the checksum flipped", "checksum", changed(good, -1, 1)],
  ["content-flip", "one bit of a number flipped", "checksum", changed(good, -6, 4)],
  ["checksum-zero", "a checksum of zero", "checksum", Uint8Array.of(...good.subarray(0, -4), 0, 0, 0, 0)],
  ["trailing", "a byte after the checksum", "checksum", Uint8Array.of(...good, 0)],
  ["twice", "two good files in a row", "checksum", Uint8Array.of(...good, ...good)],
  ["leftover", "a byte that belongs to no section, under a right checksum", "leftover", smallFile(`${ones} 00`)],
  ["leftover-section", "a section after all tensors have had theirs", "leftover", smallFile(`${ones} ${ones}`)],
  ["no-sections", "the sections are missing", "truncated", smallFile("")],
  ["section-missing", "a tensor has no section", "truncated", smallFile("08 01 0000803f")],

  // Sections.
  ["method-zero", "method 0", "method-unknown", smallFile("01 01 0000803f")],
  ["method-unknown", "method 63, which does not exist", "method-unknown", smallFile("fd 01 0000803f")],
  ["cover-unknown", "cover 3", "section-cover", smallFile("0b 01 0000803f")],
  [
    "cover-rest-one",
    "cover 1 where one tensor is left, which cover 0 says",
    "section-cover",
    smallFile("08 01 0000803f 09 01 0000803f"),
  ],
  [
    "cover-bitmap-none",
    "a bitmap of no other tensor, which cover 0 says",
    "section-cover",
    smallFile("0a 00 01 0000803f 08 01 0000803f"),
  ],
  ["cover-bitmap-all", "a bitmap of all tensors, which cover 1 says", "section-cover", smallFile("0a 01 01 0000803f")],
  [
    "cover-bitmap-spare",
    "a bitmap with a bit for a tensor that does not exist",
    "padding",
    smallFile("0a 03 01 0000803f"),
  ],
  ["cover-bitmap-cut", "the bitmap is missing", "truncated", smallFile("0a")],
  [
    "raw-cut",
    "raw numbers, three bytes short",
    "truncated",
    smallFile("05 0000803f 0000803f 0000803f 0000803f 0000803f 00"),
  ],

  // Framed files.
  [
    "framed-prelude-checksum",
    "framed: the first checksum is wrong",
    "checksum",
    changed(framedFile(startFramed + graph, "09 05 01 0000803f"), 21, 1),
  ],
  [
    "framed-section-checksum",
    "framed: the checksum of the section is wrong",
    "checksum",
    changed(framedFile(startFramed + graph, "09 05 01 0000803f"), -1, 1),
  ],
  [
    "framed-section-flip",
    "framed: one bit of a number flipped",
    "checksum",
    changed(framedFile(startFramed + graph, "09 05 01 0000803f"), -5, 1),
  ],
  [
    "framed-length-long",
    "framed: the length is larger than what the method takes",
    "leftover",
    framedFile(startFramed + graph, "09 06 01 0000803f 00"),
  ],
  [
    "framed-length-short",
    "framed: the length is smaller than what the method takes",
    "truncated",
    framedFile(startFramed + graph, "09 04 01 000080"),
  ],
  [
    "framed-length-huge",
    "framed: a length of 2^53 - 1",
    "varint-range",
    framedFile(startFramed + graph, "09 ffffffffffffff0f 01 0000803f"),
  ],
  [
    "framed-length-overlong",
    "framed: the length spelled with a byte too many",
    "varint-overlong",
    framedFile(startFramed + graph, "09 85 00 01 0000803f"),
  ],
  ["framed-cut", "framed: the section is missing", "truncated", framedFile(startFramed + graph)],
  [
    "framed-cut-sections",
    "framed: the second of two sections is missing",
    "truncated",
    framedFile(startFramed + graph, "08 05 01 0000803f"),
  ],
  [
    "framed-trailing",
    "framed: a byte after the last section",
    "leftover",
    Uint8Array.of(...framedFile(startFramed + graph, "09 05 01 0000803f"), 0),
  ],
  [
    "framed-ratio",
    "framed: a section that declares too much for its own bytes",
    "limit-ratio",
    framedFile(`${startFramed} 01 78 02 01 01 00 02 04 02 00 00 808004 00`, "08 05 01 0000803f"),
  ],

  // Graph: fields.
  ["graph-cut", "the graph ends inside", "truncated", sealed(hex(`${start} 01 78 02 01`))],
  ["graph-height-zero", "a height of 0", "varint-range", graphFile("01 78 00 01 01 00 02 04 02 00 08 02 00")],
  ["graph-channels-wide", "2^20 + 1 channels", "varint-range", graphFile("01 78 02 01 818040 00 02 04 02 00 08 02 00")],
  [
    "graph-pixels-form",
    "an unknown form of pixels",
    "graph-pixels",
    graphFile("01 78 02 01 01 02 02 04 02 00 08 02 00"),
  ],
  ["graph-pixels-usual", "1/255 and 0 spelled out", "graph-pixels", pixels("101010101010703f", zero64)],
  ["graph-scale-nan", "a scale that is not a number", "number", pixels("000000000000f87f", zero64)],
  ["graph-scale-infinite", "an infinite scale", "number", pixels("000000000000f07f", zero64)],
  ["graph-scale-zero", "a scale of 0", "graph-shape", pixels(zero64, zero64)],
  ["graph-scale-subnormal", "a subnormal scale", "number", pixels("0100000000000000", zero64)],
  ["graph-offset-negative-zero", "an offset of -0", "number", pixels(one64, "0000000000000080")],
  ["graph-layers-none", "no layers", "varint-range", layers("00")],
  ["graph-layers-many", "more layers than there are", "graph-layer", layers("7f 04 02 00 08 02")],
  ["graph-layers-limit", "257 layers", "varint-range", graphFile(`01 78 02 01 01 00 8102 ${"04".repeat(257)} 00`)],
  ["graph-layer-zero", "a layer of kind 0", "graph-layer", layers("02 00 02 00 08 02")],
  ["graph-layer-unknown", "a layer of kind 255", "graph-layer", layers("02 ff 02 00 08 02")],
  ["graph-activation", "activation 7", "graph-activation", layers("02 04 02 00 0f 02")],
  ["graph-flags-dense", "a dense layer with the flag for SAME", "graph-flags", layers("02 04 02 00 18 02")],
  [
    "graph-flags-spare",
    "a convolution with a flag that means nothing",
    "graph-flags",
    layers("03 01 00 28 01 01 01 01 01 04 02 00 08 02"),
  ],
  ["graph-units-zero", "a dense layer without units", "varint-range", layers("02 04 02 00 08 00")],
  ["graph-kernel-zero", "a kernel of height 0", "varint-range", layers("03 01 00 08 01 00 01 01 01 04 02 00 08 02")],
  ["graph-stride-zero", "a stride of 0", "varint-range", layers("03 01 00 08 01 01 01 00 01 04 02 00 08 02")],
  ["graph-pool-zero", "a pooling of size 0", "varint-range", layers("03 03 00 01 04 02 00 08 02")],
  ["graph-pool-stride-zero", "a pooling with stride 0", "varint-range", layers("03 03 01 00 04 02 00 08 02")],
  ["graph-keep-nan", "dropout that keeps NaN", "number", layers("03 05 000000000000f87f 04 02 00 08 02")],
  ["graph-keep-two", "dropout that keeps 2", "graph-shape", layers("03 05 0000000000000040 04 02 00 08 02")],
  ["graph-classes-form", "an unknown form of classes", "graph-classes", layers("02 04 02 00 08 02", "02")],
  [
    "graph-classes-usual",
    "the classes 0 and 1 spelled out",
    "graph-classes",
    layers("02 04 02 00 08 02", "01 01 30 01 31"),
  ],
  [
    "graph-classes-equal",
    "two classes of the same name",
    "graph-classes",
    layers("02 04 02 00 08 02", "01 01 61 01 61"),
  ],
  ["graph-classes-many", "65,537 outputs", "limit-classes", layers("02 04 02 00 08 818004")],

  // Graph: names.
  ["name-empty", "an empty name", "varint-range", graphFile("00 02 01 01 00 02 04 02 00 08 02 00")],
  [
    "name-long",
    "a name of 65 bytes",
    "varint-range",
    graphFile(`41 ${"61".repeat(65)} 02 01 01 00 02 04 02 00 08 02 00`),
  ],
  ["name-nul", "a name with U+0000", "text-control", graphFile("03 61 00 62 02 01 01 00 02 04 02 00 08 02 00")],
  [
    "name-escape",
    "a name that would colour a terminal",
    "text-control",
    graphFile("05 1b 5b 33 31 6d 02 01 01 00 02 04 02 00 08 02 00"),
  ],
  [
    "name-override",
    "a name with U+202E, which turns text around",
    "text-control",
    graphFile("03 e2 80 ae 02 01 01 00 02 04 02 00 08 02 00"),
  ],
  [
    "name-bom",
    "a name that begins with a byte order mark",
    "text-control",
    graphFile("04 ef bb bf 61 02 01 01 00 02 04 02 00 08 02 00"),
  ],
  ["name-utf8", "a name that is not UTF-8", "text-utf8", graphFile("01 ff 02 01 01 00 02 04 02 00 08 02 00")],
  [
    "name-overlong",
    "U+0000 in two bytes of UTF-8",
    "text-utf8",
    graphFile("02 c0 80 02 01 01 00 02 04 02 00 08 02 00"),
  ],
  ["name-surrogate", "a surrogate in UTF-8", "text-utf8", graphFile("03 ed a0 80 02 01 01 00 02 04 02 00 08 02 00")],
  ["layer-name-usual", "the usual name fc1 spelled out", "graph-name", layers("02 04 02 03 66 63 31 08 02")],
  ["layer-name-path", "a layer called ../x", "graph-shape", layers("02 04 02 04 2e 2e 2f 78 08 02")],
  ["layer-name-space", "a layer whose name holds a space", "graph-shape", layers("02 04 02 03 61 20 62 08 02")],
  ["layer-name-twice", "two layers called a", "graph-shape", layers("03 04 02 01 61 08 02 02 01 61 08 02")],
  [
    "layer-name-taken",
    "a layer that takes the usual name of a later one",
    "graph-shape",
    layers("03 04 02 03 66 63 32 08 02 02 00 08 02"),
  ],

  // Graph: layers that do not meet, and networks too large to run.
  ["shape-dense-image", "a dense layer on an image", "graph-shape", layers("01 02 00 08 02")],
  [
    "shape-conv-flat",
    "a convolution on a row of numbers",
    "graph-shape",
    layers("04 04 01 00 08 01 01 01 01 01 04 02 00 08 02"),
  ],
  ["shape-flatten-twice", "flatten on a row of numbers", "graph-shape", layers("03 04 04 02 00 08 02")],
  [
    "shape-conv-large",
    "a VALID kernel larger than its input",
    "graph-shape",
    layers("03 01 00 08 01 03 01 01 01 04 02 00 08 02"),
  ],
  ["shape-pool-large", "a pooling window larger than its input", "graph-shape", layers("03 03 02 01 04 02 00 08 02")],
  ["shape-image-last", "an image as output", "graph-shape", layers("01 01 00 08 01 01 01 01 01")],
  ["shape-no-weights", "no layer has weights", "graph-shape", layers("01 04")],
  [
    "shape-input-large",
    "an input of 2^60 numbers",
    "graph-shape",
    graphFile("01 78 808040 808040 808040 00 02 04 02 00 08 02 00"),
  ],
  [
    "shape-weights-large",
    "a matrix of 2^40 numbers",
    "graph-shape",
    graphFile("01 78 808040 01 01 00 02 04 02 00 08 808040 00"),
  ],
  [
    "shape-patches-large",
    "SAME patches of 2^33 numbers from a small kernel",
    "graph-shape",
    graphFile("01 78 8008 8008 01 00 03 01 00 18 01 5a 5a 01 01 04 02 00 08 02 00"),
  ],
  [
    "limit-elements",
    "two matrices of 64,000,000 numbers each",
    "limit-elements",
    graphFile("01 78 c03e 01 01 00 03 04 02 00 08 c03e 02 00 08 c03e 00"),
  ],
  [
    "limit-ratio",
    "4 million numbers in 28 bytes",
    "limit-ratio",
    graphFile("01 78 8008 01 01 00 02 04 02 00 00 8020 00", "08 01 0000803f"),
  ],

  // Codebooks.
  ["entries-none", "a dense codebook without entries", "varint-range", dense("00")],
  ["entries-many", "more entries than numbers", "varint-range", dense("07 0000803f")],
  ["entries-huge", "2^53 - 1 entries", "varint-range", dense("ffffffffffffff0f")],
  ["entries-cut", "the second entry is missing", "truncated", dense("02 0000803f")],
  ["entries-falling", "entries that fall", "codebook-order", dense("02 00000040 0000803f 0f 54")],
  ["entries-equal", "two equal entries", "codebook-order", dense("02 0000803f 0000803f 0f 54")],
  ["entries-nan", "an entry that is not a number", "codebook-number", dense("01 0000c07f")],
  ["entries-infinite", "an infinite entry", "codebook-number", dense("01 000080ff")],
  ["entries-negative-zero", "an entry of -0", "codebook-number", dense("01 00000080")],
  ["entries-unused", "an entry that no index names", "codebook-unused", coded("0f 00")],
  ["sparse-entry-zero", "an entry of 0 where zero means absent", "codebook-zero", sparse("06 01 00000000")],
  ["sparse-entries-none", "positions without entries", "varint-range", sparse("06 00")],
  [
    "sparse-entry-unused",
    "a sparse entry that no index names",
    "codebook-unused",
    sparse("06 02 0000803f 00000040 0f 00"),
  ],

  // Symbols.
  ["coder-unknown", "a coder that does not exist", "coder-unknown", coded("ff 54")],
  ["coder-cut", "the coder is missing", "truncated", coded("")],
  ["fixed-cut", "the symbols are missing", "truncated", coded("0f")],
  ["fixed-padding", "a spare bit that is not zero", "padding", coded("0f 55")],
  ["fixed-range", "symbol 3 of three", "fixed-range", dense("03 0000803f 00000040 00004040 0f 1bc0")],
  ["huffman-incomplete", "code lengths 2 and 2, and no more symbols", "huffman-incomplete", coded("10 94 00")],
  [
    "huffman-oversubscribed",
    "code lengths 2, 1 and 1",
    "huffman-oversubscribed",
    dense("03 0000803f 00000040 00004040 10 9380 00"),
  ],
  ["huffman-single", "one symbol only, while the codebook has two entries", "codebook-unused", coded("10 80")],
  ["huffman-length-zero", "a step down from code length 1", "step-range", coded("10 8b 00")],
  ["huffman-absent", "absent symbols after the last one", "step-absent", coded("10 89 00")],
  ["huffman-prefix", "a run of zeros longer than any length needs", "golomb-range", coded("10 00 00 00 00")],
  ["huffman-lengths-cut", "the code lengths are missing", "truncated", coded("10")],
  ["huffman-cut", "the codes end inside", "truncated", coded("10 8d")],
  ["huffman-padding", "a spare bit after the codes", "padding", coded("10 8d 51")],
  ["rans-bits", "frequencies that sum to 2^17", "rans-bits", coded("11 58 00")],
  ["rans-sum-over", "frequencies that exceed 2^12", "rans-sum", coded("11 0b4004 00 00 80 00")],
  ["rans-sum-under", "frequencies that fall short of 2^12", "rans-sum", coded("11 0860 00 00 80 00")],
  ["rans-state-low", "a state below 2^23", "rans-state", coded("11 0b 00 04 00 00 00 00 00 00")],
  ["rans-state-high", "a state above 2^31 - 1", "rans-state", coded("11 0b 00 04 00 00 ff ff ff ff")],
  ["rans-cut", "the state ends inside", "truncated", coded("11 0b 00 04 00 00 00 00")],
  ["rans-end", "the state does not end as the coder began", "rans-end", coded("11 0b 00 04 00 00 41 00 00 21")],
  ["rans-padding", "a spare bit after the frequencies", "padding", coded("11 0b 00 04 00 01 00 00 80 00")],

  // Sparse positions.
  ["sparse-many", "more positions than places", "varint-range", sparse("07 01 0000803f")],
  ["sparse-form-unknown", "a form that does not exist", "sparse-form", sparse("01 f0 80 01 0000803f")],
  ["sparse-form-bitmap", "a bitmap with a parameter", "sparse-form", sparse("01 01 80 01 0000803f")],
  ["sparse-form-width", "gaps of 0 bits", "sparse-form", sparse("01 10 80 01 0000803f")],
  ["sparse-bitmap-more", "a bitmap of two places where one is said", "sparse-count", sparse("01 00 c0 01 0000803f")],
  ["sparse-bitmap-fewer", "a bitmap of one place where two are said", "sparse-count", sparse("02 00 80 01 0000803f")],
  ["sparse-bitmap-spare", "a bitmap with a bit after the last place", "padding", sparse("01 00 02 01 0000803f")],
  ["sparse-gap-past", "a gap past the last place", "sparse-position", sparse("01 13 c0 01 0000803f")],
  ["sparse-filler-past", "fillers past the last place", "sparse-position", sparse("01 11 a8 01 0000803f")],
  ["sparse-gap-padding", "a spare bit after the gaps", "padding", sparse("01 13 01 01 0000803f")],
  ["sparse-golomb-past", "an exp-Golomb gap past the last place", "sparse-position", sparse("01 20 38 01 0000803f")],
  [
    "sparse-golomb-prefix",
    "an exp-Golomb prefix longer than any gap needs",
    "golomb-range",
    sparse("01 20 00 00 00 00 01 0000803f"),
  ],
  ["sparse-huffman-fillers", "more fillers than fit", "varint-range", sparse("01 31 04 89 34 01 0000803f")],
  ["sparse-huffman-last", "a filler with nothing after it", "sparse-filler", sparse("01 31 01 89 34 01 0000803f")],
  ["sparse-huffman-count", "fewer fillers than said", "sparse-count", sparse("01 31 01 89 30 01 0000803f")],

  // Sparse float32.
  ["sparse-float32-many", "more positions than places", "varint-range", sparseRaw("07 0000803f")],
  ["sparse-float32-form", "a form of places that does not exist", "sparse-form", sparseRaw("01 f0 80 0000803f")],
  ["sparse-float32-count", "a bitmap of two places where one is said", "sparse-count", sparseRaw("01 00 c0 0000803f")],
  ["sparse-float32-zero", "the second of two numbers is 0", "sparse-zero", sparseRaw("02 00 c0 0000803f 00000000")],
  [
    "sparse-float32-zero-all",
    "a number that is 0 where every place is taken",
    "sparse-zero",
    sparseRaw("06 00000000 0000803f 0000803f 0000803f 0000803f 0000803f"),
  ],
  ["sparse-float32-none", "positions without numbers", "truncated", sparseRaw("02 00 c0")],
  ["sparse-float32-cut", "the last number is missing; the first one is 0", "truncated", sparseRaw("02 00 c0 00000000")],
  ["sparse-float32-leftover", "a number more than positions", "leftover", sparseRaw("01 00 80 0000803f 00000040")],
  [
    "sparse-float32-framed-cut",
    "framed: a length that ends inside the last number",
    "truncated",
    framedFile(startFramed + graph, "19 06 01 00 80 000080"),
  ],
  [
    "sparse-float32-ratio",
    "4 million numbers, none of them there, in 24 bytes",
    "limit-ratio",
    graphFile("01 78 8008 01 01 00 02 04 02 00 00 8020 00", "18 00"),
  ],

  // Metadata.
  ["metadata-none", "metadata of no bytes", "varint-range", metadata("00")],
  ["metadata-long", "metadata of 65,537 bytes", "varint-range", metadata("818004")],
  ["metadata-cut", "metadata longer than the file", "truncated", metadata("ffff03 01 01 61 01 31")],
  ["metadata-no-lines", "metadata without lines", "varint-range", metadata("01 00")],
  ["metadata-lines", "more lines than bytes", "varint-range", metadata("05 7f 01 61 01 31")],
  ["metadata-leftover", "a byte after the last line", "leftover", metadata("06 01 01 61 01 31 00")],
  ["metadata-key", "a key in capitals", "metadata-key", metadata("05 01 01 41 01 31")],
  [
    "metadata-key-prototype",
    "a key called __proto__",
    "metadata-key",
    metadata("0d 01 09 5f 5f 70 72 6f 74 6f 5f 5f 01 31"),
  ],
  ["metadata-order", "keys that fall", "metadata-order", metadata("09 02 01 62 01 31 01 61 01 31")],
  ["metadata-twice", "the same key twice", "metadata-order", metadata("09 02 01 61 01 31 01 61 01 32")],
  ["metadata-control", "a value with a line break", "text-control", metadata("05 01 01 61 01 0a")],
  ["metadata-utf8", "a value that is not UTF-8", "text-utf8", metadata("05 01 01 61 01 80")],
  ["metadata-value-empty", "an empty value", "varint-range", metadata("04 01 01 61 00")],

  ...refusedCoded,
  ...refusedLegacy,
];
