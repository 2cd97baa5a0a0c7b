import { open, rename, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";

let written = 0;

/**
 * Writes a file so that a reader, or a crash at any moment, finds either the old bytes or all of the new ones: into a
 * temporary file beside it, flushed to the disk, then renamed. On failure the old file is as it was and the temporary one
 * is gone.
 */
export async function writeFileSafely(path: string, bytes: Uint8Array | string): Promise<void> {
  const target = resolve(path);
  const temporary = join(dirname(target), `.${process.pid}-${written++}.kilonet-part`);
  try {
    const file = await open(temporary, "w");
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    // The name of the temporary file would tell a person nothing.
    if (error instanceof Error) (error as NodeJS.ErrnoException).path = path;
    throw error;
  }
  await syncFolder(dirname(target));
}

/** Makes a rename last through a power cut, where the system can: some open no folders. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r").catch(() => null);
  await handle?.sync().catch(() => {});
  await handle?.close();
}
