import type { Command } from "commander";
import { createRuntime, DeviceError, type RuntimeOptions } from "../../lib/index.ts";
import { choices } from "../device.ts";
import { type CommonOptions, withExample, withJson } from "../options.ts";
import { reportTo } from "../report.ts";
import { table } from "../table.ts";

/** `kilonet devices`: what can compute here, found out by starting it. */
export function register(program: Command): void {
  const command = program.command("devices").description("list what can compute here");
  withExample(withJson(command), "kilonet devices").action(async (options: CommonOptions) => {
    const report = reportTo(options);
    const rows = [];
    for (const choice of choices) rows.push(await probe(choice));
    const text = table(
      ["options", "what runs"],
      rows.map(({ device, precision, mode, description, error }) => [
        `--device ${device} ${mode === null ? `--precision ${precision}` : `--mode ${mode}`}`,
        description ?? `not here: ${error}`,
      ]),
    );
    report.result({ devices: rows }, text);
  });
}

async function probe(choice: RuntimeOptions) {
  const { device, precision, mode = null } = choice;
  try {
    const runtime = await createRuntime(choice);
    const { description } = runtime;
    await runtime.close();
    return { device, precision, mode, description, error: null };
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    return { device, precision, mode, description: null, error: error.message };
  }
}
