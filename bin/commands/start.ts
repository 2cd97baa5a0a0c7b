import { execFile } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Command } from "commander";
import { evaluate, fit, lenet300 } from "../../models/index.ts";
import { compressChain } from "../chain.ts";
import { openDevice } from "../device.ts";
import { fitFigures } from "../figures.ts";
import { interruptible } from "../interrupt.ts";
import { findMnist, metadataFrom, openData, saveNetwork } from "../node/index.ts";
import { type CommonOptions, type DeviceOptions, whole, withDevice, withExample, withJson, withSeed } from "../options.ts";
import { duration, progressDisplay } from "../progress.ts";
import { recipeFor } from "../recipes.ts";
import { reportTo } from "../report.ts";
import { countNumbers, gzippedBytes } from "../sizes.ts";
import { grouped, percent, table } from "../table.ts";

interface StartOptions extends CommonOptions, DeviceOptions {
  readonly seed: number;
  readonly epochs: number;
  readonly folder: string;
}

/** `kilonet start`: the whole line on real digits, in about a minute. */
export function register(program: Command): void {
  const command = program
    .command("start")
    .description("the main job: train LeNet-300-100, compress it to a file, decode the file in a new process, evaluate it")
    .option("--epochs <count>", "passes over the training images before pruning", whole(1, 1000), 6)
    .option("--folder <folder>", "where to write the file", ".cache/start");
  withExample(withJson(withDevice(withSeed(command))), "npm start");
  command.action((options: StartOptions) => start(options));
}

async function start(options: StartOptions): Promise<void> {
  const { seed, epochs } = options;
  const report = reportTo(options);
  const began = performance.now();
  const network = lenet300;
  const source = await openData((await findMnist()) === null ? "glyphs" : "mnist");
  await mkdir(options.folder, { recursive: true });
  const runtime = await openDevice(options);
  report.event(
    { event: "start", network: network.name, data: source.name, origin: source.origin, device: runtime.description },
    `LeNet-300-100 on ${source.name} (${source.origin})\n${runtime.description}\n`,
  );
  const display = progressDisplay();
  const onProgress = (label: string, progress: Parameters<typeof fitFigures>[0]): void => {
    if (!report.json) display.show(label.padEnd(12), fitFigures(progress));
  };
  const { trained, sections } = await interruptible("interrupted", async (signal) => {
    const { training } = await source.learning();
    const data = { train: training };
    const trained = await fit({
      runtime, network, data, epochs, seed, signal, onProgress: (progress) => onProgress("train", progress),
    });
    const sections = await compressChain(trained.weights, {
      ...recipeFor(network), runtime, network, training, rounds: 4, epochs: 2, rate: 0.001, seed, signal, onProgress,
    });
    return { trained, sections };
  }).finally(() => display.end());

  const path = join(options.folder, `lenet300-${source.name}.knet`);
  const bytes = await saveNetwork(path, { network, sections, metadata: metadataFrom({ data: source.name, seed }) });
  const before = await evaluate({ runtime, network, weights: trained.weights, data: await source.test() });
  await runtime.close();
  const after = await evaluateElsewhere(path, source.name);

  const seconds = (performance.now() - began) / 1000;
  const { parameters, nonzero } = countNumbers(trained.weights);
  const gzip = gzippedBytes(trained.weights);
  const ratio = (4 * parameters) / bytes.length;
  const text = table(
    ["", "trained", "compressed"],
    [
      ["parameters", grouped(parameters), grouped(after.parameters)],
      ["not zero", grouped(nonzero), grouped(after.nonzero)],
      ["bytes (float32 / file)", grouped(4 * parameters), grouped(after.bytes)],
      ["gzip of the float32 weights", grouped(gzip), ""],
      ["ratio", "1.0x", `${ratio.toFixed(1)}x`],
      ["test accuracy", percent(before.accuracy), percent(after.accuracy)],
    ],
  );
  report.result(
    {
      data: source.name, seed, parameters, nonzero: after.nonzero, bytes: bytes.length, ratio, gzip,
      accuracyBefore: before.accuracy, accuracy: after.accuracy, seconds, file: path,
    },
    `${text}\n\n${path}, decoded and evaluated by a new process; ${duration(seconds)} in all`,
  );
}

/** What `kilonet evaluate` says of a file in a process that knows nothing but the file. */
async function evaluateElsewhere(path: string, data: string) {
  const words = [process.argv[1]!, "evaluate", path, "--data", data, "--json"];
  const { stdout } = await promisify(execFile)(process.execPath, words);
  const result: unknown = JSON.parse(stdout.trim().split("\n").at(-1)!);
  return result as { accuracy: number; bytes: number; parameters: number; nonzero: number };
}
