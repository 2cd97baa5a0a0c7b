import { gather } from "../lib/ops/gather.ts";
import type { Runtime } from "../lib/runtime.ts";
import type { Tensor } from "../lib/tensor.ts";
import type { Weights } from "../lib/weights.ts";
import { checkWhole } from "./check.ts";
import { sha256 } from "./digest.ts";
import type { Parametrisation } from "./fit.ts";
import type { Mask } from "./learner.ts";

/** A short list of numbers and the tensors that are made of them. */
export interface SharedGroup {
  readonly name: string;
  readonly entries: Float32Array;
  readonly tensors: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    /** The entry of each weight. */
    readonly indices: ArrayLike<number>;
  }[];
}

/** What `fit` needs to train the entries, with the assignment of weights to them held. */
export interface SharedTraining {
  /** The entries of each group, under its name, in the order of the groups. */
  readonly weights: Weights;
  /** Entries that are zero stay zero: they are what pruning left. */
  readonly masks: readonly Mask[];
  readonly parametrisation: Parametrisation;
}

/**
 * Trains shared weights (arXiv 1510.00149, section 3.3): an entry's gradient is the sum of those of its members.
 * `names` are the network's tensors in order. Throws RangeError unless each is in one group, and every index names an
 * entry.
 */
export function sharedTraining(groups: readonly SharedGroup[], names: readonly string[]): SharedTraining {
  const places = names.map((name) => placeOf(groups, name));
  const count = groups.reduce((sum, { tensors }) => sum + tensors.length, 0);
  if (count !== names.length) {
    throw new RangeError(`sharedTraining: the groups have ${count} tensors, the network ${names.length}`);
  }
  const assignments = places.map(({ tensor }) => Int32Array.from(tensor.indices));
  // Variables, because they stay on the device: an assignment is as long as its tensor.
  const onDevice = new WeakMap<Runtime, readonly Tensor[]>();
  const assignmentsOn = (runtime: Runtime): readonly Tensor[] => {
    const known = onDevice.get(runtime);
    if (known !== undefined) return known;
    const made = places.map(({ tensor: { name, shape } }, i) =>
      runtime.variable(assignments[i]!, shape, `${name}.indices`),
    );
    onDevice.set(runtime, made);
    return made;
  };
  const fingerprint = sha256(new TextEncoder().encode(assignments.map((indices) => indices.join()).join(";")));
  return {
    weights: groups.map(({ name, entries }) => ({ name, shape: [entries.length], values: entries })),
    masks: groups.map(({ name, entries }) => ({
      name,
      values: Uint8Array.from(entries, (entry) => (entry === 0 ? 0 : 1)),
    })),
    parametrisation: {
      name: `shared ${fingerprint}`,
      parameters: (trained) => {
        const indices = assignmentsOn(trained[0]!.runtime);
        return places.map(({ group }, i) => gather(trained[group]!, indices[i]!));
      },
    },
  };
}

interface Place {
  readonly group: number;
  readonly tensor: SharedGroup["tensors"][number];
}

function placeOf(groups: readonly SharedGroup[], name: string): Place {
  for (const [group, { entries, tensors }] of groups.entries()) {
    const tensor = tensors.find((candidate) => candidate.name === name);
    if (tensor === undefined) continue;
    for (let i = 0; i < tensor.indices.length; i++) {
      checkWhole(`sharedTraining: index ${i} of ${name}`, tensor.indices[i]!, 0, entries.length - 1);
    }
    return { group, tensor };
  }
  throw new RangeError(`sharedTraining: ${name} is in no group`);
}
