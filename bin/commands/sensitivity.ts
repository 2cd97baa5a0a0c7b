import { type Command, InvalidArgumentError } from "commander";
import { sensitivity, type SensitivityPoint, usualShares } from "../../codecs/index.ts";
import { evaluate, take } from "../../models/index.ts";
import { withRuntime } from "../device.ts";
import { UsageError } from "../errors.ts";
import { interruptible } from "../interrupt.ts";
import { about } from "../node/about.ts";
import { checkWritable, loadNetwork, writeFileSafely } from "../node/index.ts";
import {
  type CommonOptions,
  type DataOptions,
  type DeviceOptions,
  share,
  whole,
  withData,
  withDevice,
  withExample,
  withJson,
} from "../options.ts";
import { progressDisplay } from "../progress.ts";
import { reportTo } from "../report.ts";
import { sourceFor } from "../sources.ts";
import { lineChart } from "../svg.ts";
import { percent, table } from "../table.ts";

interface SensitivityOptions extends CommonOptions, DataOptions, DeviceOptions {
  readonly shares: readonly number[];
  readonly layers?: readonly string[];
  readonly images?: number;
  readonly svg?: string;
}

/** `kilonet sensitivity`: how much each layer minds losing its smallest weights. */
export function register(program: Command): void {
  const command = program
    .command("sensitivity")
    .argument("<file>", "a trained .knet file")
    .description("accuracy on the validation images when one layer alone keeps a share of its weights, not retrained")
    .option("--shares <numbers>", "to keep, with commas between", sharesFrom, usualShares)
    .option("--layers <names>", "with commas between (default: all with weights)", (text) => text.split(","))
    .option("--images <count>", "measure on so many images (default: all there are)", whole(1))
    .option("--svg <file>", "draw it as well");
  withDevice(withData(command, "what the file was trained on, else glyphs"));
  withExample(withJson(command), "kilonet sensitivity digits.knet --data mnist --svg sensitivity.svg");
  command.action((path: string, options: SensitivityOptions) =>
    interruptible(
      () => "interrupted",
      (signal) => scan(path, options, signal),
    ),
  );
}

function sharesFrom(text: string): readonly number[] {
  const numbers = text.split(",").map(share);
  if (new Set(numbers).size < numbers.length) throw new InvalidArgumentError("No share may be there twice.");
  return numbers;
}

async function scan(path: string, options: SensitivityOptions, signal: AbortSignal): Promise<void> {
  const report = reportTo(options);
  if (options.svg !== undefined) await checkWritable(options.svg);
  const input = await loadNetwork(path);
  const { network } = input.file;
  const names = input.weights.map(({ name }) => name).filter((name) => name.endsWith(".weight"));
  const tensors = options.layers?.map((layer) => `${layer}.weight`) ?? names;
  const stray = tensors.find((name) => !names.includes(name));
  if (stray !== undefined) {
    const layers = names.map((name) => name.slice(0, -7)).join(", ");
    throw new UsageError(`${network.name} has no layer "${stray.slice(0, -7)}" with weights; it has ${layers}`);
  }
  const source = await sourceFor(input, options);
  const { validation } = await source.learning();
  const data = take(validation, 0, Math.min(options.images ?? validation.count, validation.count));
  const display = progressDisplay();
  const { points, backend, before } = await withRuntime(options, async (runtime) => {
    const accuracy = async (weights: typeof input.weights) =>
      (await evaluate({ runtime, network, weights, data, signal })).accuracy;
    const before = await about(path, () => accuracy(input.weights));
    const points = await sensitivity(input.weights, {
      accuracy,
      shares: options.shares,
      tensors,
      signal,
      onPoint: (point, done, total) => {
        const figures = [`${point.tensor} ${point.share}`, percent(point.accuracy)];
        if (!report.json) display.show("sensitivity", { done, total, figures });
      },
    }).finally(() => display.end());
    return { points, backend: runtime.description, before };
  });
  if (options.svg !== undefined) await writeFileSafely(options.svg, chart(network.name, points));
  const column = (share: number) =>
    tensors.map((tensor) => points.find((one) => one.tensor === tensor && one.share === share)!.accuracy);
  report.result(
    { network: network.name, data: source.name, images: data.count, accuracy: before, points, backend },
    [
      `${network.name} on ${data.count} validation images of ${source.name}: ${percent(before)} as it is; ${backend}`,
      "",
      table(
        ["share kept", ...tensors.map((tensor) => tensor.slice(0, -7))],
        options.shares.map((share) => [String(share), ...column(share).map(percent)]),
      ),
    ].join("\n"),
  );
}

function chart(name: string, points: readonly SensitivityPoint[]): string {
  return lineChart({
    title: `${name}: accuracy when one layer alone is pruned`,
    x: { label: "share of the layer's weights kept", logarithmic: true },
    y: { label: "accuracy", text: percent },
    series: [...new Set(points.map(({ tensor }) => tensor))].map((tensor) => ({
      name: tensor.slice(0, -7),
      points: points.filter((one) => one.tensor === tensor).map((one) => [one.share, one.accuracy] as const),
    })),
  });
}
