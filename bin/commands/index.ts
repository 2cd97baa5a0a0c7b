import type { Command } from "commander";
import { register as compare } from "./compare.ts";
import { register as compress } from "./compress.ts";
import { register as devices } from "./devices.ts";
import { register as evaluate } from "./evaluate.ts";
import { register as importFile } from "./import.ts";
import { register as inspect } from "./inspect.ts";
import { register as lump } from "./lump.ts";
import { register as miracle } from "./miracle.ts";
import { register as prune } from "./prune.ts";
import { register as quantize } from "./quantize.ts";
import { register as reduce } from "./reduce.ts";
import { register as report } from "./report.ts";
import { register as sensitivity } from "./sensitivity.ts";
import { register as squeeze } from "./squeeze.ts";
import { register as start } from "./start.ts";
import { register as train } from "./train.ts";
import { register as verify } from "./verify.ts";
import { register as zoo } from "./zoo.ts";

/** A command: adds itself, with its options, help and action, to the program. One file each. */
export type Register = (program: Command) => void;

/** In the order in which help lists them. */
export const commands: readonly Register[] = [
  start, train, prune, quantize, lump, reduce, compress, miracle, squeeze,
  inspect, report, compare, sensitivity, verify, evaluate, importFile, zoo, devices,
];
