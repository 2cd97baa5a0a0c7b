/** What a long task says of itself, as often as it likes. */
export interface Progress {
  readonly done: number;
  readonly total: number;
  /** Figures worth seeing, already as text (`loss 0.1234`), in the order of their worth: a narrow terminal has few. */
  readonly figures: readonly string[];
}

export interface ProgressDisplay {
  show(label: string, progress: Progress): void;
  /** Ends the bar's line, so that other text can follow. */
  end(): void;
}

/**
 * A bar on a terminal, and elsewhere a line every few seconds and at the end of each task. Writes to standard error.
 * A task's first figures say little (the first steps compile what the others run), so they are waited for.
 */
export function progressDisplay(
  stream: Pick<NodeJS.WriteStream, "isTTY" | "columns" | "write"> = process.stderr,
  { every = 5000, now = () => performance.now() } = {},
): ProgressDisplay {
  const wait = stream.isTTY ? { first: 1000, next: 100 } : { first: every, next: every };
  let task: string | undefined;
  let due = 0;
  let open = false;
  return {
    show(label, progress) {
      const time = now();
      if (label !== task) {
        task = label;
        due = time + wait.first;
      }
      if (time < due && progress.done < progress.total) return;
      due = time + wait.next;
      if (stream.isTTY) {
        // The old line is written over and its rest cleared, in this order: a line that is cleared first flickers.
        const columns = stream.columns || 80; // 0 where a terminal does not know
        stream.write(`\r${barLine(label, progress, columns - 1)}\x1b[K`);
        open = true;
      } else {
        const percent = `${Math.floor(100 * shareOf(progress))} %`.padStart(5);
        stream.write(`${label} ${percent}  ${progress.figures.join("  ")}\n`);
      }
    },
    end() {
      if (open) stream.write("\n");
      open = false;
      task = undefined;
    },
  };
}

function shareOf({ done, total }: Progress): number {
  return total > 0 ? Math.min(done / total, 1) : 1;
}

function barLine(label: string, progress: Progress, columns: number): string {
  const width = columns < 99 ? 8 : 24;
  const full = Math.round(shareOf(progress) * width);
  let line = `${label} [${"#".repeat(full)}${"-".repeat(width - full)}]`.slice(0, columns);
  for (const figure of progress.figures) {
    if (line.length + 2 + figure.length > columns) break;
    line += `  ${figure}`;
  }
  return line;
}

/** `1 h 5 min`, `3 min 20 s`, `45 s`, `0.8 s`. */
export function duration(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** Tells the seconds that are left, by those that went by since it was first asked; nothing then. */
export function timer(): (progress: Pick<Progress, "done" | "total">) => number | undefined {
  let first: { readonly time: number; readonly done: number } | undefined;
  return ({ done, total }) => {
    const time = performance.now();
    first ??= { time, done };
    if (done === first.done) return undefined;
    return ((total - done) * (time - first.time)) / (done - first.done) / 1000;
  };
}
