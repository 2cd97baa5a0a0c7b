import type { Weights } from "../lib/weights.ts";
import { type Codebook, codebookOf, maxEntries } from "./codebook.ts";
import { type Coded, codecOf } from "./coded.ts";
import type { Section } from "./file.ts";
import { bitsOf } from "./float32.ts";
import { chooseSparse, nonzeroPositions } from "./sparse.ts";
import { chooseSymbols, smallest, type Symbols } from "./symbols.ts";

export interface CodeOptions {
  /** The coders to choose among; by default all. Fixed width is always one of them. */
  readonly coders?: readonly Symbols["coder"][];
}

/** A codebook in the smallest of its spellings: an index for every number, or places and indices for those not zero. */
export function code(book: Codebook, options: CodeOptions = {}): Coded {
  return smallestCoded(spellings(book, options), book.indices.length);
}

/**
 * Numbers as they are in the smallest spelling: a codebook when there are few different ones, otherwise float32, and
 * that without the zeros where there are enough of them. Nothing is lost but the sign of -0 in a codebook.
 */
export function codeExactly(values: Float32Array, options: CodeOptions = {}): Coded {
  const raw: Coded = { method: "float32", values };
  const positions = nonzeroPositions(bitsOf(values));
  const distinct = new Set(values).size;
  const books =
    distinct <= maxEntries && values.every(Number.isFinite) ? spellings(codebookOf(values), options) : undefined;
  // Where half of the numbers are others' equals, entries and indices of 12 bits take less than the numbers would.
  const isShared = books !== undefined && 2 * distinct <= positions.length;
  // A zero takes 32 bits, and to say where one number stands takes one; fewer zeros are not worth the search.
  const isSparse = 32 * (values.length - positions.length) > positions.length;
  const candidates = [...(books ?? []), ...(isSparse && !isShared ? [withoutZeros(values, positions)] : [])];
  return candidates.length === 0 ? raw : smallestCoded([raw, ...candidates], values.length);
}

function withoutZeros(values: Float32Array, positions: Uint32Array): Coded {
  const bits = bitsOf(values);
  return {
    method: "sparse float32",
    length: values.length,
    places: chooseSparse(positions, values.length),
    values: new Float32Array(positions.map((position) => bits[position]!).buffer),
  };
}

function spellings({ entries, indices }: Codebook, { coders }: CodeOptions): Coded[] {
  const dense: Coded = { method: "codebook", entries, indices: chooseSymbols(indices, entries.length, coders) };
  const zero = entries.indexOf(0);
  const positions = nonzeroPositions(indices.map((index) => (index === zero ? 0 : 1)));
  const others = entries.filter((entry) => entry !== 0);
  const places = Uint16Array.from(positions, (position) => {
    const index = indices[position]!;
    return zero >= 0 && index > zero ? index - 1 : index;
  });
  const sparse: Coded = {
    method: "sparse codebook",
    length: indices.length,
    places: chooseSparse(positions, indices.length),
    entries: others,
    indices: chooseSymbols(places, others.length, coders),
  };
  return [dense, sparse];
}

function smallestCoded(candidates: readonly Coded[], count: number): Coded {
  return smallest(candidates, (coded) => codecOf(coded.method, [{ name: "numbers", shape: [count] }]));
}

/**
 * Weights as they are, as sections of a file: a section per `<layer>.weight` and one for all the others, unless
 * `groups` says which tensors go together. Each in its smallest spelling.
 */
export function sectionsOf(
  weights: Weights,
  options: CodeOptions & { readonly groups?: readonly (readonly string[])[] } = {},
): Section[] {
  const { groups = usualGroups(weights) } = options;
  const byName = new Map(weights.map((tensor) => [tensor.name, tensor.values]));
  return groups.map((tensors) => {
    const parts = tensors.map((name) => {
      const values = byName.get(name);
      if (values === undefined) throw new RangeError(`sections: there is no tensor "${name}"`);
      return values;
    });
    const joined = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of parts) {
      joined.set(part, at);
      at += part.length;
    }
    return { tensors, coded: codeExactly(joined, options) };
  });
}

function usualGroups(weights: Weights): string[][] {
  const names = weights.map(({ name }) => name);
  const isMatrix = (name: string): boolean => name.endsWith(".weight");
  const others = names.filter((name) => !isMatrix(name));
  return [...names.filter(isMatrix).map((name) => [name]), ...(others.length > 0 ? [others] : [])];
}
