import { ShapeError } from "../errors.ts";
import { formatShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { reluGradient } from "./activations.ts";
import { checkFloats, type Operation } from "./operation.ts";
import * as gpu from "../backends/gpu/kernels/matmul.ts";
import { gemm } from "../wasm/gemm.ts";
import { wordsOf } from "../wasm/launch.ts";
import { sumTo } from "./sum.ts";

/** What may be fused behind a matrix product or a convolution. */
export type Epilogue = "none" | "relu";

export interface Product {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly activation: Epilogue;
}

type Sizes = [m: number, k: number, n: number];

/** Rows, inner size and columns of `op(A) · op(B)`. */
function sizes(a: readonly number[], b: readonly number[], { transposeA, transposeB }: Product): Sizes {
  const [m, k] = transposeA ? [a[1]!, a[0]!] : [a[0]!, a[1]!];
  const [inner, n] = transposeB ? [b[1]!, b[0]!] : [b[0]!, b[1]!];
  if (a.length !== 2 || b.length !== 2 || k !== inner) {
    const side = (shape: readonly number[], flips: boolean): string => formatShape(shape) + (flips ? "ᵀ" : "");
    throw new ShapeError(`matmul: inner sizes differ, got ${side(a, transposeA)} · ${side(b, transposeB)}`);
  }
  return [m, k, n];
}

/** `act(op(A) · op(B) + bias)`, inputs A, B and, if given, the bias [n]. */
export const product: Operation<Product> = {
  name: "matmul",
  outputs: (inputs, attributes) => {
    checkFloats("matmul", inputs);
    const [a, b, bias] = inputs;
    const [m, , n] = sizes(a!.shape, b!.shape, attributes);
    if (bias !== undefined && (bias.shape.length !== 1 || bias.shape[0] !== n)) {
      throw new ShapeError(`matmul: the bias must be [${n}], got ${formatShape(bias.shape)}`);
    }
    return [{ shape: [m, n], type: "float" }];
  },
  // dA = dz · op(B)ᵀ and dB = op(A)ᵀ · dz, each transposed where its input was.
  gradient: ({ attributes: { transposeA, transposeB, activation }, inputs: [a, b], outputs: [y], dy, needs }) => {
    const dz = activation === "relu" ? reluGradient(y!, dy) : dy;
    return [
      !needs[0]
        ? null
        : transposeA
          ? matmul(b!, dz, { transposeA: transposeB, transposeB: true })
          : matmul(dz, b!, { transposeB: !transposeB }),
      !needs[1]
        ? null
        : transposeB
          ? matmul(dz, a!, { transposeA: true, transposeB: transposeA })
          : matmul(a!, dz, { transposeA: !transposeA }),
      needs[2] ? sumTo(dz, [dz.shape[1]!]) : null,
    ];
  },
  reference: ({ inputs: [aSpec, bSpec], attributes }, [a, b, bias], [to]) => {
    const [m, k, n] = sizes(aSpec!.shape, bSpec!.shape, attributes);
    const { transposeA, transposeB, activation } = attributes;
    const row = new Float64Array(n);
    for (let i = 0; i < m; i++) {
      if (bias === undefined) row.fill(0);
      else row.set(bias);
      for (let p = 0; p < k; p++) {
        const left = transposeA ? a![p * m + i]! : a![i * k + p]!;
        if (transposeB) for (let j = 0; j < n; j++) row[j]! += left * b![j * k + p]!;
        else for (let j = 0; j < n; j++) row[j]! += left * b![p * n + j]!;
      }
      for (let j = 0; j < n; j++) to![i * n + j] = activation === "relu" && row[j]! < 0 ? 0 : row[j]!;
    }
  },
  wasm: ({ inputs: [a, b, bias], attributes }) => {
    const [m, k, n] = sizes(a!.shape, b!.shape, attributes);
    const plan = gemm({ m, k, n, bias: bias !== undefined, ...attributes });
    return {
      plan,
      words: ({ inputs: [left, right, offsets], outputs: [to], scratch }) =>
        wordsOf(plan, { a: left, b: right, c: to, bias: offsets, scratch }),
    };
  },
  gpu: gpu.matmul,
};

export interface ProductOptions {
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  /** [n], added to every row. */
  readonly bias?: Tensor;
  readonly activation?: Epilogue;
}

/** `op(A) · op(B)`, [m, k] · [k, n] = [m, n], where `op` transposes on request; bias and rectifier may be fused in. */
export function matmul(a: Tensor, b: Tensor, options: ProductOptions = {}): Tensor {
  const { transposeA = false, transposeB = false, bias, activation = "none" } = options;
  const inputs = bias === undefined ? [a, b] : [a, b, bias];
  return a.runtime.run(product, inputs, { attributes: { transposeA, transposeB, activation } })[0]!;
}
