/** What the command line asked for. */
export const asked: { threads: number; form: string | undefined };
export function version(name: string): string;
/** See serve.mjs. `prepare` gives how one work is run, or the reason for not doing it. */
export function serve(side: {
  peer: string;
  version: string;
  prepare(work: never): Promise<object | string>;
}): Promise<never>;
