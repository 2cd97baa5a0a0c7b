import { type Command, InvalidArgumentError, Option } from "commander";
import { allowed } from "./device.ts";

/** A parser of whole numbers from `min` to `max`, for an option's value. */
export function whole(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < min || value > max) {
      const range = max === Number.MAX_SAFE_INTEGER ? `from ${min} up` : `from ${min} to ${max}`;
      throw new InvalidArgumentError(`It must be a whole number ${range}.`);
    }
    return value;
  };
}

/** A parser of numbers for which `holds`; `range` says in words which those are. */
export function real(range: string, holds: (value: number) => boolean): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === "" || !Number.isFinite(value) || !holds(value)) {
      throw new InvalidArgumentError(`It must be a number ${range}.`);
    }
    return value;
  };
}

export const positive = real("above 0", (value) => value > 0);
/** A part of a whole that is not empty. */
export const share = real("above 0 and at most 1", (value) => value > 0 && value <= 1);
/** A part of a whole, which may be none or all of it. */
export const part = real("from 0 to 1", (value) => value >= 0 && value <= 1);
/** What is kept of something from step to step, or lost in one. */
export const decay = real("from 0 to below 1", (value) => value >= 0 && value < 1);

/** A parser of `6-12-16`. */
export function counts(text: string): readonly number[] {
  const numbers = text.split("-").map(Number);
  if (/^\d+(-\d+)*$/.test(text) && numbers.every((count) => count >= 1 && Number.isSafeInteger(count))) return numbers;
  throw new InvalidArgumentError("Write a count from 1 up for each layer but the last, with dashes between.");
}

/** What every command that reports takes. */
export interface CommonOptions {
  readonly json?: true;
}

export interface SeedOptions {
  readonly seed: number;
}

export interface DeviceOptions {
  readonly device: string;
  readonly threads?: number;
  readonly precision?: string;
  readonly mode?: string;
}

export interface DataOptions {
  readonly data?: string;
}

export interface OutputOptions {
  readonly output: string;
  readonly metadata: boolean;
}

export function withJson(command: Command): Command {
  return command.option("--json", "print one JSON object per line, the last one the result");
}

export function withSeed(command: Command): Command {
  // Rounds of pruning count on from it, and must stay whole numbers.
  return command.option("--seed <number>", "what all random choices follow from", whole(0, 2 ** 52), 1);
}

/** `otherwise` says in words which data are taken when the option is not there. */
export function withData(command: Command, otherwise: string): Command {
  return command.option(
    "--data <name>",
    `mnist, glyphs, or a folder with the four IDX files (default: ${otherwise})`,
  );
}

export function withDevice(command: Command): Command {
  const option = (name: keyof typeof allowed, text: string): Option =>
    new Option(`--${name} <name>`, text).choices(allowed[name]);
  return command
    .addOption(option("device", "what computes; see `kilonet devices`").default("wasm"))
    .option("--threads <count>", "how many threads work (default: one per core, at most 8)", whole(1, 64))
    .addOption(option("precision", "of what it computes; float32 if none is named"))
    .addOption(option("mode", "of the device gpu"));
}

export function withOutput(command: Command): Command {
  return command
    .requiredOption("-o, --output <file>", "the .knet file to write")
    .option("--no-metadata", "leave out of it where the network came from");
}

/** Help ends with an example that can be pasted. */
export function withExample(command: Command, ...lines: readonly string[]): Command {
  return command.addHelpText("after", `\nExample:\n${lines.map((line) => `  $ ${line}`).join("\n")}`);
}
