import type { FitProgress } from "../models/index.ts";
import { duration, type Progress } from "./progress.ts";
import { percent } from "./table.ts";

/** How a training stands, for a bar. */
export function fitFigures({ epoch, epochs, step, steps, loss, accuracy, imagesPerSecond, secondsLeft }: FitProgress): Progress {
  return {
    done: step,
    total: steps,
    figures: [
      `epoch ${epoch}/${epochs}`,
      `loss ${loss.toFixed(4)}`,
      percent(accuracy),
      `${Math.round(imagesPerSecond)} images/s`,
      `${duration(secondsLeft)} left`,
    ],
  };
}
