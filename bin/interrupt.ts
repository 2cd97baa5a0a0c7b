import { Interrupted } from "./errors.ts";

/** Ctrl-C, a polite end, and a terminal that was closed. */
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** npm and npx pass on what a terminal has sent to every process already: one Ctrl-C arrives twice. */
const echo = 1000;

/**
 * Runs a task that Ctrl-C ends in good order: the task's signal aborts, and once the task has stopped for that reason,
 * having saved what it must, this throws an `Interrupted` with what `message` then says. A second Ctrl-C ends the
 * program at once.
 */
export async function interruptible<Result>(
  message: () => string,
  task: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const controller = new AbortController();
  const { signal } = controller;
  let first = 0;
  const stop = (): void => {
    if (!signal.aborted) {
      first = performance.now();
      controller.abort();
    } else if (performance.now() - first > echo) {
      process.exit(130);
    }
  };
  for (const name of signals) process.on(name, stop);
  try {
    return await task(signal);
  } catch (error) {
    if (signal.aborted && error === signal.reason) throw new Interrupted(message());
    throw error;
  } finally {
    // Once interrupted, the program is about to end, and an echo must not cut it short.
    if (!signal.aborted) for (const name of signals) process.off(name, stop);
  }
}
