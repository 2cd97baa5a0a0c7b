import { rm } from "node:fs/promises";
import { type Command, InvalidArgumentError, Option } from "commander";
import { printable } from "../../codecs/index.ts";
import { network as networkCalled, networks } from "../../models/index.ts";
import { openCheckpoint } from "../checkpoint.ts";
import { withRuntime } from "../device.ts";
import { UsageError } from "../errors.ts";
import { interruptible } from "../interrupt.ts";
import {
  checkWritable,
  compare,
  type Compared,
  compareMethods,
  type CompareRow,
  type DataSource,
  loadNetwork,
  type NotCompared,
  openData,
  writeFileSafely,
} from "../node/index.ts";
import {
  type CommonOptions,
  type DataOptions,
  type DeviceOptions,
  positive,
  type SeedOptions,
  share,
  whole,
  withData,
  withDevice,
  withExample,
  withJson,
} from "../options.ts";
import { duration, progressDisplay, timer } from "../progress.ts";
import { recipeFor } from "../recipes.ts";
import { reportTo } from "../report.ts";
import { perLayer, type PerLayer, rulesOf, sizesOf } from "../rules.ts";
import { sourceFor } from "../sources.ts";
import { lineChart } from "../svg.ts";
import { grouped, percent, table, times } from "../table.ts";

interface CompareOptions extends CommonOptions, DataOptions, DeviceOptions, SeedOptions {
  readonly model?: string;
  readonly methods?: readonly string[];
  readonly effort: number;
  readonly bytes?: PerLayer;
  readonly share?: PerLayer;
  readonly bits?: PerLayer;
  readonly test: boolean;
  readonly svg?: string;
  readonly checkpoint?: string;
  readonly resume?: string | true;
}

const fileSize = whole(1, 2 ** 26);

/** `kilonet compare`: what every method makes of one network, in one table. */
export function register(program: Command): void {
  const names = compareMethods.map(({ name }) => name);
  const model = new Option("--model <name>", "in place of a file: train this network first");
  const command = program
    .command("compare")
    .argument("[file]", "a trained .knet file")
    .description("make a file of one network by every method, and print bytes, accuracy and time of each in one table")
    .addOption(model.choices(networks.map(({ name }) => name)))
    .option("--methods <names>", `with commas between (default: all, ${names.join(",")})`, methodsFrom)
    .option("--effort <part>", "of what the recipes take: 0.1 trains for a tenth of it", positive, 1)
    .option("--bytes <count>", "of files trained for a size: 900, or squeeze=900,miracle=999", perLayer(fileSize))
    .option("--share <number>", "of weights that pruning keeps: 0.1, or fc1=0.08,fc2=0.09", perLayer(share))
    .option("--bits <count>", "2^bits values a layer where they are shared: 5, or fc1=5,fc2=6", perLayer(whole(1, 12)))
    .option("--seed <number>", "what all random choices follow from", whole(0, 2 ** 32 - 1), 1)
    .option("--no-test", "leave the test images unread, and measure on those set aside from training")
    .option("--svg <file>", "draw bytes against errors as well")
    .option("--checkpoint <file>", "where it saves itself (default: the picture, or compare, with .ckpt; not kept)")
    .option("--resume [file]", "go on from a checkpoint (default: the one above): rows that are done stay");
  withDevice(withData(command, "what the file was trained on, else glyphs"));
  withExample(
    withJson(command),
    "kilonet compare --model lenet5 --data mnist --svg methods.svg",
    "kilonet compare digits.knet --methods chain,chain+lump --effort 0.1",
  );
  command.action(run);
}

function methodsFrom(text: string): readonly string[] {
  const names = text.split(",");
  for (const [i, name] of names.entries()) {
    const known = compareMethods.map((method) => method.name);
    if (!known.includes(name)) throw new InvalidArgumentError(`There is no "${name}"; there are ${known.join(", ")}.`);
    if (names.indexOf(name) !== i) throw new InvalidArgumentError(`The method ${name} is there twice.`);
  }
  return names;
}

async function run(path: string | undefined, options: CompareOptions): Promise<void> {
  const { model, seed, effort, svg } = options;
  if ((path === undefined) === (model === undefined)) {
    throw new UsageError("compare: needs a trained file, or a --model to train; one of the two");
  }
  const report = reportTo(options);
  const bytes = bytesOf(options.bytes);
  const checkpoint = await openCheckpoint({ ...options, output: svg ?? "compare" }, report);
  for (const file of [svg, checkpoint.path]) if (file !== undefined) await checkWritable(file);
  const input = path === undefined ? undefined : await loadNetwork(path);
  const network = input?.file.network ?? networkCalled(model!);
  const recipe = recipeFor(network);
  const choices = {
    ...(options.share !== undefined && { rules: rulesOf("share", options.share, network, recipe.share) }),
    ...(options.bits !== undefined && { sizes: sizesOf(options.bits, network, recipe.bits) }),
  };
  const source = input === undefined ? await openData(options.data ?? "glyphs") : await sourceFor(input, options);
  await interruptible(() => checkpoint.interrupted(), (signal) =>
    withRuntime(options, async (runtime) => {
      const backend = runtime.description;
      report.event(
        { event: "start", network: network.name, data: source.name, origin: source.origin, backend, seed, effort },
        `${network.name} on ${source.name} (${source.origin}); ${backend}; seed ${seed}\n`,
      );
      const images = await imagesOf(source, options);
      const display = progressDisplay();
      let task = "";
      let timeLeft = timer();
      const { rows, trainingSeconds } = await compare(network, images, {
        ...{ runtime, weights: input?.weights, methods: options.methods, effort, seed, bytes, ...choices, signal },
        onProgress: ({ method, phase, done, total, loss }) => {
          const label = method === phase ? method : `${method}: ${phase}`;
          if (label !== task) [task, timeLeft] = [label, timer()];
          const left = timeLeft({ done, total });
          const figures = [`loss ${loss.toFixed(4)}`, ...(left === undefined ? [] : [`${duration(left)} left`])];
          if (!report.json) display.show(label, { done, total, figures });
        },
        onRow: (row) => report.event({ event: "row", ...row }),
        save: (state) => checkpoint.save(state),
        resume: checkpoint.resume,
      }).finally(() => display.end());
      const measured = options.test ? "test" : "validation";
      const title = `${network.name} on ${source.name}`;
      const drawn = svg === undefined ? null : await draw(svg, title, `${measured} error, %`, rows);
      if (options.checkpoint === undefined) await rm(checkpoint.path, { force: true });
      const subject = { network: network.name, data: source.name, measured, images: images.test.count };
      report.result(
        { ...subject, seed, effort, backend, trainingSeconds, rows, ...(svg !== undefined && { svg: drawn }) },
        [
          ...(trainingSeconds === null ? [] : [`trained in ${duration(trainingSeconds)}`]),
          textOf(rows, `${measured} accuracy`),
          ...(svg !== undefined && drawn === null ? [`${svg}: not drawn, as no method has an error`] : []),
        ].join("\n\n"),
      );
    }),
  );
}

async function imagesOf(source: DataSource, { test }: CompareOptions) {
  const { training, validation } = await source.learning();
  return { training, test: test ? await source.test() : validation };
}

/** The sizes asked for, by method. */
function bytesOf(bytes: PerLayer | undefined) {
  if (typeof bytes === "number") return { squeeze: bytes, miracle: bytes };
  const stray = Object.keys(bytes ?? {}).find((name) => name !== "squeeze" && name !== "miracle");
  if (stray !== undefined) {
    throw new UsageError(`compare: only squeeze and miracle train for a size, --bytes names "${stray}"`);
  }
  return bytes;
}

const isCompared = (row: CompareRow): row is Compared => !row.failed;

function textOf(rows: readonly CompareRow[], accuracyOf: string): string {
  const reasons = rows.filter((row): row is NotCompared => row.failed);
  return [
    table(
      ["method", "bytes", "ratio", "gzip", accuracyOf, "seconds", "zero weights", "neurons left"],
      rows.map((row) => {
        if (row.failed) return [row.method, ...new Array<string>(7).fill("")];
        const { method, bytes, ratio, gzip, accuracy, seconds, parameters, zeros, layers } = row;
        const figures = [grouped(bytes), times(ratio), grouped(gzip), percent(accuracy), seconds.toFixed(1)];
        const left = layers.map((layer) => layer.left).join("-");
        return [method, ...figures, `${grouped(zeros)} of ${grouped(parameters)}`, left];
      }),
    ),
    ...reasons.map(({ method, reason }) => `${method}: ${reason}`),
  ].join("\n");
}

/** Draws the methods and gives back the name of the file; null where there is no point that an axis of factors has. */
async function draw(svg: string, title: string, errors: string, rows: readonly CompareRow[]): Promise<string | null> {
  const shown = rows.filter(isCompared).filter(({ errors: wrong }) => wrong > 0);
  if (shown.length === 0) return null;
  const chart = lineChart({
    title: printable(title),
    x: { label: "bytes of the whole file", logarithmic: true, text: grouped },
    y: { label: errors, logarithmic: true },
    series: shown.map(({ method, bytes, accuracy }) => ({ name: method, points: [[bytes, 100 * (1 - accuracy)]] })),
  });
  await writeFileSafely(svg, chart);
  return svg;
}
