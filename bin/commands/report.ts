import type { Command } from "commander";
import { printable, type ReportTotals, reportTotals, type SectionReport, sectionReports } from "../../codecs/index.ts";
import { evaluate } from "../../models/index.ts";
import { withRuntime } from "../device.ts";
import { interruptible } from "../interrupt.ts";
import { about } from "../node/about.ts";
import { checkWritable, loadNetwork, type LoadedNetwork, writeFileSafely } from "../node/index.ts";
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
import { gzippedBytes, sizeFigures } from "../sizes.ts";
import { sourceFor } from "../sources.ts";
import { barChart } from "../svg.ts";
import { grouped, percent, table, times } from "../table.ts";

interface ReportOptions extends CommonOptions, DataOptions, DeviceOptions {
  readonly before?: string;
  readonly test: boolean;
  readonly svg?: string;
}

/** `kilonet report`: what compression did, in the tables of the papers. */
export function register(program: Command): void {
  const command = program
    .command("report")
    .argument("<file>", "a compressed .knet file")
    .description("what pruning, sharing and coding made of each layer, and of the whole file, as tables")
    .option("--before <file>", "the .knet file that it was made from, to compare with")
    .option("--no-test", "leave the test images unread, and accuracies out")
    .option("--svg <file>", "draw what the bytes of each section are for");
  withDevice(withData(command, "what the file was trained on, else glyphs"));
  withExample(withJson(command), "kilonet report small.knet --before digits.knet --data mnist --svg small.svg");
  command.action((path: string, options: ReportOptions) =>
    interruptible(
      () => "interrupted",
      (signal) => tell(path, options, signal),
    ),
  );
}

async function tell(path: string, options: ReportOptions, signal: AbortSignal): Promise<void> {
  const report = reportTo(options);
  if (options.svg !== undefined) await checkWritable(options.svg);
  const after = await loadNetwork(path);
  const before = options.before === undefined ? undefined : await loadNetwork(options.before);
  const files = [...(before === undefined ? [] : [before]), after];
  const accuracies = options.test ? await accuraciesOf(files, after, options, signal) : files.map(() => null);
  const figures = files.map((file, i) => ({
    file: file.path,
    ...sizeFigures(file.bytes.length, file.weights),
    gzip: gzippedBytes(file.weights),
    accuracy: accuracies[i]!,
  }));
  const sections = sectionReports(after.bytes);
  const totals = reportTotals(sections);
  const row = (name: string, of: (one: (typeof figures)[number]) => string): string[] => [name, ...figures.map(of)];
  const rows = [
    row("parameters", ({ parameters }) => grouped(parameters)),
    row("not zero", ({ nonzero }) => grouped(nonzero)),
    row("fewer parameters", ({ parameters, nonzero }) => times(parameters / Math.max(1, nonzero))),
    row("file, bytes", ({ bytes }) => grouped(bytes)),
    row("ratio", ({ ratio }) => times(ratio)),
    row("gzip of float32 weights, bytes", ({ gzip }) => grouped(gzip)),
    ...(options.test ? [row("test accuracy", ({ accuracy }) => percent(accuracy!))] : []),
  ];
  if (options.svg !== undefined) await writeFileSafely(options.svg, chart(after, sections, rows));
  report.result(
    {
      network: after.file.network.name,
      before: before === undefined ? null : figures[0]!,
      after: figures.at(-1)!,
      sections: sections.map((section) => ({ ...section, ...ratesOf(section) })),
      all: totals,
    },
    [
      sectionTable(sections, totals),
      "",
      rateTable(totals),
      "",
      table(["", ...(before === undefined ? [] : ["before"]), "after"], rows),
    ].join("\n"),
  );
}

async function accuraciesOf(
  files: readonly LoadedNetwork[],
  input: LoadedNetwork,
  options: ReportOptions,
  signal: AbortSignal,
): Promise<number[]> {
  const source = await sourceFor(input, options);
  const data = await source.test();
  return withRuntime(options, async (runtime) => {
    const found: number[] = [];
    for (const { path, file, weights } of files) {
      const measured = await about(path, () => evaluate({ runtime, network: file.network, weights, data, signal }));
      found.push(measured.accuracy);
    }
    return found;
  });
}

/** Parts of float32: what is kept, what is left without entropy coding, and what is left in the file. */
function ratesOf({ weights, kept, fixedBytes, bytes }: SectionReport) {
  const before = 4 * weights;
  return { share: kept / weights, fixedRate: fixedBytes === null ? null : fixedBytes / before, rate: bytes / before };
}

function nameOf({ tensors }: SectionReport): string {
  return printable(tensors.length === 1 ? tensors[0]! : `${tensors[0]} and ${tensors.length - 1} more`);
}

/** Tables 2 and 3 of arXiv 1510.00149: P is for pruning, Q for sharing, H for coding. */
function sectionTable(sections: readonly SectionReport[], totals: ReportTotals): string {
  const decimal = (value: number | null): string => (value === null ? "" : value.toFixed(1));
  const rows = sections.map((section) => {
    const { weights, kept, weightBits, codedBits, indexBits, codedIndexBits, bytes } = section;
    const { share, fixedRate, rate } = ratesOf(section);
    return [
      nameOf(section),
      grouped(weights),
      grouped(kept),
      percent(share),
      weightBits === null ? "" : String(weightBits),
      decimal(codedBits),
      indexBits === null ? "" : String(indexBits),
      decimal(codedIndexBits),
      fixedRate === null ? "" : percent(fixedRate),
      percent(rate),
      grouped(bytes),
    ];
  });
  const { weights, kept, weightBits, codedBits, indexBits, codedIndexBits, bytes, rates } = totals;
  const all = rates.at(-1)!;
  rows.push([
    ...["all", grouped(weights), grouped(kept), percent(kept / weights)],
    ...[weightBits, codedBits, indexBits, codedIndexBits].map(decimal),
    ...[all.fixed === null ? "" : percent(all.fixed), percent(all.coded), grouped(bytes)],
  ]);
  const header = ["section", "weights", "kept", "share kept", "weight bits", "+H", "index bits", "+H", "rate P+Q"];
  return table([...header, "P+Q+H", "bytes"], rows);
}

/** How many times smaller than float32, by what is counted: papers differ in that. */
function rateTable({ rates }: ReportTotals): string {
  return table(
    ["counted", "P+Q", "P+Q+H"],
    rates.map(({ counted, fixed, coded }) => [counted, fixed === null ? "" : times(1 / fixed), times(1 / coded)]),
  );
}

/** Bytes as bars, and below them the figures of the whole file, before and after where both are known. */
function chart(
  { file }: LoadedNetwork,
  sections: readonly SectionReport[],
  figures: readonly (readonly string[])[],
): string {
  return barChart({
    notes: figures.map(([name, ...values]) => `${name}: ${values.join(" \u2192 ")}`),
    title: `${printable(file.network.name)}: what the bytes of each section are for`,
    parts: ["indices of weights", "places", "codebook", "the rest"],
    bars: sections.map((section) => {
      const { indicesBytes, placesBytes, codebookBytes, bytes } = section;
      const rest = bytes - indicesBytes - placesBytes - codebookBytes;
      return {
        name: nameOf(section),
        parts: [indicesBytes, placesBytes, codebookBytes, rest],
        note: `${grouped(bytes)} bytes, ${percent(ratesOf(section).rate)} of float32`,
      };
    }),
  });
}
