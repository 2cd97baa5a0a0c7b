import { Draws } from "./draws.ts";
import { judge, type Judgement, memoryAllowed, shortestTime, type Subject, timeAllowed } from "./judge.ts";
import { mutant, mutations, type Seed, seedOf } from "./mutate.ts";
import { putTogether } from "./pieces.ts";
import { generated, largeSeeds, vectorSeeds } from "./seeds.ts";

export interface Violation {
  readonly kind: string;
  readonly message: string;
  readonly bytes: Uint8Array;
}

/** The worst that was seen of something, by what, and what is allowed there. */
interface Worst {
  readonly value: number;
  readonly allowed: number;
  readonly kind: string;
  readonly bytes: number;
}

const none: Worst = { value: 0, allowed: 0, kind: "none", bytes: 0 };

/** What a campaign has found so far. Plain data: it is sent from one process to another. */
export interface Findings {
  readonly inputs: number;
  readonly bytes: number;
  /** By kind of input: how many, and how many of them were accepted. */
  readonly kinds: Readonly<Record<string, { readonly inputs: number; readonly accepted: number }>>;
  /** By verdict. */
  readonly verdicts: Readonly<Record<string, number>>;
  /** Methods, and coders within them, of the files that were accepted. */
  readonly reached: Readonly<Record<string, number>>;
  /** Codes of stored vectors that no mutant was refused with yet. */
  readonly missing: readonly string[];
  readonly slowest: Worst;
  readonly largest: Worst;
  readonly violations: number;
}

export interface CampaignOptions {
  readonly seed: number;
  /** Asked before each input. */
  readonly goOn: (findings: () => Findings) => boolean | Promise<boolean>;
  /** Told each input before it is read, in case that it is never told about another. */
  readonly about?: (kind: string, bytes: Uint8Array) => void;
  readonly found: (violation: Violation) => void | Promise<void>;
  readonly subject?: Subject;
}

/** Files that were accepted and are themselves changed further. */
const mostGrown = 400;

/**
 * Tries inputs that follow from the seed alone, one after the other, until it is told to stop: new files; mutants of
 * vectors, of new files and of mutants that were accepted, in three of four cases with their checksums made right; and
 * noise behind a good beginning.
 */
export async function campaign({ seed, goOn, about, found, subject }: CampaignOptions): Promise<Findings> {
  const draws = new Draws(seed);
  const cuts = new Draws(seed + 1);
  const { seeds: vectors, codes } = vectorSeeds();
  const large = largeSeeds();
  const grown: Seed[] = [];
  let fresh: Seed[] = [];
  const names = Object.keys(mutations);

  const kinds = new Map<string, { inputs: number; accepted: number }>();
  const verdicts = new Map<string, number>();
  const reached = new Map<string, number>();
  let inputs = 0;
  let bytesRead = 0;
  let violations = 0;
  let slowest = none;
  let largest = none;
  const findings = (): Findings => ({
    inputs,
    bytes: bytesRead,
    kinds: Object.fromEntries(kinds),
    verdicts: Object.fromEntries(verdicts),
    reached: Object.fromEntries(reached),
    missing: codes.filter((code) => !verdicts.has(code)),
    slowest,
    largest,
    violations,
  });
  const anySeed = (): Seed => {
    if (draws.once(60)) return draws.of(large);
    const pool = draws.of([vectors, fresh, grown]);
    return draws.of(pool.length === 0 ? vectors : pool);
  };

  const run = async (kind: string, bytes: Uint8Array): Promise<Judgement> => {
    about?.(kind, bytes);
    const judgement = await judge(bytes, cuts, subject);
    const { verdict, violation, file, memory } = judgement;
    inputs += 1;
    bytesRead += bytes.length;
    const count = kinds.get(kind) ?? { inputs: 0, accepted: 0 };
    kinds.set(kind, { inputs: count.inputs + 1, accepted: count.accepted + (file === undefined ? 0 : 1) });
    verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1);
    for (const { coded } of file?.sections ?? []) {
      const coder = "indices" in coded && "coder" in coded.indices ? [coded.indices.coder] : [];
      const name = [coded.method, ...coder].join(", ");
      reached.set(name, (reached.get(name) ?? 0) + 1);
    }
    if (violation !== undefined) {
      violations += 1;
      await found({ kind, message: violation, bytes });
      return judgement;
    }
    if (judgement.milliseconds > slowest.value) {
      const value = shortestTime(judgement.milliseconds, bytes, subject);
      if (value > slowest.value) slowest = { value, allowed: timeAllowed(bytes), kind, bytes: bytes.length };
    }
    if (memory > largest.value) {
      largest = { value: memory, allowed: memoryAllowed(bytes), kind, bytes: bytes.length };
    }
    return judgement;
  };

  for (let round = 0; ; round++) {
    const valid = generated(8, seed + 1000 * round);
    fresh = [];
    for (const bytes of valid) {
      if (!(await goOn(findings))) return findings();
      const { verdict } = await run("valid", bytes);
      if (verdict === "accepted") {
        fresh.push(seedOf(bytes, true));
      } else if (verdict !== "violation") {
        violations += 1;
        await found({ kind: "valid", message: `a file that was written is refused: ${verdict}`, bytes });
      }
    }
    for (let i = 0; i < 800; i++) {
      if (!(await goOn(findings))) return findings();
      if (draws.once(20)) {
        await run("noise", noise(draws, draws.of(vectors)));
        continue;
      }
      const kind = draws.of(names);
      const sealed = !draws.once(4);
      const parent = anySeed();
      const bytes = mutant(kind, parent, anySeed(), sealed, draws);
      const { verdict } = await run(sealed ? `${kind}, sealed` : kind, bytes);
      if (verdict === "accepted" && bytes.length < 2000 && draws.once(4)) {
        if (grown.length < mostGrown) grown.push(seedOf(bytes, true));
        else grown[draws.below(mostGrown)] = seedOf(bytes, true);
      }
    }
  }
}

/** The first fields of a file as they were, then anything, and a checksum that is right. */
function noise(draws: Draws, { pieces }: Seed): Uint8Array {
  const kept = pieces.slice(0, draws.below(pieces.length + 1));
  const rest = { bytes: draws.bytes(draws.below(64)), name: "unknown", section: 0 };
  const checksum = { bytes: new Uint8Array(4), name: "checksum", section: 0 };
  return putTogether([...kept, rest, checksum], { lengths: false });
}
