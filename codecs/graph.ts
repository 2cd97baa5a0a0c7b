import { ShapeError } from "../lib/errors.ts";
import { anatomyOf, parametersOf } from "../lib/architectures.ts";
import type { Activation, Layer, Network } from "../lib/network.ts";
import type { ByteReader, ByteWriter } from "./bytes.ts";
import { type Budget, type Codec, defaultLimits } from "./codec.ts";
import { readText, writeText } from "./text.ts";

/** Numbers of the format, by place: append-only. */
const activations: readonly Activation[] = ["none", "relu", "leakyRelu", "sigmoid", "tanh"];
const kinds: readonly Layer["type"][] = ["convolution", "dense", "maxPool", "flatten", "dropout"];

const smallestNormal = 2 ** -1022;

/**
 * A network described in full: what it takes in, its layers, its classes. Names and shapes of the tensors follow from
 * the layers. Format: section 3. Refuses a network that could not be run (code `graph-shape`).
 */
export const graph: Codec<Network> = {
  tag: 0,
  name: "graph",

  write(network, to) {
    parametersOf(network);
    const { name, input, layers, classes } = network;
    writeText(name, defaultLimits.name, to, "network name");
    to.varint(input.height);
    to.varint(input.width);
    to.varint(input.channels);
    // "0: a byte p enters as (p - 0) * (1 / 255). 1: scale and offset follow."
    if (isUsual(input.scale, input.offset)) {
      to.u8(0);
    } else {
      to.u8(1);
      writeNumber(input.scale, to);
      writeNumber(input.offset, to);
    }
    if (layers.length > defaultLimits.layers) throw new RangeError(`${name}: at most ${defaultLimits.layers} layers`);
    to.varint(layers.length);
    const names = new LayerNames();
    for (const layer of layers) writeLayer(layer, names, to);
    // "0: the classes are called 0, 1, 2, … 1: one text per output follows."
    if (isCounted(classes)) {
      to.u8(0);
    } else {
      if (new Set(classes).size < classes.length) throw new RangeError(`${name}: two classes have the same name`);
      to.u8(1);
      for (const text of classes) writeText(text, defaultLimits.name, to, "class");
    }
  },

  read(from, budget) {
    const start = from.position;
    const { limits } = budget;
    const name = readText(from, limits.name, "network name");
    const height = from.varint({ min: 1, max: limits.dimension, name: "height" });
    const width = from.varint({ min: 1, max: limits.dimension, name: "width" });
    const channels = from.varint({ min: 1, max: limits.dimension, name: "channels" });
    const { scale, offset } = readPixels(from);
    const count = from.varint({ min: 1, max: limits.layers, name: "layers" });
    const names = new LayerNames();
    const layers: Layer[] = [];
    for (let i = 0; i < count; i++) {
      layers.push(from.scope(`layer ${i + 1}`, () => readLayer(from, names, budget)));
    }
    const input = { height, width, channels, scale, offset };
    // "All of `graph-shape` is looked at between the layers and the classes, whose number it settles."
    const { outputs } = orRefuse(from, start, () => anatomyOf({ name, input, layers }));
    budget.check("classes", outputs, "outputs");
    return { name, input, layers, classes: readClasses(from, outputs, budget) };
  },
};

function orRefuse<T>(from: ByteReader, start: number, derive: () => T): T {
  try {
    return derive();
  } catch (error) {
    if (!(error instanceof ShapeError || error instanceof RangeError)) throw error;
    return from.fail("graph-shape", error.message, start);
  }
}

function writeLayer(layer: Layer, names: LayerNames, to: ByteWriter): void {
  to.u8(1 + kinds.indexOf(layer.type));
  switch (layer.type) {
    case "convolution":
      writeLayerName(layer.name, names.next("conv"), to);
      to.u8(flags(layer.activation, layer.bias, layer.padding === "same"));
      to.varint(layer.filters);
      for (const size of [...layer.kernel, ...layer.stride]) to.varint(size);
      break;
    case "dense":
      writeLayerName(layer.name, names.next("fc"), to);
      to.u8(flags(layer.activation, layer.bias, false));
      to.varint(layer.units);
      break;
    case "maxPool":
      to.varint(layer.size);
      to.varint(layer.stride);
      break;
    case "flatten":
      break;
    case "dropout":
      writeNumber(layer.keep, to);
  }
}

function readLayer(from: ByteReader, names: LayerNames, { limits }: Budget): Layer {
  const start = from.position;
  const kind = kinds[from.u8("kind") - 1];
  const size = (name: string): number => from.varint({ min: 1, max: limits.dimension, name });
  if (kind !== undefined) from.note(kind);
  switch (kind) {
    case "convolution": {
      const name = readLayerName(from, names.next("conv"), limits.name);
      const { activation, bias, same } = readFlags(from, 5);
      const filters = size("filters");
      const kernel = [size("kernel height"), size("kernel width")] as const;
      const stride = [size("vertical stride"), size("horizontal stride")] as const;
      return { type: kind, name, filters, kernel, stride, padding: same ? "same" : "valid", bias, activation };
    }
    case "dense": {
      const name = readLayerName(from, names.next("fc"), limits.name);
      const { activation, bias } = readFlags(from, 4);
      return { type: kind, name, units: size("units"), bias, activation };
    }
    case "maxPool":
      return { type: kind, size: size("size"), stride: size("stride") };
    case "flatten":
      return { type: kind };
    case "dropout":
      return { type: kind, keep: readNumber(from, "keep") };
    default:
      return from.fail("graph-layer", "graph: there is no such kind of layer", start);
  }
}

// "Bits 0 to 2: the activation. Bit 3: there is a bias. Bit 4, convolutions only: padding is SAME. Others are zero."

function flags(activation: Activation, bias: boolean, same: boolean): number {
  return activations.indexOf(activation) + (bias ? 8 : 0) + (same ? 16 : 0);
}

function readFlags(from: ByteReader, bits: number): { activation: Activation; bias: boolean; same: boolean } {
  const start = from.position;
  const byte = from.u8("flags");
  const activation = activations[byte & 7];
  if (activation === undefined)
    return from.fail("graph-activation", `graph: there is no activation ${byte & 7}`, start);
  if (byte >>> bits !== 0) from.fail("graph-flags", `graph: flags ${byte} set bits that mean nothing`, start);
  const bias = (byte & 8) !== 0;
  const same = (byte & 16) !== 0;
  from.note([activation, bias ? "bias" : "no bias", ...(same ? ["same"] : [])].join(", "));
  return { activation, bias, same };
}

/** The names that layers have when nobody chose others: conv1, conv2, …, fc1, fc2, … */
class LayerNames {
  readonly #counts = { conv: 0, fc: 0 };

  next(prefix: "conv" | "fc"): string {
    this.#counts[prefix] += 1;
    return `${prefix}${this.#counts[prefix]}`;
  }
}

// "0 stands for the usual name; another name is a text."

function writeLayerName(name: string, usual: string, to: ByteWriter): void {
  if (name === usual) to.u8(0);
  else writeText(name, defaultLimits.name, to, "layer name");
}

function readLayerName(from: ByteReader, usual: string, most: number): string {
  const start = from.position;
  if (from.remaining > 0 && from.source[start] === 0) {
    from.u8("name");
    from.note(JSON.stringify(usual));
    return usual;
  }
  const name = readText(from, most, "name");
  if (name === usual) from.fail("graph-name", `graph: the usual name "${usual}" is spelled out`, start);
  return name;
}

// "A number is a float64: finite, not -0, and not subnormal."

function writeNumber(value: number, to: ByteWriter): void {
  if (!isPlain(value)) throw new RangeError(`graph: a number must be finite, not -0 and not subnormal, got ${value}`);
  to.float64(value);
}

function readNumber(from: ByteReader, name: string): number {
  const start = from.position;
  const value = from.float64(name);
  if (!isPlain(value)) from.fail("number", `${name}: must be finite, not -0 and not subnormal, got ${value}`, start);
  return value;
}

function isPlain(value: number): boolean {
  return value === 0 ? Object.is(value, 0) : Number.isFinite(value) && Math.abs(value) >= smallestNormal;
}

function readPixels(from: ByteReader): { scale: number; offset: number } {
  const start = from.position;
  const form = from.u8("pixels");
  if (form === 0) {
    from.note("(p - 0) / 255");
    return { scale: 1 / 255, offset: 0 };
  }
  if (form !== 1) from.fail("graph-pixels", `graph: the form of pixels must be 0 or 1, got ${form}`, start);
  const scale = readNumber(from, "scale");
  const offset = readNumber(from, "offset");
  if (isUsual(scale, offset)) from.fail("graph-pixels", "graph: the usual scale and offset are spelled out", start);
  return { scale, offset };
}

function isUsual(scale: number, offset: number): boolean {
  return scale === 1 / 255 && Object.is(offset, 0);
}

function readClasses(from: ByteReader, count: number, { limits }: Budget): string[] {
  const start = from.position;
  const form = from.u8("classes");
  if (form > 1) from.fail("graph-classes", `graph: the form of classes must be 0 or 1, got ${form}`, start);
  if (form === 0) {
    from.note(`0 to ${count - 1}`);
    return Array.from({ length: count }, (_, i) => String(i));
  }
  const classes = new Set<string>();
  for (let i = 0; i < count; i++) {
    const at = from.position;
    const text = readText(from, limits.name, `class ${i}`);
    if (classes.has(text)) from.fail("graph-classes", `graph: two classes have the name ${JSON.stringify(text)}`, at);
    classes.add(text);
  }
  const names = [...classes];
  if (isCounted(names)) from.fail("graph-classes", "graph: the usual names of classes are spelled out", start);
  return names;
}

function isCounted(classes: readonly string[]): boolean {
  return classes.every((text, i) => text === String(i));
}
