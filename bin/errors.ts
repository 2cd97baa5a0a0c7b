import { CommanderError } from "commander";

/** What the command line itself refuses: an option that does not fit, files that cannot go together. Exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Ctrl-C, after what had to be saved was saved. The message says how to go on. Exit code 130. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}

/** 0 done (help and version included), 1 failed, 2 used wrongly, 130 interrupted. */
export type ExitCode = 0 | 1 | 2 | 130;

export function exitCode(error: unknown): ExitCode {
  if (error instanceof Interrupted) return 130;
  if (error instanceof UsageError) return 2;
  // "commander.help" is help that nobody asked for: a command was missing.
  if (error instanceof CommanderError) return error.exitCode === 0 && error.code !== "commander.help" ? 0 : 2;
  return 1;
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EDQUOT: "no space left in what this user may take of the disk",
  EEXIST: "is there already",
  EFBIG: "larger than a file may be here",
  EIO: "the disk failed",
  EISDIR: "is a folder, a file was expected",
  ELOOP: "links that lead round in a circle",
  EMFILE: "too many open files",
  ENAMETOOLONG: "the name is too long",
  ENOENT: "no such file or folder",
  ENOSPC: "no space left on the disk",
  ENOTDIR: "a part of the path is not a folder",
  EPERM: "not permitted",
  EROFS: "the file system is read-only",
};

/** One line for a person: what went wrong and where. A mistake in this program says that it is one. */
export function explain(error: unknown): string {
  return sentence(error).replace(/\s*\n\s*/g, " ").trim();
}

function sentence(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof CommanderError) return error.message.replace(/^error: /, "");
  const { code, path } = error as NodeJS.ErrnoException;
  const reason = code === undefined ? undefined : reasons[code];
  if (reason !== undefined) return path === undefined ? reason : `${path}: ${reason}`;
  if (error instanceof TypeError || error instanceof ReferenceError) {
    return `internal error: ${error.message} (--debug shows where)`;
  }
  return error.message;
}
