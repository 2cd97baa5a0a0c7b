import { equalShapes, type Shape } from "../../shape.ts";

interface Entry<Value> {
  readonly shapes: readonly Shape[];
  readonly details: unknown;
  readonly value: Value;
}

/**
 * What was prepared for calls of an operation or expression (the owner), found again by the shapes and details of a
 * call. A search takes a fraction of a microsecond and makes no string.
 */
export class Prepared<Value> {
  readonly #owners = new Map<unknown, Map<number, Entry<Value>[]>>();

  find(owner: unknown, shapes: readonly Shape[], details: unknown, prepare: () => Value): Value {
    let buckets = this.#owners.get(owner);
    if (buckets === undefined) {
      buckets = new Map();
      this.#owners.set(owner, buckets);
    }
    const hash = hashOf(shapes);
    let bucket = buckets.get(hash);
    if (bucket === undefined) {
      bucket = [];
      buckets.set(hash, bucket);
    }
    for (const entry of bucket) {
      if (equalLists(entry.shapes, shapes) && equalData(entry.details, details)) return entry.value;
    }
    const value = prepare();
    // Copies: what the caller handed over may change.
    bucket.push({ shapes: shapes.map((shape) => [...shape]), details: structuredClone(details), value });
    return value;
  }
}

function hashOf(shapes: readonly Shape[]): number {
  let hash = shapes.length;
  for (const shape of shapes) {
    hash = Math.imul(hash ^ shape.length, 0x01000193);
    for (const axis of shape) hash = Math.imul(hash ^ axis, 0x01000193);
  }
  return hash;
}

function equalLists(a: readonly Shape[], b: readonly Shape[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!equalShapes(a[i]!, b[i]!)) return false;
  return true;
}

/** Whether plain data is the same by value. */
function equalData(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  const keys = Object.keys(a) as (keyof typeof a)[];
  if (keys.length !== Object.keys(b).length) return false;
  for (const key of keys) if (!(key in b) || !equalData(a[key], b[key])) return false;
  return true;
}
