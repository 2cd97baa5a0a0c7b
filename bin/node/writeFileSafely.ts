import { open, readdir, realpath, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";

const ending = ".kilonet-part";
let written = 0;

/**
 * Writes a file so that a reader, or a crash at any moment, finds either the old bytes or all of the new ones: into a
 * temporary file beside it, flushed to the disk, then renamed. On failure the old file is as it was and the temporary
 * one is gone. Throws as `checkWritable`, or when the disk is full.
 */
export async function writeFileSafely(path: string, bytes: Uint8Array | string): Promise<void> {
  await telling(path, async () => {
    const target = await targetOf(path);
    const temporary = temporaryFor(target);
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
      throw error;
    }
    await syncFolder(dirname(target));
  });
}

/**
 * Refuses a path that could not be written to, before any work is done for it, by making a file beside it and taking
 * it away again: permission bits alone tell too little. Also takes away what programs that were killed while writing
 * there left behind.
 */
export async function checkWritable(path: string): Promise<void> {
  await telling(path, async () => {
    const target = await targetOf(path);
    const temporary = temporaryFor(target);
    await (await open(temporary, "w")).close();
    await rm(temporary, { force: true });
    await sweep(target);
  });
}

/** The name of the temporary file would tell a person nothing: errors speak of the path that was asked for. */
async function telling(path: string, action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    if (error instanceof Error) (error as NodeJS.ErrnoException).path = path;
    throw error;
  }
}

/** The file to replace: where a link leads, and never a folder or a device. */
async function targetOf(path: string): Promise<string> {
  const target = await realpath(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return resolve(path);
    throw error;
  });
  const found = await stat(target).catch(() => null);
  if (found?.isDirectory() === true) throw Object.assign(new Error("is a folder"), { code: "EISDIR" });
  if (found?.isFile() === false) throw new Error(`${path}: is no ordinary file, and would be replaced by one`);
  return target;
}

function temporaryFor(target: string): string {
  return join(dirname(target), `.${basename(target)}.${process.pid}-${written++}${ending}`);
}

async function sweep(target: string): Promise<void> {
  const start = `.${basename(target)}.`;
  for (const name of await readdir(dirname(target)).catch(() => [])) {
    if (!name.startsWith(start) || !name.endsWith(ending)) continue;
    const writer = /^(\d+)-\d+$/.exec(name.slice(start.length, -ending.length))?.[1];
    if (writer !== undefined && !isRunning(Number(writer))) await rm(join(dirname(target), name), { force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Makes a rename last through a power cut, where the system can: some open no folders. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r").catch(() => null);
  await handle?.sync().catch(() => {});
  await handle?.close();
}
