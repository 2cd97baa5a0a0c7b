import type { Dataset } from "./dataset.ts";
import { checkDataset } from "./dataset.ts";
import { DataError } from "./error.ts";
import { gunzip, isGzip } from "./gzip.ts";

/**
 * The IDX files of MNIST and its kin. All integers are big-endian and unsigned, 32 bits:
 *
 *     images  2051, count, height, width, then count * height * width bytes
 *     labels  2049, count, then count bytes
 *
 * A file holds that and nothing more.
 */
const IMAGES = 2051;
const LABELS = 2049;

/** Largest decompressed file unless said otherwise: five times MNIST. */
const DEFAULT_LIMIT = 2 ** 28;

const DIGITS = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/**
 * A data set from an IDX file of images and one of labels, each as it is or gzipped. `classes` are the ten digits
 * unless given; `limit` caps the decompressed bytes of each file (2^28). Pixels may share memory with `images`.
 * DataError says what is wrong with the bytes and where: `idx-header`, `idx-magic`, `idx-empty`, `idx-size`,
 * `idx-truncated`, `idx-trailing`, `idx-label`, `idx-count`, and those of `gunzip`.
 */
export async function readIdx(
  images: Uint8Array,
  labels: Uint8Array,
  options: { readonly classes?: readonly string[]; readonly limit?: number } = {},
): Promise<Dataset> {
  const { classes = DIGITS, limit = DEFAULT_LIMIT } = options;
  const pictures = parseImages(await plain("images", images, limit));
  const answers = parseLabels(await plain("labels", labels, limit), classes.length);
  if (pictures.count !== answers.length) {
    throw new DataError("idx-count", `idx: ${pictures.count} images, but ${answers.length} labels`, 4);
  }
  return checkDataset({ ...pictures, channels: 1, labels: answers, classes });
}

async function plain(name: string, bytes: Uint8Array, limit: number): Promise<Uint8Array> {
  return isGzip(bytes) ? gunzip(`idx ${name}`, bytes, limit) : bytes;
}

function parseImages(bytes: Uint8Array): Pick<Dataset, "images" | "count" | "height" | "width"> {
  const [count, height, width] = header("images", bytes, IMAGES, 3) as [number, number, number];
  if (height === 0 || width === 0) {
    throw new DataError("idx-size", `idx images: height and width must be 1 or more, got ${height} and ${width}`, 8);
  }
  // The product of three 32-bit numbers may be inexact as a double, but only far above any length it is compared with.
  body("images", bytes, 16, count * height * width);
  return { images: view(bytes, 16), count, height, width };
}

function parseLabels(bytes: Uint8Array, classes: number): Uint8Array {
  const [count] = header("labels", bytes, LABELS, 1) as [number];
  body("labels", bytes, 8, count);
  const labels = view(bytes, 8);
  const stray = labels.findIndex((label) => label >= classes);
  if (stray >= 0) {
    const message = `idx labels: labels go from 0 to ${classes - 1}, got ${labels[stray]} for image ${stray}`;
    throw new DataError("idx-label", message, 8 + stray);
  }
  return labels;
}

/** The numbers after the magic one, of which the first is the count. */
function header(name: string, bytes: Uint8Array, magic: number, sizes: number): number[] {
  const length = 4 + 4 * sizes;
  if (bytes.length < length) {
    const message = `idx ${name}: the header has ${length} bytes, the file only ${bytes.length}`;
    throw new DataError("idx-header", message, bytes.length);
  }
  const fields = new DataView(bytes.buffer, bytes.byteOffset);
  const found = fields.getUint32(0);
  if (found !== magic) {
    throw new DataError("idx-magic", `idx ${name}: the magic number must be ${magic}, got ${found}`, 0);
  }
  const numbers = Array.from({ length: sizes }, (_, i) => fields.getUint32(4 + 4 * i));
  if (numbers[0] === 0) throw new DataError("idx-empty", `idx ${name}: the file is empty, its count is 0`, 4);
  return numbers;
}

function body(name: string, bytes: Uint8Array, start: number, size: number): void {
  const found = bytes.length - start;
  if (found < size) {
    const message = `idx ${name}: ${size} bytes must follow the header, the file ends after ${found}`;
    throw new DataError("idx-truncated", message, bytes.length);
  }
  if (found > size) {
    const message = `idx ${name}: ${size} bytes must follow the header, ${found - size} more are there`;
    throw new DataError("idx-trailing", message, start + size);
  }
}

/** A plain view, also where a subclass such as Node's Buffer came in. */
function view(bytes: Uint8Array, start: number): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + start, bytes.length - start);
}
