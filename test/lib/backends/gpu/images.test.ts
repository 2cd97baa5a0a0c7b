// The laws of convolution, pooling and layout with gpu.js kernels; see operations.test.ts.

import fc from "fast-check";
import { concat, conv2d, maxPool2d, pad, slice, type Tensor, transpose } from "../../../../lib/index.ts";
import { type Shape, sizeOf } from "../../../../lib/shape.ts";
import { dim, distinct, gridNumber, shapes } from "../../arbitraries.ts";
import { agrees, type Case, filled } from "./agreement.ts";

const one = (x: Case["tensors"][number], apply: (x: Tensor) => Tensor): Case => ({
  tensors: [x],
  apply: (own) => apply(own!),
});

agrees(
  "transpose",
  shapes().chain((shape) => {
    const axes = shape.map((_, axis) => axis);
    const orders = fc.shuffledSubarray(axes, { minLength: axes.length });
    return fc.tuple(filled(shape), orders).map(([x, order]) => one(x, (own) => transpose(own, order)));
  }),
);
agrees(
  "transpose of six axes",
  filled([2, 3, 2, 3, 2, 2]).map((x) => one(x, (own) => transpose(own, [4, 1, 5, 0, 3, 2]))),
  1,
);
const margins = shapes().chain((shape) =>
  fc.tuple(fc.constant(shape), fc.tuple(...shape.map(() => fc.tuple(fc.nat(2), fc.nat(2))))),
);
agrees(
  "pad",
  margins.chain(([shape, around]) => filled(shape).map((x) => one(x, (own) => pad(own, around)))),
);
agrees(
  "slice",
  margins.chain(([shape, around]) =>
    filled(shape.map((size, axis) => size + around[axis]![0] + around[axis]![1])).map((x) =>
      one(x, (own) => slice(own, around.map(([before]) => before), shape)),
    ),
  ),
);
agrees(
  "concat",
  shapes({ minRank: 1 }).chain((shape) =>
    fc
      .tuple(fc.nat(shape.length - 1), fc.array(dim, { minLength: 1, maxLength: 16 }))
      .chain(([axis, lengths]) =>
        fc
          .tuple(...lengths.map((length) => filled(shape.map((size, i) => (i === axis ? length : size)))))
          .map((tensors): Case => ({ tensors, apply: (...all) => concat(all, axis) })),
      ),
  ),
);

const small = fc.integer({ min: 1, max: 4 });
const side = fc.integer({ min: 1, max: 8 });
const step = fc.integer({ min: 1, max: 3 });
const convolutions = fc
  .record({
    image: fc.tuple(step, side, side, small),
    kernel: fc.tuple(small, small),
    filters: small,
    stride: fc.tuple(step, step),
    padding: fc.constantFrom("valid" as const, "same" as const),
    hasBias: fc.boolean(),
    rectifies: fc.boolean(),
  })
  .filter(({ image, kernel, padding }) => padding === "same" || (kernel[0] <= image[1] && kernel[1] <= image[2]));

agrees(
  "conv2d",
  convolutions.chain(({ image, kernel, filters, stride, padding, hasBias, rectifies }) =>
    fc
      .tuple(
        filled(image),
        filled([...kernel, image[3], filters]),
        // Far from the rectifier's kink: a sum that is 0 but for rounding has either slope.
        filled([filters], rectifies ? fc.constantFrom(-900, 900) : gridNumber),
      )
      .map(([x, w, bias]): Case => {
        const options = { stride, padding, activation: rectifies && hasBias ? "relu" : "none" } as const;
        if (!hasBias) return { tensors: [x, w], apply: (own, filter) => conv2d(own!, filter!, options) };
        return { tensors: [x, w, bias], apply: (own, filter, b) => conv2d(own!, filter!, { ...options, bias: b! }) };
      }),
  ),
  24,
);

/** Sums of neighbours that are never equal, and never 0: which one is the largest does not hang on rounding. */
agrees(
  "conv2d with pooling",
  convolutions
    .map(({ image: [n, h, w, c], kernel: [kh, kw], ...rest }) => ({
      ...rest,
      image: [n, h + kh + 2, w + kw + 2, c] as const,
      kernel: [kh, kw] as const,
      stride: [1, 1] as const,
    }))
    .chain(({ image, kernel, filters, stride, padding, hasBias, rectifies }) => {
      const filter: Shape = [...kernel, image[3], filters];
      return fc
        .tuple(
          fc.noShrink(distinct(sizeOf(image))),
          fc.noShrink(fc.array(fc.double({ min: 0.5, max: 2, noNaN: true }), exactly(sizeOf(filter)))),
          filled([filters], rectifies ? fc.constantFrom(-1e4, 1e4) : gridNumber),
        )
        .map(([pixels, taps, bias]): Case => {
          const options = { stride, padding, maxPool: 2, activation: rectifies && hasBias ? "relu" : "none" } as const;
          const x = { shape: image, values: pixels };
          const w = { shape: filter, values: taps.map(Math.fround) };
          if (!hasBias) return { tensors: [x, w], apply: (own, f) => conv2d(own!, f!, options) };
          return { tensors: [x, w, bias], apply: (own, f, b) => conv2d(own!, f!, { ...options, bias: b! }) };
        });
    }),
  16,
);

function exactly(length: number): { minLength: number; maxLength: number } {
  return { minLength: length, maxLength: length };
}

agrees(
  "maxPool2d",
  fc
    .record({ n: step, h: side, w: side, c: small, size: step, stride: step })
    .filter(({ h, w, size }) => h >= size && w >= size)
    .chain(({ n, h, w, c, size, stride }) => {
      const shape = [n, h, w, c];
      return fc
        .noShrink(distinct(sizeOf(shape)))
        .map((values) => one({ shape, values }, (x) => maxPool2d(x, size, stride)));
    }),
  16,
);
agrees(
  "the convolutions of LeNet-5",
  fc.tuple(filled([3, 28, 28, 1]), filled([5, 5, 1, 20]), filled([5, 5, 20, 50])).map(
    (tensors): Case => ({ tensors, apply: (x, first, second) => conv2d(maxPool2d(conv2d(x!, first!), 2), second!) }),
  ),
  1,
);
