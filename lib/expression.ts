/**
 * Scalar expressions: an elementwise operation is written once, as arithmetic on one element, and everything follows
 * from that text: the reference loop, the SIMD loop, the gpu.js source, the gradient, and the fusion of neighbours.
 *
 * Nodes are interned: the same expression is the same object with the same `id`, so that a kernel is found by its
 * expression's id, and shared subexpressions stay shared.
 */
export type Expression =
  | (Node & { readonly kind: "input"; readonly index: number })
  /** A number that belongs to the expression, such as the 0 of a rectifier. */
  | (Node & { readonly kind: "constant"; readonly value: number })
  /** A number that is handed over at each call, such as a learning rate: other values use the same kernel. */
  | (Node & { readonly kind: "scalar"; readonly index: number })
  | (Node & { readonly kind: UnaryKind; readonly operands: readonly [Expression] })
  | (Node & { readonly kind: BinaryKind; readonly operands: readonly [Expression, Expression] })
  | (Node & { readonly kind: "select"; readonly operands: readonly [Expression, Expression, Expression] });

/** `round` goes to the nearest whole number, halves to the even one. */
export type UnaryKind = "exp" | "log" | "squareRoot" | "round";
/** Comparisons give 1 or 0. `minimum` and `maximum` are NaN if either side is. */
export type BinaryKind =
  "add" | "subtract" | "multiply" | "divide" | "minimum" | "maximum" | "less" | "lessOrEqual" | "equal";

interface Node {
  readonly id: number;
  /** Operations in it, shared ones counted once per use: what fusion limits. */
  readonly cost: number;
}

const known = new Map<string, Expression>();

function intern(key: string, make: (id: number) => Expression): Expression {
  let node = known.get(key);
  if (node === undefined) {
    node = make(known.size);
    known.set(key, node);
  }
  return node;
}

export function input(index: number): Expression {
  return intern(`input ${index}`, (id) => ({ kind: "input", id, cost: 0, index }));
}

export function constant(value: number): Expression {
  return intern(`constant ${Object.is(value, -0) ? "-0" : value}`, (id) => ({ kind: "constant", id, cost: 0, value }));
}

export function scalar(index: number): Expression {
  return intern(`scalar ${index}`, (id) => ({ kind: "scalar", id, cost: 0, index }));
}

function unary(kind: UnaryKind, x: Expression): Expression {
  return intern(`${kind} ${x.id}`, (id) => ({ kind, id, cost: x.cost + 1, operands: [x] }));
}

function binary(kind: BinaryKind, x: Expression, y: Expression): Expression {
  return intern(`${kind} ${x.id} ${y.id}`, (id) => ({ kind, id, cost: x.cost + y.cost + 1, operands: [x, y] }));
}

function isConstant(node: Expression, value: number): boolean {
  return node.kind === "constant" && node.value === value;
}

/**
 * The only rewrites: `x + 0`, `x - 0`, `x * 1` and `x / 1` are `x`. They keep every value but the sign of a zero, which
 * `x + 0` would make positive.
 */
export function add(x: Expression, y: Expression): Expression {
  if (isConstant(x, 0)) return y;
  return isConstant(y, 0) ? x : binary("add", x, y);
}
export function subtract(x: Expression, y: Expression): Expression {
  return isConstant(y, 0) ? x : binary("subtract", x, y);
}
export function multiply(x: Expression, y: Expression): Expression {
  if (isConstant(x, 1)) return y;
  return isConstant(y, 1) ? x : binary("multiply", x, y);
}
export function divide(x: Expression, y: Expression): Expression {
  return isConstant(y, 1) ? x : binary("divide", x, y);
}
export const negate = (x: Expression): Expression => multiply(x, constant(-1));
export const minimum = (x: Expression, y: Expression): Expression => binary("minimum", x, y);
export const maximum = (x: Expression, y: Expression): Expression => binary("maximum", x, y);
export const less = (x: Expression, y: Expression): Expression => binary("less", x, y);
export const lessOrEqual = (x: Expression, y: Expression): Expression => binary("lessOrEqual", x, y);
export const equal = (x: Expression, y: Expression): Expression => binary("equal", x, y);
export const exp = (x: Expression): Expression => unary("exp", x);
export const log = (x: Expression): Expression => unary("log", x);
export const squareRoot = (x: Expression): Expression => unary("squareRoot", x);
export const round = (x: Expression): Expression => unary("round", x);
/** `condition` is a number; anything but 0 chooses `yes`. */
export function select(condition: Expression, yes: Expression, no: Expression): Expression {
  return intern(`select ${condition.id} ${yes.id} ${no.id}`, (id) => ({
    kind: "select",
    id,
    cost: condition.cost + yes.cost + no.cost + 1,
    operands: [condition, yes, no],
  }));
}

/** The nodes below and including `root`, every operand before what uses it. */
export function topological(root: Expression): Expression[] {
  const order: Expression[] = [];
  const seen = new Set<number>();
  const visit = (node: Expression): void => {
    if (seen.has(node.id)) return;
    seen.add(node.id);
    if ("operands" in node) node.operands.forEach(visit);
    order.push(node);
  };
  visit(root);
  return order;
}

/** `root` with every input and scalar replaced by what the two functions give. */
export function substitute(
  root: Expression,
  inputs: (index: number) => Expression,
  scalars: (index: number) => Expression,
): Expression {
  const replaced = new Map<number, Expression>();
  const visit = (node: Expression): Expression => {
    let result = replaced.get(node.id);
    if (result !== undefined) return result;
    result = rebuild(node, visit, inputs, scalars);
    replaced.set(node.id, result);
    return result;
  };
  return visit(root);
}

function rebuild(
  node: Expression,
  visit: (node: Expression) => Expression,
  inputs: (index: number) => Expression,
  scalars: (index: number) => Expression,
): Expression {
  switch (node.kind) {
    case "input":
      return inputs(node.index);
    case "scalar":
      return scalars(node.index);
    case "constant":
      return node;
    case "select":
      return select(visit(node.operands[0]), visit(node.operands[1]), visit(node.operands[2]));
    case "exp":
    case "log":
    case "squareRoot":
    case "round":
      return unary(node.kind, visit(node.operands[0]));
    default:
      return binary(node.kind, visit(node.operands[0]), visit(node.operands[1]));
  }
}

/**
 * The chain rule: for every input of `root` the expression of `dy * d root / d input`, or `null` where it is zero
 * everywhere. Comparisons and rounding have no slope; where `minimum` or `maximum` meet a tie, the left side gets it.
 */
export function differentiate(root: Expression, inputs: number, dy: Expression): (Expression | null)[] {
  const slopes = new Map<number, Expression>([[root.id, dy]]);
  const give = (to: Expression, amount: Expression): void => {
    const before = slopes.get(to.id);
    slopes.set(to.id, before === undefined ? amount : add(before, amount));
  };
  const zero = constant(0);
  for (const node of topological(root).reverse()) {
    const g = slopes.get(node.id);
    if (g === undefined || !("operands" in node)) continue;
    const [x, y, z] = node.operands as readonly [Expression, Expression, Expression];
    switch (node.kind) {
      case "add":
        give(x, g);
        give(y, g);
        break;
      case "subtract":
        give(x, g);
        give(y, negate(g));
        break;
      case "multiply":
        give(x, multiply(g, y));
        give(y, multiply(g, x));
        break;
      case "divide":
        give(x, divide(g, y));
        give(y, negate(divide(multiply(g, node), y)));
        break;
      case "minimum":
        give(x, select(lessOrEqual(x, y), g, zero));
        give(y, select(less(y, x), g, zero));
        break;
      case "maximum":
        give(x, select(lessOrEqual(y, x), g, zero));
        give(y, select(less(x, y), g, zero));
        break;
      case "select":
        give(y, select(x, g, zero));
        give(z, select(x, zero, g));
        break;
      case "exp":
        give(x, multiply(g, node));
        break;
      case "log":
        give(x, divide(g, x));
        break;
      case "squareRoot":
        give(x, divide(multiply(g, constant(0.5)), node));
        break;
      case "round":
      case "less":
      case "lessOrEqual":
      case "equal":
        break;
    }
  }
  return Array.from({ length: inputs }, (_, index) => slopes.get(input(index).id) ?? null);
}

/** How many inputs and scalars `root` reads: one more than the highest index of each. */
export function arity(root: Expression): { inputs: number; scalars: number } {
  let inputs = 0;
  let scalars = 0;
  for (const node of topological(root)) {
    if (node.kind === "input") inputs = Math.max(inputs, node.index + 1);
    if (node.kind === "scalar") scalars = Math.max(scalars, node.index + 1);
  }
  return { inputs, scalars };
}
