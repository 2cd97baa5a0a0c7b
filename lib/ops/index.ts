/** Every operation of the runtime, one file per family. */
export * from "./arithmetic.ts";
export { leakyRelu, relu, sigmoid, tanh } from "./activations.ts";
export { broadcastTo, sum } from "./sum.ts";
export { max, mean } from "./reduce.ts";
export { concat, pad, reshape, slice, transpose } from "./layout.ts";
export { gather, scatterAdd } from "./gather.ts";
export { gatherBytes, packBytes, rowsPerTable } from "./gatherBytes.ts";
export { matmul, type ProductOptions } from "./matmul.ts";
export { conv2d, type ConvolutionOptions } from "./conv2d.ts";
export { maxPool2d } from "./maxPool2d.ts";
export { crossEntropy, logSoftmax, softmax } from "./softmax.ts";
export { type Draw, dropout, normal, uniform } from "./draws.ts";
export { quadraticOfNormals } from "./quadraticOfNormals.ts";
export { elementwise, type Operand } from "./elementwise.ts";
