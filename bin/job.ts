import type { Runtime } from "../lib/index.ts";
import type { Dataset, FitProgress } from "../models/index.ts";
import { openDevice } from "./device.ts";
import { fitFigures } from "./figures.ts";
import { interruptible } from "./interrupt.ts";
import { type DataSource, type LoadedNetwork, loadNetwork, metadataOf, openData } from "./node/index.ts";
import type { CommonOptions, DataOptions, DeviceOptions } from "./options.ts";
import { checkWritable } from "./output.ts";
import { progressDisplay } from "./progress.ts";
import { type Report, reportTo } from "./report.ts";

/** What a command that turns one network file into another has at hand. */
export interface Job {
  readonly report: Report;
  readonly input: LoadedNetwork;
  readonly source: DataSource;
  readonly runtime: Runtime;
  readonly training: Dataset;
  readonly validation: Dataset;
  readonly signal: AbortSignal;
  readonly onProgress: (label: string, progress: FitProgress) => void;
}

/**
 * Opens what such a command needs and runs it. Ctrl-C ends it with nothing written. The data are those the file was
 * trained on, if it says so and no others are asked for.
 */
export async function runJob(
  path: string,
  options: CommonOptions & DataOptions & DeviceOptions & { readonly output: string },
  body: (job: Job) => Promise<void>,
): Promise<void> {
  const report = reportTo(options);
  await checkWritable(options.output);
  const input = await loadNetwork(path);
  const source = await openData(options.data ?? metadataOf(input.file, "data") ?? "glyphs");
  const runtime = await openDevice(options);
  report.event(
    { event: "start", network: input.file.network.name, data: source.name, device: runtime.description },
    `${input.file.network.name} on ${source.name} (${source.origin}); ${runtime.description}`,
  );
  const display = progressDisplay();
  try {
    const { training, validation } = await source.learning();
    await interruptible(`interrupted: nothing was written, ${options.output} is as it was`, (signal) =>
      body({
        report, input, source, runtime, training, validation, signal,
        onProgress: (label, progress) => {
          if (!report.json) display.show(label, fitFigures(progress));
        },
      }),
    );
  } finally {
    display.end();
    await runtime.close();
  }
}
