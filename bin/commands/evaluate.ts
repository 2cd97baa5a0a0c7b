import type { Command } from "commander";
import { evaluate } from "../../models/index.ts";
import { openDevice } from "../device.ts";
import { loadNetwork, metadataOf, openData } from "../node/index.ts";
import { type CommonOptions, type DataOptions, type DeviceOptions, withData, withDevice, withExample, withJson } from "../options.ts";
import { reportTo } from "../report.ts";
import { countNumbers } from "../sizes.ts";
import { grouped, percent, table } from "../table.ts";

/** `kilonet evaluate file.knet`: decodes a file and measures it on a test set. */
export function register(program: Command): void {
  const command = program
    .command("evaluate")
    .argument("<file>", "a .knet file")
    .description("decode a file and measure it on the test images");
  withData(command);
  withExample(withJson(withDevice(command)), "kilonet evaluate digits.knet --data mnist");
  command.action(async (path: string, options: CommonOptions & DataOptions & DeviceOptions) => {
    const report = reportTo(options);
    const { file, weights, bytes } = await loadNetwork(path);
    // A file that says what it was trained on is measured on that, unless asked otherwise.
    const source = await openData(options.data ?? metadataOf(file, "data") ?? "glyphs");
    const runtime = await openDevice(options);
    report.event({ event: "device", device: runtime.device, description: runtime.description });
    const { accuracy, errors, count, notFinite } = await evaluate({
      runtime,
      network: file.network,
      weights,
      data: await source.test(),
    });
    await runtime.close();
    const { parameters, nonzero } = countNumbers(weights);
    const ratio = (4 * parameters) / bytes.length;
    const codec = [...new Set(file.sections.map(({ coded }) => coded.method))].join(" + ");
    const result = { accuracy, errors, count, bytes: bytes.length, ratio, parameters, nonzero, codec };
    const text = table(["", ""], [
      ["network", file.network.name],
      ["test images", `${grouped(count)} of ${source.name}`],
      ["accuracy", `${percent(accuracy)} (${grouped(errors)} errors)`],
      ...(notFinite > 0 ? [["without a finite answer", grouped(notFinite)]] : []),
      ["file", `${grouped(bytes.length)} bytes`],
      ["ratio to float32", `${ratio.toFixed(1)}x`],
      ["parameters", grouped(parameters)],
      ["not zero", grouped(nonzero)],
      ["coded as", codec],
      ["device", runtime.description],
    ]).split("\n").slice(2).join("\n");
    report.result({ ...result, data: source.name, device: runtime.description }, text);
  });
}
