import { equalShapes, type Shape } from "../../shape.ts";

/** What kinds of calls have in common: shapes, and what else the choice of kernels depends on. */
export interface Signature<Call> {
  hash(call: Call): number;
  equal(a: Call, b: Call): boolean;
  /** A copy that keeps no tensor alive and does not change with the caller's data. */
  copy(call: Call): Call;
}

interface Entry<Call, Value> {
  readonly call: Call;
  readonly value: Value;
}

/**
 * What was prepared for calls of an operation or expression (the owner), found again by what a call depends on. A
 * search takes a fraction of a microsecond and allocates nothing.
 */
export class Prepared<Call, Value> {
  readonly #signature: Signature<Call>;
  readonly #owners = new Map<unknown, Map<number, Entry<Call, Value>[]>>();

  constructor(signature: Signature<Call>) {
    this.#signature = signature;
  }

  find(owner: unknown, call: Call): Value | undefined {
    const bucket = this.#owners.get(owner)?.get(this.#signature.hash(call));
    if (bucket === undefined) return undefined;
    for (const entry of bucket) if (this.#signature.equal(entry.call, call)) return entry.value;
    return undefined;
  }

  add(owner: unknown, call: Call, value: Value): Value {
    let buckets = this.#owners.get(owner);
    if (buckets === undefined) this.#owners.set(owner, (buckets = new Map()));
    const hash = this.#signature.hash(call);
    const entry = { call: this.#signature.copy(call), value };
    const bucket = buckets.get(hash);
    if (bucket === undefined) buckets.set(hash, [entry]);
    else bucket.push(entry);
    return value;
  }
}

export function hashShape(hash: number, shape: Shape): number {
  let mixed = Math.imul(hash ^ shape.length, 0x01000193);
  for (let i = 0; i < shape.length; i++) mixed = Math.imul(mixed ^ shape[i]!, 0x01000193);
  return mixed;
}

export function equalShapeLists(a: readonly Shape[], b: readonly Shape[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!equalShapes(a[i]!, b[i]!)) return false;
  return true;
}

/** Whether plain data is the same by value. */
export function equalData(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  // Not Object.keys, which allocates for every call.
  for (const key in a) if (!(key in b) || !equalData(a[key as never], b[key as never])) return false;
  for (const key in b) if (!(key in a)) return false;
  return true;
}
