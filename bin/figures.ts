import type { FitProgress } from "../models/index.ts";
import { duration, type Progress } from "./progress.ts";
import { grouped, percent } from "./table.ts";

/** How a training stands, for a bar. */
export function fitFigures(progress: FitProgress): Progress {
  const { epoch, epochs, step, steps, loss, accuracy, imagesPerSecond, secondsLeft } = progress;
  return {
    done: step,
    total: steps,
    figures: [
      `epoch ${epoch}/${epochs}`,
      `loss ${loss.toFixed(4)}`,
      percent(accuracy),
      `${duration(secondsLeft)} left`,
      `${grouped(imagesPerSecond)} images/s`,
    ],
  };
}
