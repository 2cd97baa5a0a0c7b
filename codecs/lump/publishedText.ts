import { type NeuronDictionary, readDictionary } from "./dictionary.ts";

/**
 * What the published lumping program (Thesis-implementations, 2024) prints for a dictionary, FAULTS INCLUDED: five
 * lines, k, the classes, W, b and A, as Python writes them. For comparison only, because the lumped network computes
 * another function. The program differs from `lumpDictionary` in that
 *
 * - it takes factors from the biases alone, and multiplies by b_s / b_r where b_r / b_s would be right: 1.1 instead of
 *   2.3 in its own example;
 * - it writes that wrong factor among the classes, under the id of the neuron: the stray `5: 0.5`;
 * - it compares later layers by sums without factors, asks neither for signs nor for activations, and does not fold.
 *
 * Throws RangeError as `readDictionary`, and where the program would stop or destroy its own classes.
 */
export function publishedText(dictionary: NeuronDictionary): string {
  const { k, S, W, b, A } = readDictionary(dictionary);
  // The one dictionary that holds classes by layer and factors by neuron.
  const partition = new Map<number, string | number>([[0, entries(S[0]!.map((id, i) => [`${i}`, `[${id}]`]))]]);
  const factor = (id: number): number => {
    const found = partition.get(id);
    if (typeof found === "string") throw new RangeError(`published text: neuron ${id} shares its number with a layer`);
    return found ?? 1;
  };
  const lines: [W: string[], b: string[], A: string[]] = [[], [], []];
  // The first layer's classes are its single neurons, by their places.
  let classes: { readonly text: string; readonly members: readonly number[] }[] = S[0]!.map((id, i) => ({
    text: `${i}`,
    members: [id],
  }));
  for (let l = 1; l < k; l++) {
    const weightsOf = (s: number, scaled: boolean): number[] =>
      classes.map(({ members }) =>
        members.reduce((sum, r) => sum + (scaled ? factor(r) : 1) * W[l]![`${r},${s}`]!, 0),
      );
    const scaled = new Map(S[l]!.map((s) => [s, weightsOf(s, l > 1)]));
    // Its place among the keys comes before what strays in while its classes are found.
    partition.set(l, "");
    let left = [...S[l]!].sort((x, y) => x - y);
    const found: { text: string; members: number[] }[] = [];
    const edges: [string, string][] = [];
    while (left.length > 0) {
      const [s, ...rest] = left as [number, ...number[]];
      scaled.get(s)!.forEach((weight, i) => edges.push([`(${classes[i]!.text}, (${s},))`, `${weight}`]));
      const sums = weightsOf(s, false);
      const members = [s];
      for (const r of rest) {
        if (b[l]![r] === 0) throw new RangeError(`published text: the program divides by the bias of neuron ${r}, 0`);
        const ratio = b[l]![s]! / b[l]![r]!;
        if (!weightsOf(r, false).every((sum, i) => ratio * sum === sums[i])) continue;
        if (r <= l) throw new RangeError(`published text: neuron ${r} shares its number with a layer`);
        members.push(r);
        partition.set(r, ratio);
      }
      left = rest.filter((r) => !members.includes(r));
      found.push({ text: tuple(members), members });
    }
    partition.set(l, entries(found.map(({ text, members }) => [text, `[${members.join(", ")}]`])));
    lines[0].push(`${l}: ${entries(edges)}`);
    lines[1].push(`${l}: ${entries(found.map(({ members: [s] }) => [`(${s},)`, `${b[l]![s!]}`]))}`);
    lines[2].push(`${l}: ${entries(found.map(({ members: [s] }) => [`(${s},)`, `'${A[l]![s!]}'`]))}`);
    classes = found;
  }
  const all = entries([...partition].map(([key, value]) => [`${key}`, `${value}`]));
  return [`${k}`, all, ...lines.map((line) => `{${line.join(", ")}}`)].join("\n");
}

function entries(pairs: readonly (readonly [key: string, value: string])[]): string {
  return `{${pairs.map(([key, value]) => `${key}: ${value}`).join(", ")}}`;
}

function tuple(members: readonly number[]): string {
  return members.length === 1 ? `(${members[0]},)` : `(${members.join(", ")})`;
}
