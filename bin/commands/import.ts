import { type Command, Option } from "commander";
import { legacyCode, mrclLayout, mrclModels, readMrcl, sectionsOf } from "../../codecs/index.ts";
import { digest, evaluate, network as networkCalled } from "../../models/index.ts";
import { withRuntime } from "../device.ts";
import { UsageError } from "../errors.ts";
import { interruptible } from "../interrupt.ts";
import { about, readBytes } from "../node/about.ts";
import { checkWritable, metadataFrom, openData, saveNetwork } from "../node/index.ts";
import {
  type CommonOptions,
  type DataOptions,
  type DeviceOptions,
  whole,
  withData,
  withDevice,
  withExample,
  withJson,
} from "../options.ts";
import { reportTo } from "../report.ts";
import { codecsOf, sizeFigures } from "../sizes.ts";
import { grouped, percent, times } from "../table.ts";

interface ImportOptions extends CommonOptions, DataOptions, DeviceOptions {
  readonly output: string;
  readonly metadata?: true;
  readonly model: keyof typeof mrclModels;
  readonly block?: number;
  readonly bits?: number;
}

/** `kilonet import file.mrcl`: a network of the legacy format as a file of ours, its weights exactly as they were. */
export function register(program: Command): void {
  const model = new Option("--model <name>", "which network it is; the file does not say");
  const command = program
    .command("import")
    .argument("<file>", "a legacy .mrcl file (MIRACLE, 2018 and 2019)")
    .description("read a legacy .mrcl file and write its weights, unchanged, as a .knet file")
    .addOption(model.choices(Object.keys(mrclModels)).makeOptionMandatory())
    .option("--block <count>", "scalars per block (default: what the file's size leaves, if it leaves one)", whole(1))
    .option("--bits <count>", "bits per block (default: the same)", whole(1, 20))
    .requiredOption("-o, --output <file>", "the .knet file to write")
    .option("--metadata", "say in the file where the network came from; it takes bytes");
  withDevice(withData(command, "none, and nothing is measured"));
  withExample(withJson(command), "kilonet import lenet5.mrcl --model lenet5 --bits 10 --data mnist -o lenet5.knet");
  command.action((path: string, options: ImportOptions) =>
    interruptible(
      () => "interrupted: nothing was written",
      (signal) => importFile(path, options, signal),
    ),
  );
}

async function importFile(path: string, options: ImportOptions, signal: AbortSignal): Promise<void> {
  const { output, model, data } = options;
  const report = reportTo(options);
  await checkWritable(output);
  const source = data === undefined ? undefined : await openData(data);
  const content = await readBytes(path);
  const { block, bits, weights, coded } = await about(path, () => read(content, options));
  const network = networkCalled(model);

  const measured =
    source === undefined
      ? undefined
      : await withRuntime(options, async (runtime) => ({
          backend: runtime.description,
          ...(await evaluate({ runtime, network, weights, data: await source.test(), signal })),
        }));
  signal.throwIfAborted();
  const { accuracy = null, errors = null, count = null, backend = null } = measured ?? {};
  // What the format has no spelling for is written as any weights are.
  const sections =
    coded === undefined ? sectionsOf(weights) : [{ tensors: weights.map(({ name }) => name), coded }];
  const sha256 = digest(weights);
  const origin = { imported: `mrcl, ${block} scalars at ${bits} bits`, data: source?.name, weights: sha256 };
  const metadata = options.metadata === undefined ? undefined : metadataFrom(origin);
  const size = sizeFigures((await saveNetwork(output, { network, sections, metadata })).length, weights);

  const codec = codecsOf(sections);
  const test =
    measured === undefined ? "" : `; test accuracy ${percent(measured.accuracy)} (${grouped(measured.errors)} errors)`;
  report.result(
    { accuracy, errors, count, ...size, codec, block, bits, bytesBefore: content.length, backend, sha256, output },
    `${output}: ${grouped(size.bytes)} bytes, ${times(size.ratio)} smaller than float32; the same weights as ` +
      `the ${grouped(content.length)} bytes of ${path}, blocks of ${block} at ${bits} bits${test}`,
  );
}

/** What the bytes do not tell is for whoever runs the command to say: such an error is one of use. */
function read(content: Uint8Array, options: ImportOptions) {
  try {
    const { block, bits } = mrclLayout(content.length, options);
    const all = { ...options, block, bits };
    return { block, bits, weights: readMrcl(content, all), coded: legacyCode(content, all) };
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(error.message);
    throw error;
  }
}
