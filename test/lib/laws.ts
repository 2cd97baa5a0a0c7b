import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ShapeError } from "../../lib/errors.ts";
import { grad } from "../../lib/grad.ts";
import { multiply } from "../../lib/ops/arithmetic.ts";
import { sum } from "../../lib/ops/sum.ts";
import type { Runtime } from "../../lib/runtime.ts";
import { formatShape, type Shape, sizeOf } from "../../lib/shape.ts";
import type { Tensor } from "../../lib/tensor.ts";
import { edges, gridNumber, list, stretching } from "./arbitraries.ts";
import { devices, exactRuntime, runtimeOf } from "./runtimes.ts";

/** What one call of an operation is given: its shapes, and settings that are handed over behind the tensors. */
export type Case = readonly Shape[] | { readonly shapes: readonly Shape[]; readonly settings: unknown };

/** A tensor as plain data, row-major. */
export interface Plain {
  readonly shape: Shape;
  readonly values: ArrayLike<number>;
}

type Values = (
  size: number,
  index: number,
  shapes: readonly Shape[],
  settings: never,
) => fc.Arbitrary<readonly number[]>;

export interface OpLawOptions {
  /** As its errors say it. Default: the name of the function. */
  readonly name?: string;
  /** Stands in the names of the tests. Default: the name. */
  readonly title?: string;
  /** The operation on plain data, in float64, written as one would explain it. */
  readonly plain: (inputs: readonly Plain[], settings: never) => Plain;
  /** The numbers of one input. Default: an even grid from -3 to 3. */
  readonly values?: Values;
  /** Which inputs are ints. Default: none. */
  readonly ints?: readonly number[];
  /** Which inputs may be either, and give their type to the result. Default: none. */
  readonly anyType?: readonly number[];
  /** Which inputs have a gradient. Default: all that are not ints. */
  readonly differentiable?: readonly number[];
  /**
   * How far float32 may be from float64, as a share of the larger of 1 and the value; ten times it for gradients, of
   * the largest of them: they are sums, and what is lost in a sum has the size of its parts. Default: 1e-6.
   */
  readonly tolerance?: number;
  /** Whether the result is a sum, too. Default: no. */
  readonly sums?: boolean;
  /** The same for the float64 oracle against plain arithmetic. */
  readonly exactness?: number;
  /** Shapes too large for a law of many runs: agreement is tried once on each. */
  readonly large?: readonly Case[];
  /** Shapes (or settings) that do not meet, and what the ShapeError says of them. */
  readonly refused: readonly (readonly [Case, RegExp])[];
  /** Inputs tried per law. */
  readonly runs?: number;
}

type Op = (...inputs: never[]) => Tensor;

interface Inputs {
  readonly shapes: readonly Shape[];
  readonly settings: unknown;
  readonly values: readonly (Float32Array | Int32Array)[];
}

/**
 * The laws of every operation: the float64 oracle agrees with plain arithmetic, gradients are slopes, every device
 * agrees with the oracle (result and gradients, inside a step and outside), inputs are left alone, shapes that do not
 * meet and ints that are not wanted are refused.
 */
export function opLaws(op: Op, cases: fc.Arbitrary<Case>, options: OpLawOptions): void {
  const { name = op.name, ints = [], anyType = [], tolerance = 1e-6, exactness = 1e-12, runs = 25 } = options;
  const { title = name, sums = false, values = (size: number) => list(gridNumber, size) } = options;
  const exact = exactRuntime();
  const apply = (tensors: readonly Tensor[], settings: unknown): Tensor =>
    (op as (...all: unknown[]) => Tensor)(...tensors, ...(settings === undefined ? [] : [settings]));
  const isInt = (index: number): boolean => ints.includes(index);
  const differentiable = (shapes: readonly Shape[]): readonly number[] =>
    options.differentiable ?? shapes.map((_, i) => i).filter((i) => !isInt(i));
  const inputsOf = (chosen: Case): fc.Arbitrary<Inputs> => {
    const { shapes, settings } = "shapes" in chosen ? chosen : { shapes: chosen, settings: undefined };
    // Large inputs repeat their numbers, at a distance that no tile or row divides.
    // A failure shrinks to small shapes; shrinking each of their numbers too would take minutes.
    const lists = shapes.map((shape, i) =>
      fc.noShrink(values(Math.min(sizeOf(shape), 401), i, shapes, settings as never)),
    );
    return fc.tuple(...lists).map((numbers) => ({
      shapes,
      settings,
      values: numbers.map((own, i) => {
        const all = Array.from({ length: sizeOf(shapes[i]!) }, (_, k) => own[k % own.length]!);
        return isInt(i) ? Int32Array.from(all) : Float32Array.from(all);
      }),
    }));
  };
  const inputs = cases.chain(inputsOf);
  const tensorsOf = (runtime: Runtime, from: Inputs): Tensor[] =>
    from.values.map((own, i) => runtime.tensor(own, from.shapes[i]!));
  const plainly = (from: Inputs): Plain =>
    options.plain(from.values.map((own, i) => ({ shape: from.shapes[i]!, values: own })), from.settings as never);

  /** The result, and the gradients of its sum with uneven weights, as plain numbers. */
  const everything = async (runtime: Runtime, from: Inputs, around: <T>(body: () => T) => T): Promise<Results> => {
    const given = tensorsOf(runtime, from);
    const results = around(() => {
      const y = apply(given, from.settings);
      const targets = differentiable(from.shapes).map((i) => given[i]!);
      return { y, gradients: targets.length === 0 ? [] : grad(weighted(y), targets) };
    });
    const y = await results.y.read();
    const gradients = await Promise.all(results.gradients.map((gradient) => gradient.read()));
    const wanted = differentiable(from.shapes).map((i) => from.shapes[i]!);
    assert.deepEqual(results.gradients.map(({ shape }) => shape), wanted, "a gradient has its input's shape");
    for (const [i, tensor] of given.entries()) {
      // Through Float32Array, so that float64 storage compares too; NaNs and both zeros are told apart.
      const now = isInt(i) ? await tensor.read() : Float32Array.from(await tensor.read());
      assert.deepStrictEqual(now, from.values[i], "inputs are left alone");
    }
    return { shape: results.y.shape, y, gradients };
  };

  const agree = async (runtime: Runtime, from: Inputs, ...ways: (typeof directly)[]): Promise<void> => {
    const want = await everything(exact, from, directly);
    for (const around of ways) {
      const got = await everything(runtime, from, around);
      assert.deepEqual(got.shape, want.shape);
      assertClose(got.y, want.y, tolerance, "result", sums ? largest(want.y) : 1);
      got.gradients.forEach((gradient, k) => {
        const what = `gradient of input ${differentiable(from.shapes)[k]!}`;
        assertClose(gradient, want.gradients[k]!, 10 * tolerance, what, largest(want.gradients[k]!));
      });
    }
  };

  test(`${title}: the oracle agrees with plain arithmetic`, () => {
    fc.assert(
      fc.property(inputs, (from) => {
        const [got, want] = [apply(tensorsOf(exact, from), from.settings), plainly(from)];
        assert.deepEqual(got.shape, want.shape);
        assertClose(got.readSync(), want.values, exactness, "result");
      }),
      { numRuns: 2 * runs },
    );
  });

  if (options.differentiable === undefined || options.differentiable.length > 0) {
    test(`${title}: gradients are slopes`, () => {
      fc.assert(
        fc.property(inputs, (from) => {
          const lossOf = (...moved: Tensor[]): Tensor => weighted(apply(moved, from.settings));
          assertSlopes(exact, lossOf, tensorsOf(exact, from), differentiable(from.shapes));
        }),
        { numRuns: runs },
      );
    });
  }

  for (const device of devices) {
    test(`${title} on ${device.name}: agrees with the oracle, in a step and outside, inputs left alone`, async () => {
      const runtime = await runtimeOf(device);
      const inStep = <T>(body: () => T): T => runtime.step(body);
      await fc.assert(fc.asyncProperty(inputs, (from) => agree(runtime, from, inStep, directly)), { numRuns: runs });
      for (const chosen of options.large ?? []) {
        await fc.assert(fc.asyncProperty(inputsOf(chosen), (from) => agree(runtime, from, inStep)), { numRuns: 1 });
      }
    });

    test(`${title} on ${device.name}: refuses shapes and types that do not meet`, async () => {
      const runtime = await runtimeOf(device);
      const attempt = (chosen: Case, made: (shape: Shape, index: number) => Tensor): Tensor => {
        const { shapes, settings } = "shapes" in chosen ? chosen : { shapes: chosen, settings: undefined };
        return apply(shapes.map(made), settings);
      };
      const isRefusal = (error: unknown): error is ShapeError =>
        error instanceof ShapeError && error.message.startsWith(`${name}: `);
      const make = (shape: Shape, asInt: boolean): Tensor =>
        runtime.tensor(asInt ? new Int32Array(sizeOf(shape)) : new Float32Array(sizeOf(shape)), shape);
      for (const [chosen, message] of options.refused) {
        assert.throws(
          () => attempt(chosen, (shape, i) => make(shape, isInt(i))),
          (error) => isRefusal(error) && message.test(error.message),
          `${name} takes ${JSON.stringify(chosen)}, or its error does not say ${String(message)}`,
        );
      }
      const [sample] = fc.sample(cases, { numRuns: 1, seed: 1 }) as [Case];
      const { shapes } = "shapes" in sample ? sample : { shapes: sample };
      for (const wrong of shapes.keys()) {
        if (anyType.includes(wrong)) continue;
        assert.throws(
          () => attempt(sample, (shape, i) => make(shape, isInt(i) !== (i === wrong))),
          isRefusal,
          `${name} takes ${isInt(wrong) ? "floats" : "ints"} as input ${wrong}`,
        );
      }
    });

    if (anyType.length > 0) {
      test(`${title} on ${device.name}: ints stay ints`, async () => {
        const runtime = await runtimeOf(device);
        await fc.assert(
          fc.asyncProperty(inputs, async (from) => {
            const whole: Inputs = { ...from, values: from.values.map((own) => Int32Array.from(own, (x) => x * 1e7)) };
            const kept = { ...whole, values: whole.values.map((own, i) => (isInt(i) ? from.values[i]! : own)) };
            const y = runtime.step(() => apply(tensorsOf(runtime, kept), kept.settings));
            assert.equal(y.type, "int");
            assert.deepEqual(await y.read(), Int32Array.from(plainly(kept).values));
          }),
          { numRuns: runs },
        );
      });
    }
  }
}

interface Results {
  readonly shape: Shape;
  readonly y: ArrayLike<number>;
  readonly gradients: readonly ArrayLike<number>[];
}

const directly = <T>(body: () => T): T => body();

/** Options of `elementwiseLaws`: those of `opLaws` but what follows from the function. */
export type ElementwiseLawOptions = Partial<Omit<OpLawOptions, "plain" | "refused">> & { readonly name: string };

/** The laws of an elementwise operation that is `f` on each element, infinities, NaN and zeros included. */
export function elementwiseLaws(op: Op, f: (...x: number[]) => number, options: ElementwiseLawOptions): void {
  const { name, title = name } = options;
  const count = f.length;
  const refused: OpLawOptions["refused"] =
    count === 1
      ? []
      : [
          [
            [[2, 3], [4, 3], [1]].slice(0, count),
            new RegExp(`^${name}: shapes do not broadcast, got \\[2, 3\\] and \\[4, 3\\]`),
          ],
        ];
  opLaws(op, stretching(count), { plain: each(f), refused, ...options });

  for (const device of devices) {
    test(`${title} on ${device.name}: NaN, infinities and zeros`, async () => {
      const runtime = await runtimeOf(device);
      const size = edges.length ** count;
      const inputs = Array.from({ length: count }, (_, k) =>
        Float32Array.from({ length: size }, (_, i) => edges[Math.floor(i / edges.length ** k) % edges.length]!),
      );
      const given = inputs.map((own) => runtime.tensor(own));
      const y = (op as (...all: Tensor[]) => Tensor)(...given);
      const want = Float32Array.from({ length: size }, (_, i) => f(...inputs.map((own) => own[i]!)));
      assertClose(await y.read(), want, options.tolerance ?? 1e-6, "result");
    });
  }
}

/** `f` on inputs stretched to their common shape: axes are aligned at the right, and an axis of 1 is repeated. */
export function each(f: (...x: number[]) => number): (inputs: readonly Plain[]) => Plain {
  return (inputs) => {
    const rank = Math.max(...inputs.map(({ shape }) => shape.length));
    const aligned = inputs.map(({ shape, values }) => ({
      shape: [...new Array<number>(rank - shape.length).fill(1), ...shape],
      values,
    }));
    const full = Array.from({ length: rank }, (_, axis) => Math.max(...aligned.map(({ shape }) => shape[axis]!)));
    return fill(full, (index) =>
      f(...aligned.map((own) => at(own, index.map((i, axis) => (own.shape[axis] === 1 ? 0 : i))))),
    );
  };
}

/** Every index of a shape, the last axis fastest. */
export function indices(shape: Shape): number[][] {
  let all: number[][] = [[]];
  for (const size of shape) {
    all = all.flatMap((index) => Array.from({ length: size }, (_, i) => [...index, i]));
  }
  return all;
}

/** A tensor of `shape` from its elements by index. */
export function fill(shape: Shape, f: (index: number[]) => number): Plain {
  return { shape, values: indices(shape).map(f) };
}

/** The element at an index. */
export function at({ shape, values }: Plain, index: readonly number[]): number {
  return values[index.reduce((offset, i, axis) => offset * shape[axis]! + i, 0)]!;
}

/** One number that depends on all of `y`, each element with a weight of its own, none of them 0. */
export function weighted(y: Tensor): Tensor {
  const weights = Float32Array.from({ length: sizeOf(y.shape) }, (_, i) => (((i * 7) % 10) - 4.5) / 4);
  return sum(multiply(y, y.runtime.tensor(weights, y.shape)));
}

/** The size of the largest element, 1 at least. */
function largest(values: ArrayLike<number>): number {
  return Array.from(values, Math.abs).reduce((a, b) => Math.max(a, b), 1);
}

/** No element is further from what is wanted than `tolerance` times the larger of its size and `scale`. */
export function assertClose(
  got: ArrayLike<number>,
  want: ArrayLike<number>,
  tolerance: number,
  what: string,
  scale = 1,
): void {
  assert.equal(got.length, want.length, `${what}: length`);
  for (let i = 0; i < want.length; i++) {
    const [g, w] = [got[i]!, want[i]!];
    const meets = g === w || (g !== g && w !== w) || Math.abs(g - w) <= tolerance * Math.max(scale, Math.abs(w));
    assert.ok(meets, `${what}: element ${i} is ${g}, ${w} is right (within ${tolerance})`);
  }
}

/** Half the distance of a central difference. What it leaves out is of the order of its square, 4e-9. */
const h = 2 ** -14;

/**
 * The gradients of `lossOf(...inputs)` are its central differences, at up to eight elements of each of the inputs
 * `wanted`. `runtime` computes in float64.
 */
export function assertSlopes(
  runtime: Runtime,
  lossOf: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  wanted: readonly number[] = inputs.map((_, i) => i),
): void {
  const gradients = runtime.step(() => grad(lossOf(...inputs), wanted.map((i) => inputs[i]!)));
  gradients.forEach((gradient, k) => {
    const which = wanted[k]!;
    const input = inputs[which]!;
    const slopes = gradient.readSync();
    const lossAt = (element: number, move: number): number => {
      const values = input.readSync();
      values[element]! += move;
      return runtime.step(() => {
        const moved = runtime.tensor(values, input.shape);
        return lossOf(...inputs.map((own, i) => (i === which ? moved : own))).readSync()[0]!;
      });
    };
    // Odd, so that every channel of an image has its turn.
    const stride = Math.ceil(slopes.length / 8) | 1;
    for (let i = 0; i < slopes.length; i += stride) {
      const want = (lossAt(i, h) - lossAt(i, -h)) / (2 * h);
      const where = `slope at element ${i} of input ${which} ${formatShape(input.shape)}`;
      assertClose([slopes[i]!], [want], 2e-6, where);
    }
  });
}
