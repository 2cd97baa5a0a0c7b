/** The runtime: tensors, automatic differentiation, operations, optimizers, random numbers. */
export { createRuntime, type RuntimeOptions } from "./createRuntime.ts";
export type { Runtime } from "./runtime.ts";
export { Tensor, Variable } from "./tensor.ts";
export { grad } from "./grad.ts";
export { DeviceError, ShapeError } from "./errors.ts";
export * from "./ops/index.ts";
export { sgd, type SgdOptions } from "./optimizers/sgd.ts";
export { adam, adamW, type AdamOptions } from "./optimizers/adam.ts";
export type { Optimizer, OptimizerState } from "./optimizers/optimizer.ts";
export { constantRate, cosineRate, oneCycleRate, type Schedule, stepRate } from "./optimizers/schedule.ts";
export { type Average, movingAverage } from "./optimizers/average.ts";
export * from "./random.ts";
export { architecture, architectureNumber, parametersOf } from "./architectures.ts";
export type * from "./network.ts";
export type { NamedArray, Weights } from "./weights.ts";
export { type Shape, sizeOf } from "./shape.ts";
/** What `elementwise` operations are written in. */
export * as expression from "./expression.ts";
