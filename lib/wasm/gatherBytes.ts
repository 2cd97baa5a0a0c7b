// Looking up rows of bytes that are packed three to a float.

import { sizeOf } from "../shape.ts";
import { f32, i32, toI32 } from "./assembler.ts";
import type { Local } from "./assembler.ts";
import { emitRun, type Kernel } from "./kernel.ts";
import type { WasmKernel } from "./launch.ts";
import { loadWord } from "./nest.ts";
import { lesser, refuse } from "./vectors.ts";

/** A tile makes about so many elements. */
const TILE = 16384;

export const gatherPacked: WasmKernel<{ readonly bytes: number }> = ({ inputs, attributes: { bytes } }) => {
  const [indices, , ...tables] = inputs;
  const count = sizeOf(indices!.shape);
  const perTile = Math.max(1, Math.floor(TILE / bytes));
  const sizes = tables.map(({ shape }) => shape[0]!);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const words = [
    "indices",
    "values",
    ...tables.map((_, k) => `table ${k}`),
    "to",
    "fault",
    "bytes",
    "count",
    "perTile",
    ...tables.map((_, k) => `size ${k}`),
  ];
  const kernel: Kernel = {
    key: `gather bytes of ${tables.length} tables`,
    arguments: words,
    tiles: Math.ceil(count / perTile),
    emit: (target) =>
      emitRun(target, (f, args, tile) => {
        const word = (name: string): Local<"i32"> => loadWord(f, args, words, name);
        const [values, bytesPerRow] = [word("values"), word("bytes")];
        const width = f.let(i32.mul(i32.div_u(i32.add(bytesPerRow, 2), 3), 4));
        const first = f.let(i32.mul(tile, word("perTile")));
        const last = lesser(i32.add(first, word("perTile")), word("count"));
        const to = f.let(i32.add(word("to"), i32.mul(i32.mul(first, bytesPerRow), 4)));
        const at = f.let(i32.add(word("indices"), i32.mul(first, 4)));
        f.loop(first, last, 1, () => {
          const index = f.let(i32.load(at));
          f.increment(at, 4);
          const row = f.let(index);
          const from = f.let(toI32(0));
          for (const k of tables.keys()) {
            f.if(i32.eqz(from), () => {
              const size = word(`size ${k}`);
              f.if(
                i32.lt_u(row, size),
                () => f.set(from, i32.add(word(`table ${k}`), i32.mul(row, width))),
                () => f.set(row, i32.sub(row, size)),
              );
            });
          }
          f.if(
            from,
            () => {
              const left = f.let(bytesPerRow);
              const packed = f.let(toI32(0));
              f.loop(0, bytesPerRow, 3, () => {
                f.set(packed, i32.trunc_sat_f32_s(f32.load(from)));
                f.increment(from, 4);
                for (let byte = 0; byte < 3; byte++) {
                  f.if(i32.gt_s(left, 0), () => {
                    f.do(f32.store(to, f32.load(i32.add(values, i32.mul(i32.and(packed, 255), 4)))));
                    f.increment(to, 4);
                  });
                  f.set(packed, i32.shr_u(packed, 8));
                  f.increment(left, -1);
                }
              });
            },
            () => {
              refuse(f, word("fault"), index);
              f.increment(to, i32.mul(bytesPerRow, 4));
            },
          );
        });
      }),
  };
  return {
    plan: { phases: [kernel], scratchBytes: 0 },
    words: ({ inputs, outputs, fault }) => [...inputs, ...outputs, fault, bytes, count, perTile, ...sizes],
    refuse: (index) => new RangeError(`gatherBytes: index ${index} is outside 0 to ${total - 1}`),
  };
};
