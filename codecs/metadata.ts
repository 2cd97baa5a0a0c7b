import type { Codec } from "./codec.ts";
import { defaultLimits } from "./codec.ts";
import { readText, writeText } from "./text.ts";

/**
 * Where a network came from (seed, command, accuracy, a hash of the data), as lines of text in rising order of key.
 * A list and not an object, so that a key such as `__proto__` is only text. Format: section 8.
 */
export type Metadata = readonly (readonly [key: string, value: string])[];

const keyForm = /^[a-z][a-z0-9-]*$/;

/** Keys are lower-case words, rising in byte order; values are text. Whoever shows them escapes them for the place. */
export const metadata: Codec<Metadata> = {
  tag: 0,
  name: "metadata",

  write(lines, to) {
    if (lines.length === 0) throw new RangeError("metadata: must have a line or more, or be left out");
    to.varint(lines.length);
    let before = "";
    for (const [key, value] of lines) {
      if (!keyForm.test(key)) throw new RangeError(`metadata: keys are lower-case words, got ${JSON.stringify(key)}`);
      if (!(key > before)) throw new RangeError(`metadata: keys must rise, "${key}" follows "${before}"`);
      writeText(key, defaultLimits.name, to, "metadata key");
      writeText(value, defaultLimits.metadata, to, `metadata ${key}`);
      before = key;
    }
  },

  read(from, budget) {
    // "The number of lines, from 1; each line its key and its value."
    const count = from.varint({ min: 1, max: from.remaining, name: "lines" });
    const lines: [string, string][] = [];
    for (let i = 0; i < count; i++) {
      const start = from.position;
      const key = readText(from, budget.limits.name, "key");
      if (!keyForm.test(key)) from.fail("metadata-key", `metadata: keys are lower-case words`, start);
      const before = lines.at(-1)?.[0] ?? "";
      if (!(key > before)) from.fail("metadata-order", `metadata: key "${key}" does not follow "${before}"`, start);
      lines.push([key, readText(from, budget.limits.metadata, "value")]);
    }
    return lines;
  },
};
