import { UsageError } from "./errors.ts";
import { type DataSource, type LoadedNetwork, metadataOf, openData } from "./node/index.ts";
import type { DataOptions } from "./options.ts";

/**
 * The images to work on with a file: those asked for, else those that it says it was trained on, else glyphs. What a
 * file says is compared with the names we know and never followed as a path: it may be anybody's.
 */
export function sourceFor({ path, file }: LoadedNetwork, { data }: DataOptions): Promise<DataSource> {
  const name = data ?? metadataOf(file, "data") ?? "glyphs";
  if (data === undefined && name !== "mnist" && name !== "glyphs") {
    throw new UsageError(`${path} was trained on images that are neither mnist nor glyphs: say which with --data`);
  }
  return openData(name);
}
