import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  FunctionBuilder,
  ModuleBuilder,
  call,
  f32,
  f32x4,
  f64,
  f64x2,
  i32,
  i32x4,
  i8x16,
  memory,
  select,
  v128,
} from "../../../lib/wasm/assembler.ts";
import { type Code, CodeWriter, signed, unsigned } from "../../../lib/wasm/encoding.ts";
import type { Expression, Local, V128, ValueType } from "../../../lib/wasm/assembler.ts";
import { emitRun, runPlan } from "../../../lib/wasm/kernel.ts";
import type { Kernel } from "../../../lib/wasm/kernel.ts";

function ready(module: ModuleBuilder, store = new WebAssembly.Memory({ initial: 1 })) {
  const bytes = module.assemble();
  assert.ok(WebAssembly.validate(bytes));
  return new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory: store } }).exports;
}

/** A function of as many integers as `body` names, with one result. */
function compiled<R extends ValueType>(
  body: (f: FunctionBuilder, ...ints: Local<"i32">[]) => Expression<R>,
  result: R = "i32" as R,
): (...values: number[]) => number {
  const module = new ModuleBuilder({ shared: false });
  const parameters = Array.from({ length: Math.max(0, body.length - 1) }, () => "i32" as const);
  module.function({ parameters, result, export: "f" }, (f, ...ints) => f.return(body(f, ...ints)));
  return ready(module)["f"] as (...values: number[]) => number;
}

const int = fc.integer({ min: -0x80000000, max: 0x7fffffff });

test("signed and unsigned immediates come back as they went in, in the fewest bytes", () => {
  fc.assert(
    fc.property(int, (n) => {
      assert.equal(compiled(() => i32.const(n))(), n);
      const magnitude = n < 0 ? ~n : n;
      const bits = magnitude === 0 ? 1 : 33 - Math.clz32(magnitude);
      assert.equal(signed(n).length, Math.ceil(bits / 7));
    }),
    { examples: [[0], [63], [64], [-64], [-65], [127], [128], [8191], [8192], [-0x80000000], [0x7fffffff]] },
  );
  assert.deepEqual(unsigned(624485), [0xe5, 0x8e, 0x26]);
  assert.deepEqual(signed(-123456), [0xc0, 0xbb, 0x78]);
  assert.deepEqual(unsigned(0xffffffff), [0xff, 0xff, 0xff, 0xff, 0x0f]);
  assert.throws(() => unsigned(-1), RangeError);
  assert.throws(() => signed(2 ** 32), RangeError);
});

test("code is written byte by byte in the order in which it is nested", () => {
  const byte = fc.nat({ max: 255 });
  const { code } = fc.letrec<{ code: Code; part: number | Code }>((tie) => ({
    code: fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.array(tie("part"), { maxLength: 6 })),
    part: fc.oneof({ maxDepth: 4 }, byte, tie("code")),
  }));
  const flat = (part: number | Code): number[] =>
    typeof part === "number" ? [part] : [...part].flatMap((inner) => flat(inner));
  fc.assert(
    fc.property(fc.array(code), fc.nat({ max: 8 }), (codes, capacity) => {
      const writer = new CodeWriter(capacity);
      for (const one of codes) writer.append(one);
      assert.equal(writer.length, flat(codes).length);
      assert.deepEqual([...writer.finish()], flat(codes));
    }),
  );
});

test("i32 arithmetic is that of 32 bits, folded or not", () => {
  const operations: [string, (a: number, b: number) => number][] = [
    ["add", (a, b) => (a + b) | 0],
    ["sub", (a, b) => (a - b) | 0],
    ["mul", Math.imul],
    ["and", (a, b) => a & b],
    ["or", (a, b) => a | b],
    ["xor", (a, b) => a ^ b],
    ["shl", (a, b) => a << b],
    ["shr_s", (a, b) => a >> b],
    ["shr_u", (a, b) => (a >>> b) | 0],
    ["rotl", (a, b) => (a << b) | (b % 32 === 0 ? 0 : a >>> -b)],
    ["lt_s", (a, b) => Number(a < b)],
    ["ge_u", (a, b) => Number(a >>> 0 >= b >>> 0)],
  ];
  for (const [name, expected] of operations) {
    const operation = i32[name as "add"];
    const variable = compiled((_, a, b) => operation(a, b));
    fc.assert(
      fc.property(int, fc.oneof(int, fc.integer({ min: 0, max: 64 }), fc.constantFrom(1, 2, 8, 1 << 30)), (a, b) => {
        assert.equal(variable(a, b), expected(a, b), `${name}(${a}, ${b})`);
        assert.equal(compiled((_, x) => operation(x, b))(a), expected(a, b), `${name}(${a}, constant ${b})`);
        assert.equal(compiled(() => operation(a, b))(), expected(a, b), `${name} of the constants ${a}, ${b}`);
      }),
      { numRuns: 20 },
    );
  }
});

test("constants are folded away", () => {
  const a = new FunctionBuilder(0).local("i32");
  assert.equal(i32.add(a, 0), a);
  assert.equal(i32.mul(a, 1), a);
  assert.equal(i32.add(3, i32.mul(4, 5)).known, 23);
  assert.deepEqual(i32.mul(a, 16).code, i32.shl(a, 4).code);
});

test("float constants keep their bits", () => {
  fc.assert(
    fc.property(fc.float(), fc.double(), (a, b) => {
      assert.ok(Object.is(compiled(() => f32.const(a), "f32")(), a));
      assert.ok(Object.is(compiled(() => f64.const(b), "f64")(), b));
    }),
  );
});

test("a loop visits what the JavaScript loop visits", () => {
  const bound = fc.integer({ min: -20, max: 20 });
  fc.assert(
    fc.property(bound, bound, fc.integer({ min: 1, max: 7 }), fc.boolean(), fc.boolean(), (from, to, step, a, b) => {
      const digest = compiled((f, start, stop) => {
        const sum = f.let(i32.const(7));
        f.loop(a ? from : start, b ? to : stop, step, (i) => f.set(sum, i32.add(i32.mul(sum, 31), i)));
        return sum;
      });
      let expected = 7;
      for (let i = from; i < to; i += step) expected = (Math.imul(expected, 31) + i) | 0;
      assert.equal(digest(from, to), expected);
    }),
  );
  assert.throws(() => compiled((f) => (f.loop(0, 1, 0, () => {}), i32.const(0))), RangeError);
});

test("if, while, blocks and branches", () => {
  // Collatz steps to 1, giving up after 200: nested structure with an early way out.
  const collatz = compiled((f, start) => {
    const [n, steps] = [f.let(start), f.local("i32")];
    f.block((giveUp) => {
      f.while(
        () => i32.gt_s(n, 1),
        () => {
          f.brIf(giveUp, i32.ge_s(steps, 200));
          f.if(
            i32.and(n, 1),
            () => f.set(n, i32.add(i32.mul(n, 3), 1)),
            () => f.set(n, i32.shr_u(n, 1)),
          );
          f.increment(steps, 1);
        },
      );
    });
    return steps;
  });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 10000 }), (start) => {
      let steps = 0;
      for (let n = start; n > 1 && steps < 200; steps++) n = n % 2 === 1 ? 3 * n + 1 : n / 2;
      assert.equal(collatz(start), steps);
    }),
  );
  const f = new FunctionBuilder(0);
  let escaped: Parameters<typeof f.br>[0] | undefined;
  f.block((label) => (escaped = label));
  assert.throws(() => f.br(escaped!), RangeError);
});

test("functions call each other; a condition known at emission keeps one branch", () => {
  const module = new ModuleBuilder({ shared: false });
  const largest = module.function({ parameters: ["i32", "i32"], result: "i32" }, (f, a, b) =>
    f.return(select("i32", a, b, i32.gt_s(a, b))),
  );
  module.function({ parameters: ["i32", "i32", "i32"], result: "i32", export: "f" }, (f, a, b, c) => {
    f.if(0, () => f.return(i32.const(-1)));
    f.return(call(largest, call(largest, a, b), c));
  });
  const max = ready(module)["f"] as (...values: number[]) => number;
  fc.assert(fc.property(int, int, int, (a, b, c) => assert.equal(max(a, b, c), Math.max(a, b, c))));
});

test("vectors: loads, lanes, shuffles, bitselect, stores", () => {
  const store = new WebAssembly.Memory({ initial: 1 });
  const floats = new Float32Array(store.buffer);
  const module = new ModuleBuilder({ shared: false });
  module.function({ parameters: ["i32"], result: "void", export: "f" }, (f, p) => {
    const [a, b] = [f.let(v128.load(p)), f.let(v128.load(p, 16))];
    f.do(v128.store(p, f32x4.add(f32x4.mul(a, b), v128.load32_splat(p, 4)), 32));
    f.do(v128.store(p, i32x4.shuffle(a, b, [0, 4, 1, 5]), 48));
    f.do(v128.store(p, v128.bitselect(a, b, f32x4.gt(a, b)), 64));
    f.do(v128.store(p, v128.load32_lane(p, v128.load64_zero(p, 8), 2, 16), 80));
    f.do(v128.store32_lane(p, a, 3, 96), v128.store64_lane(p, b, 1, 100));
    f.do(f32.store(p, f32x4.extract_lane(f32x4.replace_lane(b, 2, 0.5), 2), 108));
    f.do(i32.store8(p, i32x4.bitmask(f32x4.lt(a, b)), 112));
    f.do(v128.store(p, i8x16.splat(3), 128), memory.copy(i32.add(p, 144), p, 16));
  });
  const run = ready(module, store)["f"] as (p: number) => void;
  const float = fc.integer({ min: -1000, max: 1000 }).map((n) => n / 64);
  fc.assert(
    fc.property(fc.array(float, { minLength: 8, maxLength: 8 }), (x) => {
      const [a, b] = [x.slice(0, 4), x.slice(4)];
      floats.fill(0);
      floats.set(x);
      run(0);
      const mask = a.reduce((bits, value, i) => bits | (Number(value < b[i]!) << i), 0);
      assert.deepEqual(
        [...floats.subarray(8, 12)],
        a.map((value, i) => value * b[i]! + a[1]!),
      );
      assert.deepEqual([...floats.subarray(12, 16)], [a[0], b[0], a[1], b[1]]);
      assert.deepEqual(
        [...floats.subarray(16, 20)],
        a.map((value, i) => Math.max(value, b[i]!)),
      );
      assert.deepEqual([...floats.subarray(20, 24)], [a[2], a[3], b[0], 0]);
      assert.deepEqual([...floats.subarray(24, 28)], [a[3], b[2], b[3], 0.5]);
      assert.equal(new Uint8Array(store.buffer)[112], mask);
      assert.deepEqual([...new Uint8Array(store.buffer, 128, 16)], Array(16).fill(3));
      assert.deepEqual([...floats.subarray(36, 40)], a);
    }),
  );
  assert.throws(() => f32x4.extract_lane(f32x4.const(0, 0, 0, 0), 4), RangeError);
});

/** Numbers that tell operations apart: both signs, halves, zeros, infinities. */
const telling = fc.oneof(
  fc.integer({ min: -4000, max: 4000 }).map((n) => n / 16),
  fc.constantFrom(0, -0, Infinity, -Infinity, NaN, 0.5, 1.5, 2.5, -0.5),
);

test("float operations are those of JavaScript, rounded; vectors do in each lane what scalars do", () => {
  const nearest = (a: number) => {
    const rounded = Math.round(a) - Number(Math.abs(a % 1) === 0.5 && Math.round(a) % 2 !== 0);
    return rounded === 0 ? Math.sign(a) * 0 || a * 0 : rounded;
  };
  const unary: Record<string, (a: number) => number> = {
    abs: Math.abs,
    neg: (a) => -a,
    sqrt: Math.sqrt,
    ceil: Math.ceil,
    floor: Math.floor,
    trunc: Math.trunc,
    nearest,
  };
  const binary: Record<string, (a: number, b: number) => number> = {
    add: (a, b) => a + b,
    sub: (a, b) => a - b,
    mul: (a, b) => a * b,
    div: (a, b) => a / b,
    min: Math.min,
    max: Math.max,
  };
  const compare: Record<string, (a: number, b: number) => boolean> = {
    eq: (a, b) => a === b,
    ne: (a, b) => a !== b,
    lt: (a, b) => a < b,
    gt: (a, b) => a > b,
    le: (a, b) => a <= b,
    ge: (a, b) => a >= b,
  };
  const scalarOf = { f32: { ops: f32, vector: f32x4 }, f64: { ops: f64, vector: f64x2 } } as const;
  for (const type of ["f32", "f64"] as const) {
    const { ops, vector } = scalarOf[type];
    const lane = vector.extract_lane as (a: V128, lane: number) => Expression<typeof type>;
    const splat = vector.splat as (a: Expression<typeof type>) => V128;
    const run = (name: string, arity: 1 | 2, vectorised: boolean, result: ValueType) => {
      const module = new ModuleBuilder({ shared: false });
      module.function({ parameters: [type, type], result, export: "f" }, (f, a, b) => {
        const table = (vectorised ? vector : ops) as unknown as Record<string, (...x: unknown[]) => never>;
        const operands = [a, b].slice(0, arity).map((x) => (vectorised ? splat(x as Expression<typeof type>) : x));
        const value: Expression<ValueType> = table[name]!(...operands);
        f.return(vectorised ? (result === "i32" ? v128.any_true(value as V128) : lane(value as V128, 1)) : value);
      });
      return ready(module)["f"] as (a: number, b: number) => number;
    };
    const round = type === "f32" ? Math.fround : (a: number) => a;
    for (const vectorised of [false, true]) {
      for (const [names, arity, result] of [
        [unary, 1, type],
        [binary, 2, type],
        [compare, 2, "i32"],
      ] as const) {
        for (const [name, expected] of Object.entries(names)) {
          const got = run(name, arity, vectorised, result);
          fc.assert(
            fc.property(telling, telling, (a, b) => {
              const right = round(Number((expected as (a: number, b: number) => number | boolean)(a, b)));
              assert.ok(Object.is(got(a, b), right), `${type}.${name}(${a}, ${b}) = ${got(a, b)}, not ${right}`);
            }),
            { numRuns: 60 },
          );
        }
      }
    }
  }
});

test("integer vectors do in each lane what scalars do", () => {
  for (const name of ["add", "sub", "mul", "shl", "shr_s", "shr_u"] as const) {
    const got = compiled((_, a, b) => {
      const right = name.startsWith("sh") ? b : i32x4.splat(b);
      return i32x4.extract_lane(i32x4[name](i32x4.splat(a), right as never), 2);
    });
    const expected = compiled((_, a, b) => i32[name](a, b));
    fc.assert(fc.property(int, int, (a, b) => assert.equal(got(a, b), expected(a, b), name)));
  }
  for (const name of ["eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u"] as const) {
    const got = compiled((_, a, b) => v128.any_true(i32x4[name](i32x4.splat(a), i32x4.splat(b))));
    const expected = compiled((_, a, b) => i32[name](a, b));
    fc.assert(
      fc.property(int, int, (a, b) => assert.equal(got(a, b), expected(a, b), name)),
      {
        examples: [
          [0, 0],
          [-1, 1],
          [5, 5],
        ],
      },
    );
  }
});

test("conversions", () => {
  const through = compiled((_, a) => i32.trunc_sat_f64_s(f64.convert_i32_s(a)));
  const bits = compiled((_, a) => i32.reinterpret_f32(f32.reinterpret_i32(a)));
  const rounded = compiled((_, a) => f64.promote_f32(f32.convert_i32_u(a)), "f64");
  const lanes = compiled((_, a) =>
    i32x4.extract_lane(i32x4.trunc_sat_f32x4_s(f32x4.convert_i32x4_s(i32x4.splat(a))), 0),
  );
  const clamp = (n: number) => Math.min(n, 0x7fffffff);
  fc.assert(
    fc.property(int, (a) => {
      assert.equal(through(a), a);
      assert.equal(bits(a & 0x7f7fffff), a & 0x7f7fffff);
      assert.equal(rounded(a), Math.fround(a >>> 0));
      assert.equal(lanes(a), clamp(Math.fround(a)));
    }),
  );
});

test("operands of the wrong type are refused where they are written", () => {
  const f = new FunctionBuilder(0);
  assert.throws(() => i32.add(f.local("f32") as never, 1), TypeError);
  assert.throws(() => f.set(f.local("i32"), f.local("f64") as never), TypeError);
});

test("atomics run on shared memory", () => {
  const store = new WebAssembly.Memory({ initial: 1, maximum: 4, shared: true });
  const module = new ModuleBuilder({ shared: true });
  module.function({ parameters: ["i32"], result: "i32", export: "claim" }, (f, p) => {
    f.drop(i32.atomic.notify(p, 1));
    f.return(i32.atomic.add(p, 1));
  });
  const claim = ready(module, store)["claim"] as (p: number) => number;
  assert.deepEqual([claim(8), claim(8), claim(8)], [0, 1, 2]);
});

test("relaxed madd is well formed where the engine knows it", () => {
  const module = new ModuleBuilder({ shared: false });
  module.function({ parameters: ["v128"], result: "v128", export: "f" }, (f, a) =>
    f.return(f32x4.relaxed_madd(a, a, a)),
  );
  const bytes = module.assemble();
  // 0xfd, then 0x105 in LEB128.
  assert.ok(Buffer.from(bytes).includes(Buffer.from([0xfd, 0x85, 0x02])));
});

test("runPlan writes the words, runs the phases in turn and lets the order of tiles vary", () => {
  const store = new WebAssembly.Memory({ initial: 1 });
  const numbers = new Int32Array(store.buffer);
  // Phase one: out[tile] = tile + base. Phase two: out[tile] *= 3.
  const fill: Kernel = {
    key: "fill",
    arguments: ["out", "base"],
    tiles: 5,
    emit: (target) =>
      emitRun(target, (f, args, tile) => {
        const p = f.let(i32.add(i32.load(args), i32.shl(tile, 2)));
        f.do(i32.store(p, i32.add(tile, i32.load(args, 4))));
      }),
  };
  const triple: Kernel = {
    ...fill,
    key: "triple",
    emit: (target) =>
      emitRun(target, (f, args, tile) => {
        const p = f.let(i32.add(i32.load(args), i32.shl(tile, 2)));
        f.do(i32.store(p, i32.mul(i32.load(p), 3)));
      }),
  };
  const plan = { phases: [fill, triple], scratchBytes: 0 };
  for (const order of [(tiles: number[]) => tiles, (tiles: number[]) => tiles.reverse()]) {
    runPlan(store, plan, 256, { out: 64, base: 10 }, { order });
    assert.deepEqual([...numbers.subarray(16, 22)], [30, 33, 36, 39, 42, 0]);
  }
  assert.throws(() => runPlan(store, plan, 256, { out: 64 }), RangeError);
});
