import { architectures, cnn1024, lenet300, lenet5, linear, softmax } from "../lib/architectures.ts";
import type { Network } from "../lib/network.ts";

export { cnn1024, lenet300, lenet5, linear, softmax };

/** The known networks by name, in the order of their numbers. */
export const networks: readonly Network[] = architectures.map(({ network }) => network);

/** The known network of that name. Throws RangeError, which lists the names there are. */
export function network(name: string): Network {
  const found = networks.find((candidate) => candidate.name === name);
  if (found !== undefined) return found;
  throw new RangeError(`network: there is no "${name}"; there are ${networks.map((known) => known.name).join(", ")}`);
}
