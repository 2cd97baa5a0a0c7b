import { type Command, Option } from "commander";
import {
  type ActivationLumped,
  lump,
  type Lumped,
  type LumpedLayer,
  lumpByActivations,
  lumpDictionary,
  pack,
  publishedText,
  readDictionary,
  runDictionary,
  sectionsOf,
} from "../../codecs/index.ts";
import { shapesOf } from "../../lib/architectures.ts";
import { fillUniform, type Network, type Runtime, seedKey, sizeOf, type Weights } from "../../lib/index.ts";
import { type Dataset, digest, forward, gatherImages, predict, take } from "../../models/index.ts";
import { withRuntime } from "../device.ts";
import { UsageError } from "../errors.ts";
import { about, readBytes } from "../node/about.ts";
import { checkWritable, loadNetwork, metadataFrom, metadataOf, saveNetwork, writeFileSafely } from "../node/index.ts";
import { type CommonOptions, type DataOptions, type DeviceOptions, real, whole } from "../options.ts";
import { withData, withDevice, withExample, withJson } from "../options.ts";
import { type Report, reportTo } from "../report.ts";
import { sourceFor } from "../sources.ts";
import { grouped, table } from "../table.ts";

interface LumpOptions extends CommonOptions, DataOptions, DeviceOptions {
  readonly output?: string;
  readonly metadata: boolean;
  readonly tolerance: number;
  readonly byActivations?: number;
  readonly samples: number;
  readonly faultyPublishedText?: true;
}

const belowOne = real("from 0 to below 1", (value) => value >= 0 && value < 1);

/** `kilonet lump`: fewer units, the same function; of a network file, or of a dictionary of neurons in JSON. */
export function register(program: Command): void {
  const fitted = "instead, replace units by sums of others that fit on images, missing at most this part";
  const command = program
    .command("lump")
    .argument("<file>", "a .knet file, or neurons as JSON: {k, S, W, b, A}")
    .description("merge units that are multiples of each other, take constant and unread ones away; outputs stay")
    .option("-o, --output <file>", "what to write, of the same kind as the input")
    .option("--no-metadata", "leave out of it where the network came from")
    .option("--tolerance <number>", "how far apart units may be, each divided by its largest weight", belowOne, 0)
    .addOption(new Option("--by-activations <part>", fitted).argParser(belowOne).conflicts("tolerance"))
    .option("--samples <count>", "images to fit on, or to compare outputs on", whole(1, 1e5), 1000)
    .option("--faulty-published-text", "only print what the published program makes of a dictionary, faults included");
  withData(command, "random pixels to compare on; to fit on, what the file was trained on");
  const examples = ["kilonet lump quantized.knet -o lumped.knet", "kilonet lump neurons.json -o lumped.json"];
  withExample(withJson(withDevice(command)), ...examples);
  command.action(async (path: string, options: LumpOptions) => {
    const report = reportTo(options);
    const bytes = await readBytes(path);
    // No network file begins so: its first byte is outside ASCII.
    const isJson = /^\s*[[{"]/.test(new TextDecoder().decode(bytes.subarray(0, 100)));
    if (options.faultyPublishedText === true) {
      if (!isJson) throw new UsageError("lump: the published program takes dictionaries only, in JSON");
      const text = await about(path, () => publishedText(readDictionary(parse(bytes))));
      report.result({ text }, text);
      return;
    }
    if (options.output === undefined) throw new UsageError("lump: say what to write, with -o");
    await checkWritable(options.output);
    if (isJson) await lumpNeurons(path, bytes, options.output, options, report);
    else await lumpNetwork(path, options.output, options, report);
  });
}

async function lumpNetwork(path: string, output: string, options: LumpOptions, report: Report): Promise<void> {
  const input = await loadNetwork(path);
  const { file, weights } = input;
  const { network } = file;
  const { byActivations, samples } = options;
  await withRuntime(options, async (runtime) => {
    const fromFile = options.data !== undefined || byActivations !== undefined;
    const source = fromFile ? await sourceFor(input, options) : undefined;
    const learning = await source?.learning();
    const cut = (data: Dataset): Dataset => take(data, 0, Math.min(samples, data.count));
    const fitTo = learning && cut(learning.training);
    const lumped = await about<Lumped | ActivationLumped>(path, () =>
      byActivations === undefined
        ? lump(network, weights, { tolerance: options.tolerance })
        : lumpByActivations(network, weights, {
            tolerance: byActivations,
            activations: (now, values, layer) => activationsOf(runtime, now, values, layer, fitTo!),
          }),
    );
    const seen = learning ? cut(learning.validation) : noise(network, samples);
    const [before, after] = await about(path, async () => [
      await predict({ runtime, network, weights, data: seen }),
      await predict({ runtime, network: lumped.network, weights: lumped.weights, data: seen }),
    ]);
    const compared = compare(before.logits, after.logits);
    const answersChanged = before.classes.reduce((sum, one, i) => sum + (one === after.classes[i] ? 0 : 1), 0);

    const metadata = (of: Weights) =>
      options.metadata
        ? metadataFrom({ data: metadataOf(file, "data"), seed: metadataOf(file, "seed"), weights: digest(of) })
        : undefined;
    // Lumping alone: both files coded in the same way.
    const unlumped = pack({ network, sections: sectionsOf(weights), metadata: metadata(weights) }).length;
    const sections = sectionsOf(lumped.weights);
    const bytes = await saveNetwork(output, { network: lumped.network, sections, metadata: metadata(lumped.weights) });
    const sizes = { bytes: bytes.length, bytesBefore: input.bytes.length, bytesUnlumped: unlumped };
    const units = sumUnits(lumped.layers);
    const images = { count: seen.count, of: source?.name ?? "random pixels" };
    const found = "bound" in lumped ? { bound: lumped.bound } : { sampleBound: lumped.sampleBound };
    report.result(
      { ...sizes, ...units, layers: lumped.layers, ...compared, ...found, answersChanged, images, output },
      [
        layerTable(lumped.layers),
        "",
        `outputs differ by at most ${short(compared.difference)} (the largest is ${short(compared.largest)}) on ` +
          `${images.count} images of ${images.of}, ${answersChanged} answers change; ` +
          ("bound" in lumped ? `no image can make it more than ${short(lumped.bound)}` : "other images may do worse"),
        `${output}: ${grouped(sizes.bytes)} bytes; ${path} has ${grouped(sizes.bytesBefore)}, ` +
          `and coded like this one ${grouped(unlumped)}`,
      ].join("\n"),
    );
  });
}

async function lumpNeurons(
  path: string,
  bytes: Uint8Array,
  output: string,
  { tolerance, byActivations }: LumpOptions,
  report: Report,
): Promise<void> {
  if (byActivations !== undefined) throw new UsageError("lump: --by-activations needs images, and so a network file");
  const { dictionary, lumped } = await about(path, () => {
    const dictionary = readDictionary(parse(bytes));
    return { dictionary, lumped: lumpDictionary(dictionary, { tolerance }) };
  });
  const { layers, bound, ...small } = lumped;
  const width = dictionary.S[0]!.length;
  const tries = 100;
  const inputs = new Float32Array(tries * width);
  fillUniform(inputs, seedKey(1), { stream: 0, block: 0 });
  const outputs = (of: typeof dictionary): number[] =>
    Array.from({ length: tries }, (_, i) =>
      runDictionary(of, [...inputs.subarray(i * width, (i + 1) * width)].map((x) => 2 * x - 1)),
    ).flat();
  const compared = compare(outputs(dictionary), outputs(small));
  const written = `${JSON.stringify({ ...small, layers }, null, 1)}\n`;
  await writeFileSafely(output, written);
  const sizes = { bytes: Buffer.byteLength(written), bytesBefore: bytes.length };
  report.result(
    { ...sizes, ...sumUnits(layers), layers, ...compared, bound, output },
    [
      layerTable(layers),
      ...layers.flatMap(({ name, classes }) =>
        classes.map(({ units, factors }) => {
          const others = units.slice(1).map((unit, i) => `${unit} is ${factors[i + 1]} times`);
          return `layer ${name}: ${others.join(", ")} what ${units[0]} is`;
        }),
      ),
      "",
      `outputs differ by at most ${short(compared.difference)} on ${tries} random inputs from -1 to 1, ` +
        `where they can by ${short(bound)}`,
      `${output}: ${grouped(sizes.bytes)} bytes`,
    ].join("\n"),
  );
}

function parse(bytes: Uint8Array): unknown {
  return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
}

/** Of every pixel all bytes are equally likely: the function is to stay for any image. */
function noise({ input }: Network, count: number): Omit<Dataset, "labels" | "classes"> {
  const { height, width, channels } = input;
  const draws = new Float32Array(count * height * width * channels);
  fillUniform(draws, seedKey(1), { stream: 0, block: 1 });
  return { images: Uint8Array.from(draws, (draw) => Math.floor(256 * draw)), count, height, width, channels };
}

/** What the next layer with weights reads of hidden layer `l`: what comes out of the layers before it. */
async function activationsOf(
  runtime: Runtime,
  network: Network,
  weights: Weights,
  l: number,
  data: Dataset,
): Promise<Float32Array> {
  const withWeights = [...network.layers.keys()].filter((i) => "name" in network.layers[i]!);
  const layers = network.layers.slice(0, withWeights[l + 1]!);
  const names = layers.flatMap((layer) => ("name" in layer ? [`${layer.name}.weight`, `${layer.name}.bias`] : []));
  const kept = weights.filter(({ name }) => names.includes(name));
  const { height, width, channels } = network.input;
  const rows = new Float32Array(data.count * sizeOf(shapesOf(network)[layers.length]!));
  const batch = 100;
  for (let from = 0; from < data.count; from += batch) {
    const size = Math.min(batch, data.count - from);
    const images = new Float32Array(size * height * width * channels);
    gatherImages(images, data, Uint32Array.from({ length: size }, (_, i) => from + i), network.input);
    const outputs = runtime.step(() =>
      forward(
        { ...network, layers },
        kept.map(({ values, shape }) => runtime.tensor(values, shape)),
        runtime.tensor(images, [size, height, width, channels]),
      ),
    );
    rows.set(await outputs.read(), (from / data.count) * rows.length);
  }
  return rows;
}

function compare(before: ArrayLike<number>, after: ArrayLike<number>): { difference: number; largest: number } {
  let difference = 0;
  let largest = 0;
  for (let i = 0; i < before.length; i++) {
    difference = Math.max(difference, Math.abs(before[i]! - after[i]!));
    largest = Math.max(largest, Math.abs(before[i]!));
  }
  return { difference, largest };
}

type AnyLayer = Pick<LumpedLayer, "name" | "before" | "after"> &
  Partial<LumpedLayer> & { readonly replaced?: readonly number[] };

function sumUnits(layers: readonly AnyLayer[]): { unitsBefore: number; units: number } {
  const sum = (of: "before" | "after"): number => layers.reduce((total, layer) => total + layer[of], 0);
  return { unitsBefore: sum("before"), units: sum("after") };
}

function layerTable(layers: readonly AnyLayer[]): string {
  return table(
    ["layer", "units", "left", "merged", "constant", "unread"],
    layers.map(({ name, before, after, classes = [], constant = [], unread = [], replaced = [] }) => {
      const merged = replaced.length + classes.reduce((sum, { units }) => sum + units.length - 1, 0);
      return [name, ...[before, after, merged, constant.length, unread.length].map(grouped)];
    }),
  );
}

function short(value: number): string {
  return value === 0 ? "0" : value.toPrecision(3);
}
