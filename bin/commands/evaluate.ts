import type { Command } from "commander";
import { evaluate } from "../../models/index.ts";
import { withRuntime } from "../device.ts";
import { interruptible } from "../interrupt.ts";
import { about } from "../node/about.ts";
import { loadNetwork } from "../node/index.ts";
import {
  type CommonOptions,
  type DataOptions,
  type DeviceOptions,
  withData,
  withDevice,
  withExample,
  withJson,
} from "../options.ts";
import { reportTo } from "../report.ts";
import { codecsOf, sizeFigures } from "../sizes.ts";
import { sourceFor } from "../sources.ts";
import { grouped, list, percent, times } from "../table.ts";

type EvaluateOptions = CommonOptions & DataOptions & DeviceOptions;

/** `kilonet evaluate file.knet`: decodes a file and measures it on a test set. */
export function register(program: Command): void {
  const command = program
    .command("evaluate")
    .argument("<file>", "a .knet file")
    .description("decode a file and measure it on the test images");
  withDevice(withData(command, "what the file was trained on, else glyphs"));
  withExample(withJson(command), "kilonet evaluate digits.knet --data mnist");
  command.action((path: string, options: EvaluateOptions) =>
    interruptible(
      () => "interrupted",
      (signal) => measure(path, options, signal),
    ),
  );
}

async function measure(path: string, options: EvaluateOptions, signal: AbortSignal): Promise<void> {
  const report = reportTo(options);
  const input = await loadNetwork(path);
  const { file, weights, bytes } = input;
  const { network } = file;
  const source = await sourceFor(input, options);
  const test = await source.test();
  const { backend, accuracy, errors, count, notFinite } = await withRuntime(options, async (runtime) => ({
    backend: runtime.description,
    ...(await about(path, () => evaluate({ runtime, network, weights, data: test, signal }))),
  }));
  const size = sizeFigures(bytes.length, weights);
  const codec = codecsOf(file.sections);
  report.result(
    { accuracy, errors, count, ...size, codec, notFinite, data: source.name, backend },
    list([
      ["network", network.name],
      ["test images", `${grouped(count)} of ${source.name} (${source.origin})`],
      ["accuracy", `${percent(accuracy)} (${grouped(errors)} errors)`],
      ...(notFinite > 0 ? [["without a finite answer", grouped(notFinite)] as const] : []),
      ["file", `${grouped(size.bytes)} bytes, ${times(size.ratio)} smaller than float32`],
      ["parameters", `${grouped(size.parameters)}, of which ${grouped(size.nonzero)} are not zero`],
      ["coded as", codec],
      ["device", backend],
    ]),
  );
}
