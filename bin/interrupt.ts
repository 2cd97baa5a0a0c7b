import { Interrupted } from "./errors.ts";

/**
 * Runs a task that Ctrl-C (or SIGTERM) ends in good order: the signal aborts with an `Interrupted` that says `message`.
 * A second Ctrl-C ends the program at once.
 */
export async function interruptible<Result>(message: string, task: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
  const controller = new AbortController();
  const stop = (): void => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort(new Interrupted(message));
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  try {
    return await task(controller.signal);
  } finally {
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
  }
}
