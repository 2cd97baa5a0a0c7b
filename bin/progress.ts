/** What a long task says of itself, as often as it likes. */
export interface Progress {
  readonly done: number;
  readonly total: number;
  /** Figures worth seeing, in order, already as text: `loss 0.1234`. */
  readonly figures: readonly string[];
}

export interface ProgressDisplay {
  show(label: string, progress: Progress): void;
  /** Ends the bar's line, so that other text can follow. */
  end(): void;
}

const barWidth = 24;

/** A bar on a terminal, and elsewhere a line every few seconds and at the end of each task. Writes to standard error. */
export function progressDisplay(
  stream: NodeJS.WriteStream = process.stderr,
  { every = 5000, now = () => performance.now() } = {},
): ProgressDisplay {
  let shown = -Infinity;
  let open = false;
  return {
    show(label, { done, total, figures }) {
      const time = now();
      const wait = stream.isTTY ? 100 : every;
      if (time - shown < wait && done < total) return;
      shown = time;
      const share = total > 0 ? Math.min(done / total, 1) : 1;
      const percent = `${Math.floor(100 * share)} %`.padStart(5);
      if (!stream.isTTY) {
        stream.write(`${label} ${percent}  ${figures.join("  ")}\n`);
        return;
      }
      const full = Math.round(share * barWidth);
      const line = `${label} [${"#".repeat(full)}${"-".repeat(barWidth - full)}] ${percent}  ${figures.join("  ")}`;
      stream.write(`\r\x1b[2K${line.slice(0, (stream.columns ?? 80) - 1)}`);
      open = true;
    },
    end() {
      if (open) stream.write("\n");
      open = false;
      shown = -Infinity;
    },
  };
}

/** `3 min 20 s`, `45 s`, `0.8 s`. */
export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}
