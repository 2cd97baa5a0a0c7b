import { stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { DataError } from "../../models/data/error.ts";
import { glyphs } from "../../models/data/glyphs.ts";
import { readIdx } from "../../models/data/idx.ts";
import { type Dataset, split } from "../../models/data/dataset.ts";
import { about, readBytes } from "./about.ts";

/** Images to learn from and to be measured by. Each part is read or drawn when it is asked for. */
export interface DataSource {
  readonly name: "mnist" | "glyphs" | "folder";
  /** For people: where the images come from. */
  readonly origin: string;
  /**
   * Training images, and those set aside to choose recipes by: the last 5,000, or the last sixth where that is fewer
   * (rounded down, but one at least).
   */
  learning(): Promise<{ readonly training: Dataset; readonly validation: Dataset }>;
  /** Images for the final figure alone. */
  test(): Promise<Dataset>;
}

/** The four files of an IDX data set, each also found with `.gz` behind its name. */
const files = {
  training: ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"],
  test: ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"],
} as const;

const addresses = [
  "https://ossci-datasets.s3.amazonaws.com/mnist/",
  "https://storage.googleapis.com/cvdf-datasets/mnist/",
  "http://yann.lecun.com/exdb/mnist/",
];

/** Drawn digits: 20,000 to train on, the usual 5,000 beside them, and 10,000 others as the test set. */
const drawn = { training: 25000, test: 10000, seed: 1 };

/**
 * The images called `mnist` (in $KILONET_DATA/mnist, else in the cache folder), `glyphs` (drawn by our own code), or
 * those of a folder with the four IDX files. Nothing is ever downloaded. Throws an Error that names the missing files
 * and where they can be had; reading the images throws DataError for files that are damaged or do not fit together.
 */
export async function openData(name: string): Promise<DataSource> {
  if (name === "glyphs") return glyphSource();
  if (name !== "mnist") {
    const found = await stat(name).catch(() => null);
    if (found?.isDirectory() !== true) {
      throw new Error(`data: "${name}" is neither mnist nor glyphs, and there is no folder of that name`);
    }
    return folderSource("folder", name);
  }
  const folder = await findMnist();
  if (folder !== null) return folderSource("mnist", folder);
  throw new Error(
    `data: mnist was not found in ${mnistFolders().join(" nor ")}; put the files ` +
      `${[...files.training, ...files.test].map((file) => `${file}.gz`).join(", ")} there ` +
      `(public at ${addresses.join(", ")}), or use --data glyphs, which needs no file`,
  );
}

/** The folder that `mnist` would be read from, or null when there is none. */
export async function findMnist(): Promise<string | null> {
  for (const folder of mnistFolders()) {
    if ((await missingFiles(folder)).length === 0) return folder;
  }
  return null;
}

/** Where `mnist` is looked for, in this order. */
export function mnistFolders(): string[] {
  const data = process.env.KILONET_DATA;
  return [...(data === undefined || data === "" ? [] : [join(data, "mnist")]), join(cacheFolder(), "mnist")];
}

/** Where a person's programs keep what can be had again. */
function cacheFolder(): string {
  const { XDG_CACHE_HOME, LOCALAPPDATA } = process.env;
  const home = homedir();
  if (process.platform === "win32") return join(LOCALAPPDATA ?? join(home, "AppData", "Local"), "kilonet", "Cache");
  if (process.platform === "darwin") return join(home, "Library", "Caches", "kilonet");
  return join(XDG_CACHE_HOME ?? join(home, ".cache"), "kilonet");
}

async function find(folder: string, file: string): Promise<string | null> {
  for (const path of [join(folder, `${file}.gz`), join(folder, file)]) {
    if ((await stat(path).catch(() => null))?.isFile() === true) return path;
  }
  return null;
}

async function missingFiles(folder: string): Promise<string[]> {
  const all = [...files.training, ...files.test];
  const found = await Promise.all(all.map((file) => find(folder, file)));
  return all.filter((_, i) => found[i] === null);
}

async function folderSource(name: "mnist" | "folder", folder: string): Promise<DataSource> {
  const missing = await missingFiles(folder);
  if (missing.length > 0) {
    throw new Error(
      `data: ${folder} lacks ${missing.join(", ")} (each may end in .gz); an IDX data set has four files`,
    );
  }
  const read = async (part: keyof typeof files): Promise<Dataset> => {
    const [images, labels] = await Promise.all(files[part].map(async (file) => readBytes((await find(folder, file))!)));
    return about(`${folder}, ${part} files`, () => readIdx(images!, labels!));
  };
  return {
    name,
    origin: folder,
    learning: async () => {
      const all = await read("training");
      if (all.count < 2) {
        throw new DataError("data-few", `data: ${folder} has one training image; two are the least, one to learn from`);
      }
      return split(all, { validation: Math.max(1, Math.min(5000, Math.floor(all.count / 6))) });
    },
    test: () => read("test"),
  };
}

function glyphSource(): DataSource {
  const { seed } = drawn;
  return {
    name: "glyphs",
    origin: "digits drawn by kilonet itself",
    learning: async () => split(glyphs({ count: drawn.training, seed }), { validation: 5000 }),
    // Image i does not depend on how many are drawn: the test set begins where the training images end.
    test: async () => glyphs({ count: drawn.test, seed, start: drawn.training }),
  };
}
