import { access, constants, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";

/** Refuses a path that could not be written to at the end, before any work is done for it. */
export async function checkWritable(path: string): Promise<void> {
  const target = resolve(path);
  const found = await stat(target).catch(() => null);
  if (found?.isDirectory() === true) throw Object.assign(new Error(), { code: "EISDIR", path });
  try {
    await access(dirname(target), constants.W_OK);
  } catch (error) {
    throw Object.assign(error as Error, { path: dirname(path) });
  }
}
