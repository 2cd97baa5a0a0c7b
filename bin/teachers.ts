import type { Command } from "commander";
import type { Network, Runtime } from "../lib/index.ts";
import { type Dataset, distillation, type Loss, softLabels, type TrainingAugmentation } from "../models/index.ts";
import { UsageError } from "./errors.ts";
import { type LoadedNetwork, loadNetwork } from "./node/index.ts";
import { part, positive } from "./options.ts";
import type { ProgressDisplay } from "./progress.ts";
import type { Report } from "./report.ts";
import { grouped } from "./table.ts";

/** What every command that trains with teachers takes. */
export interface TeacherOptions {
  readonly teacher?: readonly string[];
  readonly temperature?: number;
  readonly distill?: number;
}

export function withTeachers(command: Command): Command {
  return command
    .option("--teacher <files...>", "trained .knet files to learn from as well as from the labels")
    .option("--temperature <number>", "of what teachers say (default: 2)", positive)
    .option("--distill <weight>", "of what teachers say, the rest is that of the labels (default: 0.7)", part);
}

/** The networks to learn from. UsageError unless they were made for the student's images and classes. */
export async function loadTeachers(options: TeacherOptions, student: Network): Promise<LoadedNetwork[]> {
  const { teacher: paths, temperature, distill } = options;
  if (paths === undefined && (temperature !== undefined || distill !== undefined)) {
    throw new UsageError("--temperature and --distill belong to --teacher, which is missing");
  }
  const teachers: LoadedNetwork[] = [];
  for (const path of paths ?? []) {
    const teacher = await loadNetwork(path);
    const { classes, input } = teacher.file.network;
    const sizes = ({ height, width, channels }: Network["input"]): string => [height, width, channels].join(" x ");
    if (sizes(input) !== sizes(student.input) || classes.join("\n") !== student.classes.join("\n")) {
      throw new UsageError(`${path} is no teacher for ${student.name}: its images or classes are others`);
    }
    teachers.push(teacher);
  }
  return teachers;
}

interface Teaching {
  readonly runtime: Runtime;
  readonly data: Dataset;
  readonly augmentation: TrainingAugmentation | undefined;
  readonly signal: AbortSignal;
  readonly display: ProgressDisplay;
  readonly report: Report;
}

/** What training minimises with these teachers; nothing of its own without any. */
export async function teachersLoss(
  teachers: readonly LoadedNetwork[],
  { temperature, distill: weight }: TeacherOptions,
  { runtime, data, augmentation, signal, display, report }: Teaching,
): Promise<Loss | undefined> {
  if (teachers.length === 0) return undefined;
  const soft = await softLabels({
    runtime,
    teachers: teachers.map(({ file, weights }) => ({ network: file.network, weights })),
    data,
    ...(temperature !== undefined && { temperature }),
    augmentation,
    signal,
    onProgress: ({ done, total }) => {
      if (!report.json) display.show("teach", { done, total, figures: [`${grouped(done)} pictures`] });
    },
  });
  return distillation({ soft, ...(weight !== undefined && { weight }) });
}
