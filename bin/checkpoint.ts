import { stat } from "node:fs/promises";
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
      const again = wanted === undefined || wanted === true ? "" : ` ${saved}`;
      return `interrupted: ${saved} holds the training; the same command with --resume${again} goes on`;
    },
  };
}
