import { fork } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Findings, Violation } from "./campaign.ts";

/** What the process of a campaign tells. It tells its findings several times a second, and at last. */
export type Told =
  | { readonly findings: Findings; readonly done: boolean }
  | { readonly violation: Violation };

export interface SuperviseOptions {
  /** The program to run, with its arguments. The place of its diary comes last. */
  readonly program: string;
  readonly args: readonly string[];
  /** After so many seconds without a word, an input is taken to have no end. */
  readonly patience: number;
  readonly told: (told: Told) => void;
}

/**
 * Runs a campaign in a process of its own, since a reader that never returns, or that takes the process down with it,
 * can be caught only from outside. The input at fault is the last one in the diary.
 */
export async function supervise({ program, args, patience, told }: SuperviseOptions): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "kilonet-fuzz-"));
  const diary = join(folder, "input");
  try {
    const child = fork(program, [...args, diary], {
      execArgv: ["--import", "tsx", "--max-old-space-size=1024"],
      serialization: "advanced",
    });
    let timer: NodeJS.Timeout | undefined;
    let isHanging = false;
    let isDone = false;
    const wait = (seconds: number): void => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        isHanging = true;
        child.kill("SIGKILL");
      }, 1000 * seconds);
    };
    // A busy computer may take long to start a process.
    wait(patience + 60);
    child.on("message", (message: Told) => {
      wait(patience);
      if ("findings" in message && message.done) isDone = true;
      told(message);
    });
    const ending = await new Promise<string>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code, signal) => resolve(signal ?? `exit code ${code}`));
    });
    clearTimeout(timer);
    if (isDone && ending === "exit code 0") return;
    const { kind, bytes } = readDiary(diary);
    const message = isHanging ? `a hang: nothing after ${patience} s` : `a crash: ${ending}`;
    told({ violation: { kind, message, bytes } });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Writes the input of the moment where the supervisor finds it, also if the process is gone. */
export function openDiary(path: string): { write(kind: string, bytes: Uint8Array): void; close(): void } {
  const file = openSync(path, "w");
  return {
    write(kind, bytes) {
      const head = Buffer.from(JSON.stringify({ kind, length: bytes.length }) + "\n");
      writeSync(file, Buffer.concat([head, bytes]), 0, head.length + bytes.length, 0);
    },
    close: () => closeSync(file),
  };
}

function readDiary(path: string): { readonly kind: string; readonly bytes: Uint8Array } {
  let content: Buffer;
  try {
    content = readFileSync(path);
  } catch {
    return { kind: "before the first input", bytes: new Uint8Array(0) };
  }
  const end = content.indexOf("\n");
  if (end === -1) return { kind: "before the first input", bytes: new Uint8Array(0) };
  const { kind, length } = JSON.parse(content.toString("utf8", 0, end)) as { kind: string; length: number };
  return { kind, bytes: new Uint8Array(content.subarray(end + 1, end + 1 + length)) };
}
