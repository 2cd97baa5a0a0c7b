// Threefry-2x32 of random.ts, bit for bit. gpu.js keeps whole numbers whole only in parameters and results of typed
// functions: a variable becomes a float, and loses bits. So every round is a function that hands its words on to the
// next one, and there is no variable at all.

import { fillNormal, fillUniform, normalTable } from "../../../random.ts";
import { type Shape, sizeOf } from "../../../shape.ts";
import { type GpuKernel, type GpuPlan, type IntegerFunction, nest, type Source } from "../plan.ts";

const rotations = [13, 15, 26, 6, 17, 29, 16, 24] as const;
export const keys = ["k0", "k1", "k2"] as const;
const state = ["x", "y", ...keys, "odd"] as const;

/** Round `round`, then all that follow; at the end word x or, if `odd` is 1, y. */
function round(number: number): IntegerFunction {
  const left = rotations[number % 8]!;
  const sum = "(x + y | 0)";
  const mixed = `((y << ${left} | y >>> ${32 - left}) ^ ${sum})`;
  const n = (number + 1) / 4;
  const adds = number % 4 === 3;
  const x = adds ? `(${sum} + ${keys[n % 3]!} | 0)` : sum;
  const y = adds ? `(${mixed} + ${keys[(n + 1) % 3]!} + ${n} | 0)` : mixed;
  const chosen = `((${x} ^ ${y}) & (0 - odd)) ^ ${x}`;
  const next = `round${number + 1}(${x}, ${y}, k0, k1, k2, odd)`;
  return { name: `round${number}`, parameters: state, result: number === 19 ? chosen : next };
}

/** A function comes after those that it calls. */
export const threefry: readonly IntegerFunction[] = [
  ...Array.from({ length: 20 }, (_, i) => round(19 - i)),
  {
    name: "word",
    parameters: ["element", "c0", ...keys],
    result: "round0(c0 + k0 | 0, (element >> 1) + k1 | 0, k0, k1, k2, element & 1)",
  },
];

/** Key, stream and block as the generator takes them: the key's third word is made on the host. Then other words. */
export function wordsOf(...others: readonly string[]): NonNullable<GpuPlan["words"]> {
  return {
    names: ["c0", ...keys, ...others],
    of: ([low, high, stream, block, ...rest]) =>
      [(stream! << 24) | block!, low!, high!, low! ^ high! ^ 0x1bd11bda, ...rest].map((word) => word | 0),
  };
}

const words = wordsOf();

/** The leading bits of a word, as many as float32 holds or an index needs. */
export const leading = (bits: number): IntegerFunction => ({
  name: "leading",
  parameters: ["word"],
  result: `word >>> ${32 - bits}`,
});

type Drawing = GpuKernel<{ readonly shape: Shape }>;

type Fill = typeof fillUniform;

/** The host's draw from the same words. */
const onHost = (fill: Fill) => ([c0, low, high]: readonly number[], length: number): Float32Array => {
  const drawn = new Float32Array(length);
  fill(drawn, [low! >>> 0, high! >>> 0], { stream: c0! >>> 24, block: c0! & 0xffffff });
  return drawn;
};

/** `result` stands for a draw, with # for its leading bits; `fill` is the host's. */
function draws(fill: Fill, bits: number, reads: Readonly<Record<string, Source>>, result: string): Drawing {
  return ({ attributes: { shape } }) => {
    const { threads, counters } = nest("a draw", [sizeOf(shape)]);
    const drawn = `leading(word(${counters[0]!}, c0, k0, k1, k2))`;
    const body = `return ${result.replace("#", drawn)};`;
    const pass = { threads, reads, helpers: [...threefry, leading(bits)], body, onHost: onHost(fill) };
    return { passes: [pass], results: [0], words };
  };
}

export const uniformDraws = draws(fillUniform, 24, {}, `# * ${2 ** -24}`);
export const normalDraws = draws(fillNormal, 12, { quantiles: { table: normalTable } }, "quantiles[#]");
