import { readFile } from "node:fs/promises";

/** Runs an action that is about one file or folder: whatever goes wrong says which. */
export async function about<Result>(path: string, action: () => Result | Promise<Result>): Promise<Result> {
  try {
    return await action();
  } catch (error) {
    // The reason of an abort is not about a file, and its message cannot be changed.
    if (error instanceof Error && Object.hasOwn(error, "message")) error.message = `${path}: ${error.message}`;
    throw error;
  }
}

/** The bytes of a file. Errors carry its path, also where the system's own do not. */
export async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    if (error instanceof Error) (error as NodeJS.ErrnoException).path = path;
    throw error;
  }
}
