// A small WebAssembly assembler: functions are written as TypeScript that emits the loop it reads like, and
// `assemble` gives the bytes of a module. Binary format: WebAssembly specification, chapter 5.

import { CodeWriter, unsigned } from "./encoding.ts";
import type { Code, Expression, I32, Statement, V128, ValueType } from "./encoding.ts";
import { i32, toI32 } from "./instructions.ts";

export type { Expression, F32, F64, I32, Statement, V128, ValueType } from "./encoding.ts";
export * from "./instructions.ts";

/** A variable of a function. As an expression it reads itself. */
export interface Local<T extends ValueType> extends Expression<T> {
  readonly index: number;
}

/** A place that `br` and `brIf` leave for: the end of a block, or the start of a loop. */
export interface Label {
  readonly depth: number;
}

export interface FunctionReference<P extends readonly ValueType[], R extends ValueType | "void"> {
  readonly index: number;
  readonly parameters: P;
  readonly result: R;
}

type Locals<P extends readonly ValueType[]> = { [I in keyof P]: Local<P[I]> };
type Arguments<P extends readonly ValueType[]> = { [I in keyof P]: P[I] extends "i32" ? I32 : Expression<P[I]> };

const typeCode: Record<ValueType, number> = { i32: 0x7f, f32: 0x7d, f64: 0x7c, v128: 0x7b };
const emptyBlock = 0x40;
const end = 0x0b;

/** Collects the body of one function. */
export class FunctionBuilder {
  readonly #locals: ValueType[] = [];
  readonly #parameters: number;
  readonly #body = new CodeWriter();
  #depth = 0;

  constructor(parameters: number) {
    this.#parameters = parameters;
  }

  /** A new variable, zero at first. */
  local<T extends ValueType>(type: T): Local<T> {
    const index = this.#parameters + this.#locals.push(type) - 1;
    return { type, index, code: [0x20, unsigned(index)] };
  }

  /** A new variable that starts as `value`. */
  let<T extends ValueType>(value: Expression<T>): Local<T> {
    const local = this.local(value.type);
    this.set(local, value);
    return local;
  }

  set<T extends ValueType>(local: Local<T>, value: Expression<T>): void {
    if (local.type !== value.type) {
      throw new TypeError(`assembler: a local of type ${local.type} cannot hold a value of type ${value.type}`);
    }
    this.#body.append(value.code);
    this.#body.append([0x21, unsigned(local.index)]);
  }

  increment(local: Local<"i32">, by: I32): void {
    this.set(local, i32.add(local, by));
  }

  do(...statements: Statement[]): void {
    for (const statement of statements) this.#body.append(statement.code);
  }

  /** `for (i = from; i < to; i += step) body(i)` over signed integers; `step` is a positive literal. */
  loop(from: I32, to: I32, step: number, body: (i: Local<"i32">) => void): void {
    const [first, last] = [toI32(from), toI32(to)];
    if (!Number.isInteger(step) || step <= 0) throw new RangeError(`assembler: a loop steps upwards, got ${step}`);
    const certain = first.known !== undefined && last.known !== undefined;
    if (certain && first.known! >= last.known!) return;
    const i = this.let(first);
    const limit = last.known !== undefined ? last : this.let(last);
    const rounds = () =>
      this.repeat(() => {
        body(i);
        this.increment(i, step);
        return i32.lt_s(i, limit);
      });
    if (certain) rounds();
    else this.if(i32.lt_s(i, limit), rounds);
  }

  /** `do { ... } while (condition)`, where the body returns its condition. */
  repeat(body: () => I32): void {
    this.#body.append([0x03, emptyBlock]);
    this.#depth++;
    this.#body.append([toI32(body()).code, 0x0d, 0]);
    this.#depth--;
    this.#body.byte(end);
  }

  while(condition: () => I32, body: () => void): void {
    this.block((done) =>
      this.repeat(() => {
        this.brIf(done, i32.eqz(condition()));
        body();
        return 1;
      }),
    );
  }

  /** A block that `br(label)` leaves early. */
  block(body: (label: Label) => void): void {
    this.#body.append([0x02, emptyBlock]);
    body({ depth: this.#depth++ });
    this.#depth--;
    this.#body.byte(end);
  }

  /** A condition known at emission keeps one branch only. */
  if(condition: I32, then: () => void, otherwise?: () => void): void {
    const test = toI32(condition);
    if (test.known !== undefined) {
      if (test.known !== 0) then();
      else otherwise?.();
      return;
    }
    this.#body.append([test.code, 0x04, emptyBlock]);
    this.#depth++;
    then();
    if (otherwise !== undefined) {
      this.#body.byte(0x05);
      otherwise();
    }
    this.#depth--;
    this.#body.byte(end);
  }

  br(label: Label): void {
    this.#body.append([0x0c, unsigned(this.#distance(label))]);
  }

  brIf(label: Label, condition: I32): void {
    this.#body.append([toI32(condition).code, 0x0d, unsigned(this.#distance(label))]);
  }

  /** Returns a value from the function; without one, from a function that has no result. */
  return(value?: Expression<ValueType>): void {
    this.#body.append([value?.code ?? [], 0x0f]);
  }

  /** Throws away a value that was computed for its effect, such as an atomic's. */
  drop(value: Expression<ValueType>): void {
    this.#body.append([value.code, 0x1a]);
  }

  /** The function's entry of the code section. */
  finish(): Code {
    const head = new CodeWriter();
    head.append(unsigned(this.#locals.length));
    for (const type of this.#locals) head.append([1, typeCode[type]]);
    this.#body.byte(end);
    return [unsigned(head.length + this.#body.length), head.finish(), this.#body.finish()];
  }

  #distance(label: Label): number {
    if (label.depth >= this.#depth) throw new RangeError("assembler: branch to a block that has ended");
    return this.#depth - label.depth - 1;
  }
}

/**
 * A module that imports one memory as `"env"."memory"`. A function may call every other whose definition has begun,
 * so helpers may be defined where they are called.
 */
export class ModuleBuilder {
  readonly #shared: boolean;
  readonly #types: number[][] = [];
  readonly #functions: number[] = [];
  readonly #bodies: Code[] = [];
  readonly #exports: Code[] = [];

  /** `shared` must say what the memory that will be imported is. */
  constructor(options: { shared: boolean }) {
    this.#shared = options.shared;
  }

  function<const P extends readonly ValueType[], R extends ValueType | "void">(
    signature: { parameters: P; result: R; export?: string },
    body: (f: FunctionBuilder, ...parameters: Locals<P>) => void,
  ): FunctionReference<P, R> {
    const { parameters, result } = signature;
    const index = this.#functions.push(this.#typeIndex(parameters, result)) - 1;
    const builder = new FunctionBuilder(parameters.length);
    const locals = parameters.map((type, i) => ({ type, index: i, code: [0x20, unsigned(i)] }));
    body(builder, ...(locals as unknown as Locals<P>));
    this.#bodies[index] = builder.finish();
    if (signature.export !== undefined) this.#exports.push([name(signature.export), 0x00, unsigned(index)]);
    return { index, parameters, result };
  }

  assemble(): Uint8Array<ArrayBuffer> {
    // A shared import must state a maximum; both limits are the widest there are, so any memory fits.
    const limits = this.#shared ? [0x03, 0, unsigned(65536)] : [0x00, 0];
    const memory = [name("env"), name("memory"), 0x02, limits];
    const module = new CodeWriter();
    module.append([0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]);
    module.append(section(1, this.#types));
    module.append(section(2, [memory]));
    module.append(section(3, this.#functions.map(unsigned)));
    module.append(section(7, this.#exports));
    module.append(section(10, this.#bodies));
    return module.finish();
  }

  #typeIndex(parameters: readonly ValueType[], result: ValueType | "void"): number {
    const results = result === "void" ? [0] : [1, typeCode[result]];
    const type = [0x60, parameters.length, ...parameters.map((parameter) => typeCode[parameter]), ...results];
    const known = this.#types.findIndex((other) => other.join() === type.join());
    return known >= 0 ? known : this.#types.push(type) - 1;
  }
}

/** The value of a call; a call to a function without a result is a statement for `do`. */
export function call<P extends readonly ValueType[], R extends ValueType | "void">(
  callee: FunctionReference<P, R>,
  ...values: Arguments<P>
): Expression<R> {
  const codes = (values as readonly (I32 | V128)[]).map((value) => (typeof value === "number" ? toI32(value) : value));
  codes.forEach((value, i) => {
    if (value.type !== callee.parameters[i]) {
      throw new TypeError(`assembler: argument ${i} of a call must be ${callee.parameters[i]}, got ${value.type}`);
    }
  });
  return { type: callee.result, code: [codes.map((value) => value.code), 0x10, unsigned(callee.index)] };
}

function name(text: string): Code {
  const bytes = new TextEncoder().encode(text);
  return [unsigned(bytes.length), bytes];
}

function section(id: number, entries: readonly Code[]): Code {
  const content = new CodeWriter();
  content.append(unsigned(entries.length));
  content.append(entries);
  return [id, unsigned(content.length), content.finish()];
}
