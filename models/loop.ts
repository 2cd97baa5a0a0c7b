/** Milliseconds from some fixed moment. */
export type Clock = () => number;

export const performanceClock: Clock = () => performance.now();

/** Lets the rest of the program run now and then (Ctrl-C, a page's painting), which awaiting a number does not. */
export interface Pace {
  /** Whether the program has been kept waiting for longer than the interval. */
  due(): boolean;
  /** Lets it run, if that is due. */
  rest(): Promise<void>;
}

export interface PaceOptions {
  /** In milliseconds. Default: 250. */
  readonly interval?: number | undefined;
  /** Default: `performanceClock`. */
  readonly clock?: Clock | undefined;
}

export function pace({ interval = 250, clock = performanceClock }: PaceOptions = {}): Pace {
  let rested = clock();
  const due = (): boolean => clock() - rested >= interval;
  return {
    due,
    async rest() {
      if (!due()) return;
      await new Promise((resolve) => setTimeout(resolve, 0));
      rested = clock();
    },
  };
}

/** Steps that wait in line on a remote device: asking is quick, and only reading shows how long they take. */
export interface Line {
  /** One step more was asked for. Returns whether the line is full: then it is time to read. */
  join(): boolean;
  /** Something was read: all steps are done. */
  empty(): void;
}

/** Room in line, at least and at most. */
const [fewest, longest] = [4, 128];

/** A line with room for about as many steps as a device does in an interval, found by trying. */
export function waitingLine({ interval = 250, clock = performanceClock }: PaceOptions = {}): Line {
  let room = fewest;
  let waiting = 0;
  let since = clock();
  return {
    join: () => ++waiting >= room,
    empty() {
      const now = clock();
      const took = now - since;
      if (took > interval) room = Math.max(fewest, room / 2);
      else if (waiting >= room && 2 * took < interval) room = Math.min(longest, 2 * room);
      waiting = 0;
      since = now;
    },
  };
}

/**
 * The loop of every training, whatever a step does: plain training, masked or shared weights, the phases of MIRACLE.
 * It knows when to pause, and nothing else: what a step is, and what a pause reads, checks, reports and saves, it is
 * handed.
 */
export interface Loop {
  /** Steps that are done already: 0, or what a checkpoint says. */
  readonly done: number;
  /** Steps that will be done in the end. */
  readonly steps: number;
  /** Step `number`, counted from 0. It changes variables and waits for nothing. */
  readonly step: (number: number) => void;
  /** Whether a pause must follow when so many steps are done: an epoch's end, a checkpoint. One ends the last step. */
  readonly mustPause: (done: number) => boolean;
  /** Reads numbers back. Pauses also come by the clock, so nothing that is computed may depend on where they fall. */
  readonly pause: (done: number) => Promise<void>;
  /** When it aborts, the step under way is the last. */
  readonly signal?: AbortSignal | undefined;
  readonly pace: Pace;
  /** On a remote device. */
  readonly line?: Line | undefined;
}

/** Runs the steps, and returns how many are done: all, or fewer when the signal came. */
export async function runSteps(loop: Loop): Promise<number> {
  const { steps, step, mustPause, pause, signal, pace, line } = loop;
  let { done } = loop;
  while (done < steps && signal?.aborted !== true) {
    step(done);
    done += 1;
    const full = line?.join() ?? false;
    if (done < steps && !mustPause(done) && !full && !pace.due()) continue;
    await pause(done);
    line?.empty();
    await pace.rest();
  }
  return done;
}
