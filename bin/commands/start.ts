import { execFile } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Command } from "commander";
import { type Section, toWeights } from "../../codecs/index.ts";
import type { Runtime, Weights } from "../../lib/index.ts";
import { evaluate, fit, type FitProgress, lenet300 } from "../../models/index.ts";
import { compressChain } from "../chain.ts";
import { withRuntime } from "../device.ts";
import { fitFigures } from "../figures.ts";
import { interruptible } from "../interrupt.ts";
import {
  checkWritable,
  type DataSource,
  findMnist,
  metadataFrom,
  mnistFolders,
  openData,
  saveNetwork,
} from "../node/index.ts";
import {
  type CommonOptions,
  type DeviceOptions,
  type SeedOptions,
  whole,
  withDevice,
  withExample,
  withJson,
  withSeed,
} from "../options.ts";
import { duration, progressDisplay } from "../progress.ts";
import { recipeFor } from "../recipes.ts";
import { type Report, reportTo } from "../report.ts";
import { rulesOf, sizesOf } from "../rules.ts";
import { gzippedBytes, sizeFigures } from "../sizes.ts";
import { grouped, percent, table, times } from "../table.ts";

interface StartOptions extends CommonOptions, DeviceOptions, SeedOptions {
  readonly epochs: number;
  readonly folder: string;
}

/** Of what `evaluate --json` says. */
interface Evaluated {
  readonly accuracy: number;
  readonly bytes: number;
  readonly ratio: number;
  readonly parameters: number;
  readonly nonzero: number;
}

const network = lenet300;

/** Of what was tried in about half a minute on two cores, the best on MNIST's validation images. */
const extent = { rounds: 3, epochs: 1, tuning: 1, rate: 0.003 };

/** `kilonet start`: the whole line on real digits, in about a minute. */
export function register(program: Command): void {
  const command = program
    .command("start")
    .description("the main job: train LeNet-300-100, compress it to a file, decode that in a new process, evaluate it")
    .option("--epochs <count>", "passes over the training images before pruning", whole(1, 1e4), 5)
    .option("--folder <folder>", "where to write the file", ".cache/start");
  withExample(withJson(withDevice(withSeed(command))), "npm start");
  command.action((options: StartOptions) =>
    interruptible(
      () => "interrupted",
      (signal) => start(options, signal),
    ),
  );
}

async function start(options: StartOptions, signal: AbortSignal): Promise<void> {
  const { seed } = options;
  const began = performance.now();
  const report = reportTo(options);
  const source = await openData((await findMnist()) === null ? "glyphs" : "mnist");
  await mkdir(options.folder, { recursive: true });
  const path = join(options.folder, `lenet300-${source.name}.knet`);
  await checkWritable(path);
  const { trained, sections, before } = await withRuntime(options, async (runtime) => {
    announce(report, source, runtime);
    const { trained, sections } = await learn(options, report, { source, runtime, signal });
    const test = await source.test();
    const { accuracy } = await evaluate({ runtime, network, weights: trained, data: test, signal });
    return { trained, sections, before: accuracy };
  });
  const bytes = await saveNetwork(path, { network, sections, metadata: metadataFrom({ data: source.name, seed }) });
  const after = await evaluateElsewhere(path, source.name, options, signal);

  const seconds = (performance.now() - began) / 1000;
  const raw = sizeFigures(bytes.length, trained);
  const gzip = gzippedBytes(trained);
  const gzipCompressed = gzippedBytes(toWeights({ network, sections }));
  const text = table(
    ["", "trained", "compressed"],
    [
      ["parameters", grouped(raw.parameters), grouped(after.parameters)],
      ["not zero", grouped(raw.nonzero), grouped(after.nonzero)],
      ["bytes (float32; file)", grouped(4 * raw.parameters), grouped(after.bytes)],
      ["ratio", times(1), times(after.ratio)],
      ["gzip of float32 weights", grouped(gzip), grouped(gzipCompressed)],
      ["test accuracy", percent(before), percent(after.accuracy)],
    ],
  );
  report.result(
    { data: source.name, seed, ...after, accuracyBefore: before, gzip, gzipCompressed, seconds, output: path },
    `\n${text}\n\n${path}, decoded and evaluated by a new process; ${duration(seconds)} in all`,
  );
}

function announce(report: Report, { name, origin }: DataSource, { description: backend }: Runtime): void {
  const why = name === "glyphs" ? `; MNIST was not found in ${mnistFolders().join(" nor ")}` : "";
  report.event(
    { event: "start", network: network.name, data: name, origin, backend },
    `LeNet-300-100 on ${name} (${origin}${why})\n${backend}\n`,
  );
}

async function learn(
  { epochs, seed }: StartOptions,
  report: Report,
  { source, runtime, signal }: { readonly source: DataSource; readonly runtime: Runtime; readonly signal: AbortSignal },
): Promise<{ trained: Weights; sections: Section[] }> {
  const display = progressDisplay();
  const onProgress = (label: string, progress: FitProgress): void => {
    if (!report.json) display.show(label.padEnd(12), fitFigures(progress));
  };
  try {
    const { training } = await source.learning();
    const common = { runtime, network, seed, signal };
    const data = { train: training };
    const { weights } = await fit({ ...common, data, epochs, onProgress: (progress) => onProgress("train", progress) });
    const { share, bits } = recipeFor(network);
    const rules = rulesOf("share", share, network);
    const sizes = sizesOf(bits, network, {});
    const sections = await compressChain(weights, { ...common, ...extent, training, rules, sizes, onProgress });
    return { trained: weights, sections };
  } finally {
    display.end();
  }
}

/** What `kilonet evaluate` says of a file, in a process that knows nothing but the file. */
async function evaluateElsewhere(path: string, data: string, options: StartOptions, signal: AbortSignal) {
  const { device, threads, precision, mode } = options;
  const words = [process.argv[1]!, "evaluate", path, "--data", data, "--device", device, "--json"];
  if (threads !== undefined) words.push("--threads", String(threads));
  if (precision !== undefined) words.push("--precision", precision);
  if (mode !== undefined) words.push("--mode", mode);
  const { stdout } = await promisify(execFile)(process.execPath, words).catch((error: unknown) => {
    signal.throwIfAborted();
    throw error;
  });
  const { accuracy, bytes, ratio, parameters, nonzero } = JSON.parse(stdout) as Evaluated;
  return { accuracy, bytes, ratio, parameters, nonzero };
}
