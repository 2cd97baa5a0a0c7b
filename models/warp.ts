import { cos, sin } from "../lib/math.ts";

/** How a picture is moved and bent. All zeros, and scales of one, leave it as it is. */
export interface Transform {
  /** Radians, clockwise as one looks at the picture. */
  readonly angle: number;
  /** Factors by which it is widened and heightened. */
  readonly scaleX: number;
  readonly scaleY: number;
  /** How far a line moves to the right per line that it is below the middle. */
  readonly shear: number;
  /** Pixels to the right and down. */
  readonly shiftX: number;
  readonly shiftY: number;
  /**
   * Displacements in pixels at the knots of a grid, `grid` by `grid`: to the right for all knots in reading order, then
   * down for all of them. The first and last knots lie on the first and last pixels. What is shown at a place is taken
   * from that much further.
   */
  readonly field?: ArrayLike<number> | undefined;
}

/** Sizes of a picture: [height, width, channels], row-major. */
export interface Extent {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
}

/** Where the pixels of one axis lie between the knots: four neighbouring knots, and their weights, for each pixel. */
interface Spline {
  readonly knots: Uint8Array;
  readonly weights: Float64Array;
}

/** Knots along one axis, at least 2 and at most this many. */
export const mostKnots = 32;

/**
 * Makes a function that writes to `into` (one picture) the picture of `images` that begins at `from`, transformed: with
 * centre cx = (width - 1) / 2, cy = (height - 1) / 2, the pixel at column x and row y shows the place (X, Y) of
 *
 *     c = cos(angle),  s = sin(angle)
 *     u = x - cx - shiftX                              v = y - cy - shiftY
 *     X = ((c + shear * s) / scaleX) * u + (((s - shear * c) / scaleX) * v + cx) + fieldX
 *     Y = (-s / scaleY) * u + ((c / scaleY) * v + cy) + fieldY
 *
 * that is, pictures are scaled, then sheared, turned and shifted. With (i, j) the pixel at or before (X, Y) and (f, g)
 * the rest, and nothing (0) outside of the picture, its byte is
 *
 *     upper = p[j, i] + f * (p[j, i + 1] - p[j, i]),  lower the same of row j + 1
 *     floor(upper + g * (lower - upper) + 0.5)
 *
 * The field at a pixel is Catmull and Rom's spline through the knots, along x first. A pixel at n pixels of `size` lies
 * at t = n * (grid - 1) / (size - 1) knots (a single one at 0); with k = floor(t) and f = t - k the weights of knots
 * k - 1 to k + 2, of which those beyond an end are the end's, are
 *
 *     ((1 - 0.5 f) f - 0.5) f     (1.5 f - 2.5) f f + 1     ((2 - 1.5 f) f + 0.5) f     (0.5 f - 0.5) f f
 *
 * Everything is an IEEE double, rounded after each operation, sums of four from the left; sine and cosine are those of
 * `lib/math.ts`. So a picture has the same bytes on every machine.
 */
export function warper(
  { height, width, channels }: Extent,
  grid: number,
): (into: Uint8Array, images: Uint8Array, from: number, transform: Transform) => void {
  const alongX = spline(width, grid);
  const alongY = spline(height, grid);
  // The field at the columns of pixels and rows of knots.
  const fieldX = new Float64Array(grid * width);
  const fieldY = new Float64Array(grid * width);
  // The picture with a border of nothing: one pixel on every side, so that places near it have four neighbours.
  const stride = (width + 2) * channels;
  const padded = new Uint8Array((height + 2) * stride);
  const line = width * channels;
  const cx = (width - 1) / 2;
  const cy = (height - 1) / 2;

  return (into, images, from, { angle, scaleX, scaleY, shear, shiftX, shiftY, field }) => {
    for (let y = 0; y < height; y++) {
      const start = from + y * line;
      const inside = (y + 1) * stride + channels;
      for (let k = 0; k < line; k++) padded[inside + k] = images[start + k]!;
    }
    if (field !== undefined) {
      const knots = grid * grid;
      for (let row = 0; row < grid; row++) {
        blend(fieldX, row * width, field, row * grid, alongX);
        blend(fieldY, row * width, field, knots + row * grid, alongX);
      }
    }
    const c = cos(angle);
    const s = sin(angle);
    const a = (c + shear * s) / scaleX;
    const b = (s - shear * c) / scaleX;
    const d = -s / scaleY;
    const e = c / scaleY;
    let to = 0;
    for (let y = 0; y < height; y++) {
      const v = y - cy - shiftY;
      const beginX = b * v + cx;
      const beginY = e * v + cy;
      const w0 = alongY.weights[4 * y]!;
      const w1 = alongY.weights[4 * y + 1]!;
      const w2 = alongY.weights[4 * y + 2]!;
      const w3 = alongY.weights[4 * y + 3]!;
      let r0 = alongY.knots[4 * y]! * width;
      let r1 = alongY.knots[4 * y + 1]! * width;
      let r2 = alongY.knots[4 * y + 2]! * width;
      let r3 = alongY.knots[4 * y + 3]! * width;
      for (let x = 0; x < width; x++) {
        const u = x - cx - shiftX;
        let X = a * u + beginX;
        let Y = d * u + beginY;
        if (field !== undefined) {
          X += w0 * fieldX[r0]! + w1 * fieldX[r1]! + w2 * fieldX[r2]! + w3 * fieldX[r3]!;
          Y += w0 * fieldY[r0++]! + w1 * fieldY[r1++]! + w2 * fieldY[r2++]! + w3 * fieldY[r3++]!;
        }
        if (!(X > -1 && X < width && Y > -1 && Y < height)) {
          for (const end = to + channels; to < end; to++) into[to] = 0;
          continue;
        }
        const i = Math.floor(X);
        const j = Math.floor(Y);
        const f = X - i;
        const g = Y - j;
        let at = (j + 1) * stride + (i + 1) * channels;
        for (const end = at + channels; at < end; at++) {
          const upper = padded[at]! + f * (padded[at + channels]! - padded[at]!);
          const lower = padded[at + stride]! + f * (padded[at + stride + channels]! - padded[at + stride]!);
          into[to++] = Math.floor(upper + g * (lower - upper) + 0.5);
        }
      }
    }
  };
}

/** Where `size` pixels lie among `grid` knots. */
function spline(size: number, grid: number): Spline {
  const knots = new Uint8Array(4 * size);
  const weights = new Float64Array(4 * size);
  for (let n = 0; n < size; n++) {
    const t = size === 1 ? 0 : (n * (grid - 1)) / (size - 1);
    const k = Math.floor(t);
    const f = t - k;
    for (let j = 0; j < 4; j++) knots[4 * n + j] = Math.min(Math.max(k - 1 + j, 0), grid - 1);
    weights[4 * n] = ((1 - 0.5 * f) * f - 0.5) * f;
    weights[4 * n + 1] = (1.5 * f - 2.5) * f * f + 1;
    weights[4 * n + 2] = ((2 - 1.5 * f) * f + 0.5) * f;
    weights[4 * n + 3] = (0.5 * f - 0.5) * f * f;
  }
  return { knots, weights };
}

/** Writes a row of the field at every pixel of an axis. */
function blend(into: Float64Array, to: number, field: ArrayLike<number>, from: number, { knots, weights }: Spline) {
  for (let n = 0; n < knots.length; n += 4) {
    into[to++] =
      weights[n]! * field[from + knots[n]!]! +
      weights[n + 1]! * field[from + knots[n + 1]!]! +
      weights[n + 2]! * field[from + knots[n + 2]!]! +
      weights[n + 3]! * field[from + knots[n + 3]!]!;
  }
}
