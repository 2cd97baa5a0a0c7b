import { type Expression, topological } from "../../../expression.ts";
import { broadcastLoops, type Shape } from "../../../shape.ts";
import { address, input, nest, type Pass } from "../plan.ts";

/** A fused loop as a kernel: one statement per node. */
export interface ElementwisePass {
  readonly pass: Pass;
  /** Names of its numbers: the call's scalars, then `constants`. */
  readonly names: readonly string[];
  /** Constants that no literal can express: infinities, NaN, -0. */
  readonly constants: readonly number[];
}

/** `output[i] = expression(inputs..., scalars...)`, for `scalars` scalars and inputs stretched to `shape`. */
export function elementwisePass(
  expression: Expression,
  shape: Shape,
  inputShapes: readonly Shape[],
  scalars: number,
): ElementwisePass {
  const { sizes, strides } = broadcastLoops(shape, inputShapes);
  const { threads, counters } = nest("an elementwise operation", sizes);
  const names = Array.from({ length: scalars }, (_, i) => `s${i}`);
  const constants: number[] = [];
  const texts = new Map<number, string>();
  const lines: string[] = [];
  const define = (id: number, text: string): void => {
    const name = `t${texts.size}`;
    lines.push(`const ${name} = ${text};`);
    texts.set(id, name);
  };
  for (const node of topological(expression)) {
    switch (node.kind) {
      case "input":
        define(node.id, `a${node.index}[${address(counters, strides[node.index]!)}]`);
        break;
      case "scalar":
        texts.set(node.id, names[node.index]!);
        break;
      case "constant":
        if (isLiteral(node.value)) {
          texts.set(node.id, node.value < 0 ? `(${node.value})` : String(node.value));
        } else {
          texts.set(node.id, `c${constants.length}`);
          constants.push(node.value);
        }
        break;
      case "round": {
        const x = texts.get(node.operands[0].id)!;
        const [whole, rest] = [`w${texts.size}`, `r${texts.size}`];
        lines.push(`const ${whole} = Math.floor(${x});`, `const ${rest} = ${x} - ${whole};`);
        const even = `${whole} - 2 * Math.floor(${whole} * 0.5) === 0 ? ${whole} : ${whole} + 1`;
        define(node.id, `${rest} < 0.5 ? ${whole} : (${rest} > 0.5 ? ${whole} + 1 : (${even}))`);
        break;
      }
      default: {
        const [x, y, z] = node.operands.map((operand) => texts.get(operand.id)!);
        define(node.id, operations[node.kind](x!, y!, z!));
      }
    }
  }
  return {
    pass: {
      threads,
      reads: Object.fromEntries(inputShapes.map((_, i) => [`a${i}`, input(i)])),
      body: `${lines.join("\n")}\nreturn ${texts.get(expression.id)!};`,
    },
    names: [...names, ...constants.map((_, i) => `c${i}`)],
    constants,
  };
}

function isLiteral(value: number): boolean {
  return Number.isFinite(Math.fround(value)) && !Object.is(value, -0);
}

type Kind = Exclude<Expression["kind"], "input" | "scalar" | "constant" | "round">;

const operations: Readonly<Record<Kind, (x: string, y: string, z: string) => string>> = {
  add: (x, y) => `${x} + ${y}`,
  subtract: (x, y) => `${x} - ${y}`,
  multiply: (x, y) => `${x} * ${y}`,
  divide: (x, y) => `${x} / ${y}`,
  minimum: (x, y) => `Math.min(${x}, ${y})`,
  maximum: (x, y) => `Math.max(${x}, ${y})`,
  less: (x, y) => `${x} < ${y} ? 1 : 0`,
  lessOrEqual: (x, y) => `${x} <= ${y} ? 1 : 0`,
  equal: (x, y) => `${x} === ${y} ? 1 : 0`,
  select: (x, y, z) => `${x} !== 0 ? ${y} : ${z}`,
  exp: (x) => `Math.exp(${x})`,
  log: (x) => `Math.log(${x})`,
  squareRoot: (x) => `Math.sqrt(${x})`,
};
