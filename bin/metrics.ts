import { appendFileSync, writeFileSync } from "node:fs";
import type { EpochRecord } from "../models/index.ts";

/**
 * A file with a line of JSON per epoch, written when the epoch is over, so that it survives whatever comes later. It
 * begins with the epochs that a resumed training already has behind it, by which lines are dropped that were written
 * after its checkpoint; until the first record the file is left alone.
 */
export function metricsFile(path: string, past: readonly EpochRecord[]): (record: EpochRecord) => void {
  const lineOf = (record: EpochRecord): string => `${JSON.stringify(record)}\n`;
  let begun = false;
  return (record) => {
    try {
      if (!begun) writeFileSync(path, past.map(lineOf).join(""));
      begun = true;
      appendFileSync(path, lineOf(record));
    } catch (error) {
      // A write that fails, unlike an opening, does not say where.
      throw Object.assign(error as Error, { path });
    }
  };
}
