import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after } from "node:test";
import { type Dataset, glyphs, take } from "../../models/index.ts";

/** How a command line ended. */
export interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Started {
  readonly process: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Standard output so far. */
  stdout(): string;
}

export const launcher = resolve("bin/kilonet.js");

/** Starts `kilonet` as a person does, in a process of its own. */
export function startKilonet(
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Started {
  return startProgram(process.execPath, [launcher, ...args], options);
}

export function startProgram(
  program: string,
  args: readonly string[],
  { cwd = ".", env = {} }: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Started {
  const child = spawn(program, args, { cwd, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status, signal) => resolve({ status, signal, stdout, stderr }));
  });
  return { process: child, ended, stdout: () => stdout };
}

export function kilonet(...args: readonly string[]): Promise<Ended> {
  return startKilonet(args).ended;
}

/** The lines of `--json`, of a command that went well. The last one is the result. */
export async function jsonOf(...args: readonly string[]): Promise<Record<string, unknown>[]> {
  const { status, stdout, stderr } = await kilonet(...args, "--json");
  assert.deepEqual([status, stderr], [0, ""], `${args.join(" ")}: ${stdout}${stderr}`);
  return stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

export async function resultOf(...args: readonly string[]): Promise<Record<string, unknown>> {
  return (await jsonOf(...args)).at(-1)!;
}

/** A folder that is gone after the tests of the file. */
export function workplace(): string {
  const folder = mkdtempSync(join(tmpdir(), "kilonet-bin-"));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/**
 * What is in a folder: each file under its name, by the hash of its bytes. Files that come and go while another program
 * writes are left out if their names end in `except`.
 */
export function contentsOf(folder: string, { except }: { readonly except?: string } = {}): Record<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    files
      .map(({ parentPath, name }) => join(parentPath, name))
      .filter((path) => except === undefined || !path.endsWith(except))
      .sort()
      .map((path) => [path, createHash("sha256").update(readFileSync(path)).digest("hex")]),
  );
}

/** Waits until something holds, and gives up (with what it was) when a program that should make it hold has ended. */
export async function until(what: string, holds: () => boolean, program: Started): Promise<void> {
  let ended: Ended | undefined;
  void program.ended.then((found) => (ended = found));
  while (!holds()) {
    if (ended !== undefined) assert.fail(`ended before ${what}: ${JSON.stringify(ended)}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** A file of IDX: the magic number, the sizes, the bytes. */
export function idx(sizes: readonly number[], body: Uint8Array): Buffer {
  const head = Buffer.alloc(4 + 4 * sizes.length);
  [2048 + sizes.length, ...sizes].forEach((word, i) => head.writeUInt32BE(word, 4 * i));
  return Buffer.concat([head, body]);
}

/** Makes a folder with the four files of a data set. */
export function writeData(folder: string, { training, test }: { readonly training: Dataset; readonly test: Dataset }) {
  mkdirSync(folder, { recursive: true });
  for (const [name, { images, labels, count, height, width }] of [["train", training], ["t10k", test]] as const) {
    writeFileSync(join(folder, `${name}-images-idx3-ubyte`), idx([count, height, width], images));
    writeFileSync(join(folder, `${name}-labels-idx1-ubyte`), idx([count], labels));
  }
}

/** A few hundred drawn digits as a folder: 240 to train on, of which 40 are set aside, and 60 to test. */
export function writeSmallData(folder: string): void {
  const all = glyphs({ count: 300, seed: 5 });
  writeData(folder, { training: take(all, 0, 240), test: take(all, 240, 300) });
}
