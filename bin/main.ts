import { createRequire } from "node:module";
import { Command, CommanderError } from "commander";
import { commands } from "./commands/index.ts";
import { exitCode, explain } from "./errors.ts";
import type { ExitCode } from "./errors.ts";

/** Runs one command line, given without the two words of the process, and says how it ended. */
export async function main(argv: readonly string[]): Promise<ExitCode> {
  const debug = argv.includes("--debug") || process.env.KILONET_DEBUG === "1";
  process.on("uncaughtException", (error) => process.exit(report(error, debug)));
  // A reader that has seen enough (`kilonet inspect file | head`) is no failure.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    throw error;
  });
  try {
    await program().parseAsync(argv, { from: "user" });
    return 0;
  } catch (error) {
    return report(error, debug);
  }
}

function program(): Command {
  const { description, version } = createRequire(import.meta.url)("kilonet/package.json") as Record<string, string>;
  const program = new Command("kilonet")
    .description(description!)
    .version(version!)
    .option("--debug", "show where an error comes from (or KILONET_DEBUG=1)")
    // Errors are printed by `report`, in one form for all. The commands added below take both settings over.
    .configureOutput({ outputError: () => {} })
    .exitOverride();
  for (const register of commands) register(program);
  return program;
}

function report(error: unknown, debug: boolean): ExitCode {
  const code = exitCode(error);
  const isHelp = error instanceof CommanderError && (code === 0 || error.code === "commander.help");
  if (!isHelp) {
    console.error(`kilonet: ${explain(error)}`);
    if (debug && error instanceof Error) console.error(error.stack);
  }
  return code;
}
