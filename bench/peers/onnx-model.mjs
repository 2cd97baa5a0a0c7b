// LeNet-5 as the bytes of an ONNX model. ONNX is a Protocol Buffers message; the few rules needed to write one are
// below, so no model file has to be carried along. Field numbers are those of onnx.proto (opset 13).

/** An unsigned number, seven bits at a time, lowest first. */
function varint(value) {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  return [...bytes, value];
}

/** Field `number` holding an unsigned number (wire type 0). */
const integer = (number, value) => Buffer.from([...varint(number * 8), ...varint(value)]);

/** Field `number` holding bytes, text or an inner message (wire type 2). */
function bytes(number, ...parts) {
  const content = Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part) : part)));
  return Buffer.concat([Buffer.from([...varint(number * 8 + 2), ...varint(content.length)]), content]);
}

const FLOAT = 1; // TensorProto.DataType
const INTS = 7; // AttributeProto.AttributeType

/** NodeProto: inputs 1, outputs 2, operation 4, attributes 5 (name 1, integers 8, type 20). */
function operation(type, inputs, output, attributes = {}) {
  return Buffer.concat([
    ...inputs.map((input) => bytes(1, input)),
    bytes(2, output),
    bytes(4, type),
    ...Object.entries(attributes).map(([name, values]) =>
      bytes(5, bytes(1, name), ...values.map((value) => integer(8, value)), integer(20, INTS)),
    ),
  ]);
}

/** TensorProto: sizes 1, type 2, name 8, little-endian data 9. */
function tensor(name, shape, data) {
  const raw = Buffer.alloc(4 * data.length);
  data.forEach((value, i) => raw.writeFloatLE(value, 4 * i));
  return Buffer.concat([...shape.map((size) => integer(1, size)), integer(2, FLOAT), bytes(8, name), bytes(9, raw)]);
}

/** ValueInfoProto: name 1, type 2 (tensor 1: element type 1, shape 2 of dimensions 1 of value 1). */
function value(name, shape) {
  const sizes = bytes(2, ...shape.map((size) => bytes(1, integer(1, size))));
  return Buffer.concat([bytes(1, name), bytes(2, bytes(1, integer(1, FLOAT), sizes))]);
}

/** LeNet-5 from `images` `[batch, 1, 28, 28]` to `logits` `[batch, 10]`, with the parameters inside. */
export function model(parameters, batch) {
  const square = { kernel_shape: [2, 2], strides: [2, 2] };
  const nodes = [
    operation("Conv", ["images", "conv1Weight", "conv1Bias"], "a"),
    operation("Relu", ["a"], "b"),
    operation("MaxPool", ["b"], "c", square),
    operation("Conv", ["c", "conv2Weight", "conv2Bias"], "d"),
    operation("Relu", ["d"], "e"),
    operation("MaxPool", ["e"], "f", square),
    operation("Flatten", ["f"], "g"),
    operation("Gemm", ["g", "dense1Weight", "dense1Bias"], "h"),
    operation("Relu", ["h"], "i"),
    operation("Gemm", ["i", "dense2Weight", "dense2Bias"], "logits"),
  ];
  // GraphProto: nodes 1, name 2, initializers 5, inputs 11, outputs 12.
  const graph = [
    ...nodes.map((node) => bytes(1, node)),
    bytes(2, "lenet5"),
    ...Object.entries(parameters).map(([name, { shape, data }]) => bytes(5, tensor(name, shape, data))),
    bytes(11, value("images", [batch, 1, 28, 28])),
    bytes(12, value("logits", [batch, 10])),
  ];
  // ModelProto: format version 1, graph 7, operation set 8 (version 2).
  return Buffer.concat([integer(1, 8), bytes(7, ...graph), bytes(8, integer(2, 13))]);
}
