import { stat } from "node:fs/promises";
import { DeviceError } from "../lib/index.ts";
import { type Checkpoint, readCheckpoint } from "../models/index.ts";
import { about, readBytes } from "./node/about.ts";
import { writeFileSafely } from "./node/index.ts";
import type { Report } from "./report.ts";

/** What every command takes that can be stopped and go on. */
export interface CheckpointOptions {
  readonly output: string;
  readonly checkpoint?: string;
  readonly resume?: string | true;
}

/** Where a training saves itself, and what of it is there. */
export interface CheckpointFile {
  readonly path: string;
  /** What to go on from. */
  readonly resume: Uint8Array | undefined;
  /** The same, read. */
  readonly found: Checkpoint | undefined;
  /** Writes the training as it stands. */
  save(bytes: Uint8Array): Promise<void>;
  /** What Ctrl-C leaves behind, in words. */
  interrupted(): string;
  /** Runs a task. Should its device fail on the way, the error also says what is left and how to go on. */
  keeping<Result>(task: Promise<Result>): Promise<Result>;
  /** Says so where a training goes on on another kind of device than it was saved on. */
  mention(device: string): void;
}

/** What is to be gone on from, if that is wanted. A checkpoint that would be lost is at least mentioned. */
export async function openCheckpoint(
  { output, checkpoint, resume: wanted }: CheckpointOptions,
  report: Report,
): Promise<CheckpointFile> {
  const path = checkpoint ?? `${output}.ckpt`;
  let resume: Uint8Array | undefined;
  let found: Checkpoint | undefined;
  /** The file that holds the training as it stands, once there is one. */
  let saved: string | undefined;
  if (wanted !== undefined) {
    const from = wanted === true ? path : wanted;
    const bytes = await readBytes(from);
    [resume, found, saved] = [bytes, await about(from, () => readCheckpoint(bytes)), from];
  } else if ((await stat(path).catch(() => null)) !== null) {
    const note = `${path} is of an earlier training and will be written over; --resume would go on from it`;
    report.event({ event: "note", note }, note);
  }
  const howToGoOn = (): string => {
    const again = wanted === undefined || wanted === true ? "" : ` ${saved}`;
    return `${saved} holds the training; the same command with --resume${again} goes on`;
  };
  return {
    path,
    resume,
    found,
    async save(bytes) {
      await writeFileSafely(path, bytes);
      saved = path;
    },
    interrupted() {
      if (saved === undefined) return "interrupted: nothing was written";
      return `interrupted: ${howToGoOn()}`;
    },
    async keeping(task) {
      try {
        return await task;
      } catch (error) {
        if (!(error instanceof DeviceError)) throw error;
        const left = saved === undefined ? "nothing was saved yet" : `${howToGoOn()}, on another --device too`;
        throw new DeviceError(`${error.message}; ${left}`, { cause: error });
      }
    },
    mention(device) {
      const before = found?.identity.device;
      if (before === undefined || before === device) return;
      const note = `the checkpoint was made on the device ${String(before)}, and goes on on ${device}`;
      report.event({ event: "note", note }, note);
    },
  };
}
