/** Shapes that do not meet. The message names the operation, what was found and what would have been right. */
export class ShapeError extends Error {
  override readonly name = "ShapeError";
}

/** An operation that the chosen device, mode or state of the runtime cannot do. The message names both. */
export class DeviceError extends Error {
  override readonly name = "DeviceError";
}
