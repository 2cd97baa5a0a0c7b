import { ShapeError } from "./errors.ts";
import type { Activation, Convolution, Dense, Layer, Network } from "./network.ts";
import { formatShape, sizeOf } from "./shape.ts";

/** Name and shape of one tensor of a network: `<layer>.weight` or `<layer>.bias`. */
export interface Parameter {
  readonly name: string;
  readonly shape: readonly number[];
}

/** The largest array that running a network may need: a tensor, a layer's output, or the patches of a convolution. */
const mostElements = 2 ** 26;
/** The most that one axis, kernel or stride may be. */
const mostAlongAxis = 2 ** 20;

const activations: readonly Activation[] = ["none", "relu", "leakyRelu", "sigmoid", "tanh"];

/**
 * The tensors of a network, in order, from its layers alone. Throws ShapeError when a layer does not fit what comes
 * before it, or when the classes do not match the outputs; RangeError when a field is outside its range. A network that
 * passes can be run: every array it needs has at most 2^26 elements.
 */
export function parametersOf(network: Network): Parameter[] {
  return anatomyOf(network).parameters;
}

/** A network whose classes may not be known yet. */
export type Anonymous = Omit<Network, "classes"> & Partial<Pick<Network, "classes">>;

/** The tensors of a network and the number of its outputs. Errors as `parametersOf`. */
export function anatomyOf(network: Anonymous): { parameters: Parameter[]; outputs: number } {
  const parameters: Parameter[] = [];
  const shape = walk(network, parameters).at(-1)!;
  if (shape.length !== 1) {
    throw new ShapeError(`${network.name}: the last layer must give one row of numbers, got ${formatShape(shape)}`);
  }
  const outputs = shape[0]!;
  const classes = network.classes?.length ?? outputs;
  if (outputs !== classes) {
    throw new ShapeError(`${network.name}: ${outputs} outputs need as many classes, got ${classes}`);
  }
  if (parameters.length === 0) throw new RangeError(`${network.name}: no layer has weights`);
  const names = new Set(parameters.map(({ name }) => name));
  if (names.size !== parameters.length) throw new RangeError(`${network.name}: two layers have the same name`);
  return { parameters, outputs };
}

/** The shape of one example before the first layer and after each. Errors as `parametersOf`. */
export function shapesOf(network: Network): (readonly number[])[] {
  return walk(network, []);
}

function walk(network: Anonymous, parameters: Parameter[]): (readonly number[])[] {
  const { height, width, channels, scale, offset } = network.input;
  for (const [name, size] of Object.entries({ height, width, channels }))
    wholeNumber(`${network.name}: input ${name}`, size);
  if (!(Number.isFinite(scale) && scale !== 0)) {
    throw new RangeError(`${network.name}: the pixel scale must be finite and not zero, got ${scale}`);
  }
  if (!Number.isFinite(offset)) throw new RangeError(`${network.name}: the pixel offset must be finite, got ${offset}`);
  const shapes: (readonly number[])[] = [[height, width, channels]];
  checkElements(`${network.name}: input`, shapes[0]!);
  for (const [i, layer] of network.layers.entries()) {
    const where = `${network.name}: layer ${i + 1} (${layer.type})`;
    const shape = outputOf(where, layer, shapes.at(-1)!, parameters);
    checkElements(`${where}: output`, shape);
    shapes.push(shape);
  }
  return shapes;
}

function outputOf(where: string, layer: Layer, input: readonly number[], parameters: Parameter[]): readonly number[] {
  switch (layer.type) {
    case "convolution": {
      const [height, width, channels] = image(where, input);
      const [kernelHeight, kernelWidth] = layer.kernel.map((size) => wholeNumber(`${where}: kernel`, size)) as [
        number,
        number,
      ];
      const [vertical, horizontal] = layer.stride.map((size) => wholeNumber(`${where}: stride`, size)) as [
        number,
        number,
      ];
      wholeNumber(`${where}: filters`, layer.filters);
      addParameters(where, layer, [kernelHeight, kernelWidth, channels, layer.filters], parameters);
      if (layer.padding !== "valid" && layer.padding !== "same") {
        throw new RangeError(`${where}: padding must be "valid" or "same", got "${String(layer.padding)}"`);
      }
      if (layer.padding === "valid") fits(where, [kernelHeight, kernelWidth], [height, width]);
      const rows =
        layer.padding === "same" ? Math.ceil(height / vertical) : Math.floor((height - kernelHeight) / vertical) + 1;
      const columns =
        layer.padding === "same" ? Math.ceil(width / horizontal) : Math.floor((width - kernelWidth) / horizontal) + 1;
      checkElements(`${where}: patches`, [rows, columns, kernelHeight, kernelWidth, channels]);
      return [rows, columns, layer.filters];
    }
    case "dense": {
      if (input.length !== 1) {
        throw new ShapeError(`${where}: needs one row of numbers, got ${formatShape(input)}; flatten comes before it`);
      }
      wholeNumber(`${where}: units`, layer.units);
      addParameters(where, layer, [input[0]!, layer.units], parameters);
      return [layer.units];
    }
    case "maxPool": {
      const [height, width, channels] = image(where, input);
      wholeNumber(`${where}: size`, layer.size);
      wholeNumber(`${where}: stride`, layer.stride);
      fits(where, [layer.size, layer.size], [height, width]);
      return [
        Math.floor((height - layer.size) / layer.stride) + 1,
        Math.floor((width - layer.size) / layer.stride) + 1,
        channels,
      ];
    }
    case "flatten":
      image(where, input);
      return [sizeOf(input)];
    case "dropout":
      if (!(layer.keep > 0 && layer.keep <= 1)) {
        throw new RangeError(`${where}: keep must be above 0 and at most 1, got ${layer.keep}`);
      }
      return input;
    default:
      throw new RangeError(`${where}: there is no such layer`);
  }
}

function addParameters(
  where: string,
  layer: Convolution | Dense,
  shape: readonly number[],
  parameters: Parameter[],
): void {
  if (!activations.includes(layer.activation)) {
    throw new RangeError(`${where}: there is no activation called "${String(layer.activation)}"`);
  }
  if (!/^[A-Za-z0-9_-][A-Za-z0-9._-]*$/.test(layer.name)) {
    throw new RangeError(
      `${where}: a name is made of letters, digits, dots, dashes and underscores, got "${layer.name}"`,
    );
  }
  checkElements(`${where}: weights`, shape);
  parameters.push({ name: `${layer.name}.weight`, shape });
  if (layer.bias) parameters.push({ name: `${layer.name}.bias`, shape: [shape.at(-1)!] });
}

function image(where: string, shape: readonly number[]): [height: number, width: number, channels: number] {
  if (shape.length !== 3) throw new ShapeError(`${where}: needs height, width and channels, got ${formatShape(shape)}`);
  return [shape[0]!, shape[1]!, shape[2]!];
}

function fits(where: string, window: readonly [number, number], input: readonly [number, number]): void {
  if (window[0] > input[0] || window[1] > input[1]) {
    throw new ShapeError(`${where}: a window of ${formatShape(window)} does not fit into ${formatShape(input)}`);
  }
}

function wholeNumber(what: string, value: number): number {
  if (!(Number.isInteger(value) && value >= 1 && value <= mostAlongAxis)) {
    throw new RangeError(`${what} must be a whole number from 1 to ${mostAlongAxis}, got ${value}`);
  }
  return value;
}

/** Axes are at most 2^20 and five at most meet in one shape, so the product is far from overflowing a float64. */
function checkElements(what: string, shape: readonly number[]): void {
  if (sizeOf(shape) > mostElements) {
    throw new RangeError(`${what}: ${formatShape(shape)} is more than ${mostElements} elements`);
  }
}

const digits: readonly string[] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
const mnist = { height: 28, width: 28, channels: 1, scale: 1 / 255, offset: 0 } as const;

function dense(name: string, units: number, activation: Activation, bias = true): Dense {
  return { type: "dense", name, units, bias, activation };
}

function convolution(name: string, filters: number, padding: Convolution["padding"] = "valid"): Convolution {
  return {
    type: "convolution",
    name,
    filters,
    kernel: [5, 5],
    stride: [1, 1],
    padding,
    bias: true,
    activation: "relu",
  };
}

/** LeNet-5 in the shape that Caffe made common: 431,080 parameters. */
export const lenet5: Network = {
  name: "lenet5",
  input: mnist,
  layers: [
    convolution("conv1", 20),
    { type: "maxPool", size: 2, stride: 2 },
    convolution("conv2", 50),
    { type: "maxPool", size: 2, stride: 2 },
    { type: "flatten" },
    dense("fc1", 500, "relu"),
    dense("fc2", 10, "none"),
  ],
  classes: digits,
};

/** LeNet-300-100, three dense layers: 266,610 parameters. */
export const lenet300: Network = {
  name: "lenet300",
  input: mnist,
  layers: [{ type: "flatten" }, dense("fc1", 300, "relu"), dense("fc2", 100, "relu"), dense("fc3", 10, "none")],
  classes: digits,
};

/** Softmax regression: 7,850 parameters. */
export const softmax: Network = {
  name: "softmax",
  input: mnist,
  layers: [{ type: "flatten" }, dense("fc1", 10, "none")],
  classes: digits,
};

/** The linear model without a bias: 7,840 parameters. */
export const linear: Network = {
  name: "linear",
  input: mnist,
  layers: [{ type: "flatten" }, dense("fc1", 10, "none", false)],
  classes: digits,
};

/** Two convolutions and 1,024 hidden units with dropout, as tutorials of its time had it: 3,274,634 parameters. */
export const cnn1024: Network = {
  name: "cnn1024",
  input: mnist,
  layers: [
    convolution("conv1", 32, "same"),
    { type: "maxPool", size: 2, stride: 2 },
    convolution("conv2", 64, "same"),
    { type: "maxPool", size: 2, stride: 2 },
    { type: "flatten" },
    dense("fc1", 1024, "relu"),
    { type: "dropout", keep: 0.75 },
    dense("fc2", 10, "none"),
  ],
  classes: digits,
};

/**
 * The networks that a file names by number instead of describing them. Part of the format: lines are added at the end,
 * never changed, and a number is never used twice. 0 stands for a network described in full.
 */
export const architectures: readonly { readonly number: number; readonly network: Network }[] = [
  { number: 1, network: lenet5 },
  { number: 2, network: lenet300 },
  { number: 3, network: softmax },
  { number: 4, network: linear },
  { number: 5, network: cnn1024 },
];

/** The network with that number, or undefined. */
export function architecture(number: number): Network | undefined {
  return architectures.find((entry) => entry.number === number)?.network;
}

/** The number of a known architecture that is equal to `network` in every field, or 0. */
export function architectureNumber(network: Network): number {
  return architectures.find((entry) => equalData(entry.network, network))?.number ?? 0;
}

/** Whether two networks are equal in every field. */
export function equalNetworks(a: Network, b: Network): boolean {
  return equalData(a, b);
}

function equalData(a: unknown, b: unknown): boolean {
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return Object.is(a, b);
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => Object.hasOwn(b, key) && equalData(a[key as never], b[key as never]));
}
