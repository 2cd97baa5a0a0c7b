import type { Command } from "commander";

/** A command: adds itself, with its options, help and action, to the program. One file each. */
export type Register = (program: Command) => void;

/** In the order in which help lists them. */
export const commands: readonly Register[] = [];
