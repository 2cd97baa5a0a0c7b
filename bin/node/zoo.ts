import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { toWeights, unpack } from "../../codecs/index.ts";
import type { Runtime } from "../../lib/index.ts";
import { type Dataset, evaluate, sha256 } from "../../models/index.ts";

/** A file that we keep: what it is, how it came about, and what it does on the test images of MNIST. */
export interface ZooEntry {
  /** Its name in the folder of the zoo. */
  readonly file: string;
  readonly network: string;
  readonly method: string;
  readonly bytes: number;
  readonly sha256: string;
  /** Test images that it gets wrong, of 10,000. Read once. */
  readonly errors: number;
  /** Images of the validation split that it gets wrong, of 5,000: what recipes were chosen by. */
  readonly validationErrors: number;
  readonly seed: number;
  /** Whether training saw distorted copies of images, and learned from another network. */
  readonly augmentation: boolean;
  readonly teacher: boolean;
  /** How to make it again. */
  readonly command: string;
}

/** What was found of a file of the zoo. `problem` says what is not as the manifest says. */
export interface ZooVerdict {
  readonly entry: ZooEntry;
  readonly errors: number | null;
  readonly problem: string | null;
}

/** The folder of the zoo, in a clone as in an installed package. */
export function zooFolder(): string {
  return join(dirname(createRequire(import.meta.url).resolve("kilonet/package.json")), "models", "zoo");
}

/** All files that we keep, in the order of the manifest. */
export async function readZoo(folder = zooFolder()): Promise<readonly ZooEntry[]> {
  return JSON.parse(await readFile(join(folder, "manifest.json"), "utf8")) as ZooEntry[];
}

/**
 * Decodes a file of the zoo and compares it with the manifest: its bytes, its network and, given test images, how many
 * of them it gets wrong. Throws FormatError for a file that is not one.
 */
export async function verifyZooEntry(
  entry: ZooEntry,
  { folder = zooFolder(), runtime, test }: { folder?: string; runtime?: Runtime; test?: Dataset } = {},
): Promise<ZooVerdict> {
  const bytes = new Uint8Array(await readFile(join(folder, entry.file)));
  const fail = (problem: string, errors: number | null = null): ZooVerdict => ({ entry, errors, problem });
  if (bytes.length !== entry.bytes) return fail(`has ${bytes.length} bytes, the manifest says ${entry.bytes}`);
  const found = sha256(bytes);
  if (found !== entry.sha256) return fail(`has the SHA-256 ${found}, the manifest says ${entry.sha256}`);
  const file = unpack(bytes);
  const { network } = file;
  if (network.name !== entry.network) return fail(`holds ${network.name}, the manifest says ${entry.network}`);
  const weights = toWeights(file);
  if (runtime === undefined || test === undefined) return { entry, errors: null, problem: null };
  const { errors } = await evaluate({ runtime, network, weights, data: test });
  if (errors !== entry.errors) return fail(`has ${errors} errors, the manifest says ${entry.errors}`, errors);
  return { entry, errors, problem: null };
}
