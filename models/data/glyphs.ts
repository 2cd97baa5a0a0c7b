import { cos, sin } from "../../lib/math.ts";
import type { Key } from "../../lib/random.ts";
import { elementAt, fillNormal, fillUniform, seedKey, STREAMS } from "../../lib/random.ts";
import type { Dataset } from "./dataset.ts";
import type { Knot } from "./skeletons.ts";
import { SKELETONS } from "./skeletons.ts";

const SIZE = 28;
const CLASSES = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
/** Images are told apart by the block of their draws. */
const MAX_IMAGES = 2 ** 24;
const TWO_PI = 6.283185307179586;

/** Straight pieces per stretch of curve between two knots. */
const PIECES = 5;
const MAX_KNOTS = Math.max(...SKELETONS.flat().map((way) => way.flat().length));
const MAX_POINTS = MAX_KNOTS * PIECES;
/** Sines that make up a distortion, for each axis. */
const WAVES = 3;

/**
 * Handwritten-looking digits, drawn here so that nothing needs a download: 28 x 28 grey, white on black, framed as
 * MNIST is (about 20 pixels high or wide, centred by weight), and about as hard: with 20,000 to learn from, a softmax
 * reaches 91.4 % of 5,000 others and LeNet-300-100 97.6 % (MNIST: 91.9 and 97.4). Image i is a pure function of `seed`
 * and i, the same bytes on every machine, whatever `start` and `count` are; its label is i mod 10. `start` (0) is the
 * number of the first image: test images are simply numbers that were not trained on. RangeError for a count below 1
 * or numbers from 2^24.
 */
export function glyphs(options: { readonly count: number; readonly seed: number; readonly start?: number }): Dataset {
  const { count, seed, start = 0 } = options;
  const key = seedKey(seed);
  if (!(Number.isSafeInteger(count) && count >= 1)) {
    throw new RangeError(`glyphs: count must be a whole number from 1 up, got ${count}`);
  }
  if (!(Number.isSafeInteger(start) && start >= 0 && start + count <= MAX_IMAGES)) {
    throw new RangeError(`glyphs: images are numbered from 0 to ${MAX_IMAGES - 1}, got ${count} from ${start}`);
  }
  const images = new Uint8Array(count * SIZE * SIZE);
  const labels = new Uint8Array(count);
  const sheet = newSheet();
  for (let i = 0; i < count; i++) {
    const number = start + i;
    labels[i] = number % 10;
    draw(sheet, key, number);
    images.set(sheet.pixels, i * SIZE * SIZE);
  }
  return { images, count, height: SIZE, width: SIZE, channels: 1, labels, classes: CLASSES };
}

/** What drawing an image needs, made once for all of them. */
interface Sheet {
  /** Draws of the image: its style, the tremor of each knot, the grain of each pixel. */
  readonly style: Float32Array;
  readonly tremor: Float32Array;
  readonly grain: Float32Array;
  /** Points of the line, and how thick it is there. `down` is 1 where the pen draws from the point before. */
  readonly x: Float64Array;
  readonly y: Float64Array;
  readonly radius: Float64Array;
  readonly down: Uint8Array;
  /** Cover of each pixel, 0 to 1. */
  readonly ink: Float64Array;
  readonly pixels: Uint8Array;
}

function newSheet(): Sheet {
  return {
    style: new Float32Array(64),
    tremor: new Float32Array(2 * MAX_KNOTS),
    grain: new Float32Array(SIZE * SIZE),
    x: new Float64Array(MAX_POINTS),
    y: new Float64Array(MAX_POINTS),
    radius: new Float64Array(MAX_POINTS),
    down: new Uint8Array(MAX_POINTS),
    ink: new Float64Array(SIZE * SIZE),
    pixels: new Uint8Array(SIZE * SIZE),
  };
}

/** One image: trace the skeleton, bend the line, frame it, cover it with ink. The order of the draws is fixed here. */
function draw(sheet: Sheet, key: Key, number: number): void {
  const place = { stream: STREAMS.glyphs, block: number };
  fillUniform(sheet.style, key, place);
  fillNormal(sheet.tremor, key, { ...place, start: elementAt(1, 0) });
  fillNormal(sheet.grain, key, { ...place, start: elementAt(2, 0) });
  let next = 0;
  const between = (low: number, high: number) => low + (high - low) * sheet.style[next++]!;
  /** From -size to size, mostly near 0. */
  const around = (size: number) => (size * (between(-1, 1) + between(-1, 1) + between(-1, 1))) / 3;
  const wave = (height: number): Wave => ({
    x: between(-5, 5),
    y: between(-5, 5),
    phase: between(0, TWO_PI),
    height,
  });

  const ways = SKELETONS[number % 10]!;
  const way = ways[Math.floor(between(0, ways.length))]!;
  const haste = between(0, 1);
  const sloppiness = 0.5 + 1.3 * haste * haste;
  const points = trace(sheet, way, 0.04 * sloppiness);

  const thickness = between(0.75, 1.75);
  bend(sheet, points, {
    angle: around(0.5),
    slant: around(0.8) + 0.2,
    width: between(0.6, 1.15),
    waves: Array.from({ length: 2 * WAVES }, () => wave(around(0.095) * sloppiness)),
    thickness,
    pressure: wave(between(0, 0.3)),
  });
  frame(sheet, points, (20 - 2 * thickness) * between(0.88, 1.04), around(1.5), around(1.5));
  ink(sheet, points);

  const strength = between(220, 290);
  for (let p = 0; p < SIZE * SIZE; p++) {
    // The paper is clean, the ink not quite even.
    const value = sheet.ink[p]! * (strength + 10 * sheet.grain[p]!);
    sheet.pixels[p] = Math.floor(Math.min(255, Math.max(0, value)) + 0.5);
  }
}

/** Writes the points of the strokes, each knot moved by about `tremor`, and gives back how many they are. */
function trace(sheet: Sheet, way: readonly (readonly Knot[])[], tremor: number): number {
  let count = 0;
  let knot = 0;
  const put = (x: number, y: number, down: boolean) => {
    sheet.x[count] = x;
    sheet.y[count] = y;
    sheet.down[count++] = down ? 1 : 0;
  };
  for (const stroke of way) {
    const knots = stroke.map(({ x, y, corner }) => {
      const moved = { x: x + tremor * sheet.tremor[2 * knot]!, y: y + tremor * sheet.tremor[2 * knot + 1]!, corner };
      knot++;
      return moved;
    });
    put(knots[0]!.x, knots[0]!.y, false);
    for (let k = 1; k < knots.length; k++) {
      // A cubic from a to b. Its directions there are those from knot before to knot after (Catmull and Rom), but
      // straight from and to an end or a corner.
      const a = knots[k - 1]!;
      const b = knots[k]!;
      const before = k === 1 || a.corner ? undefined : knots[k - 2]!;
      const after = k === knots.length - 1 || b.corner ? undefined : knots[k + 1]!;
      const startX = before === undefined ? b.x - a.x : (b.x - before.x) / 2;
      const startY = before === undefined ? b.y - a.y : (b.y - before.y) / 2;
      const endX = after === undefined ? b.x - a.x : (after.x - a.x) / 2;
      const endY = after === undefined ? b.y - a.y : (after.y - a.y) / 2;
      for (let piece = 1; piece <= PIECES; piece++) {
        const t = piece / PIECES;
        const u = 1 - t;
        // Hermite's form: weights of a, b and of the two directions.
        const ofA = u * u * (1 + 2 * t);
        const ofB = t * t * (1 + 2 * u);
        const ofStart = t * u * u;
        const ofEnd = t * t * u;
        put(
          ofA * a.x + ofB * b.x + ofStart * startX - ofEnd * endX,
          ofA * a.y + ofB * b.y + ofStart * startY - ofEnd * endY,
          true,
        );
      }
    }
  }
  return count;
}

/** height * sin(x X + y Y + phase) at (X, Y). */
interface Wave {
  readonly x: number;
  readonly y: number;
  readonly phase: number;
  readonly height: number;
}

interface Style {
  readonly angle: number;
  readonly slant: number;
  readonly width: number;
  /** Shifts along x, then as many along y. */
  readonly waves: readonly Wave[];
  readonly thickness: number;
  /** Relative change of the thickness. */
  readonly pressure: Wave;
}

/** Pulls the paper smoothly out of shape, widens, slants and turns what is on it; sets the thickness of the line. */
function bend({ x, y, radius }: Sheet, points: number, style: Style): void {
  const at = (wave: Wave, x: number, y: number) => wave.height * sin(wave.x * x + wave.y * y + wave.phase);
  const turnX = cos(style.angle);
  const turnY = sin(style.angle);
  for (let i = 0; i < points; i++) {
    const fromX = x[i]! - 0.5;
    const fromY = y[i]! - 0.5;
    let toX = fromX;
    let toY = fromY;
    for (let w = 0; w < WAVES; w++) {
      toX += at(style.waves[w]!, fromX, fromY);
      toY += at(style.waves[WAVES + w]!, fromX, fromY);
    }
    toX = toX * style.width - style.slant * toY;
    x[i] = turnX * toX - turnY * toY;
    y[i] = turnY * toX + turnX * toY;
    radius[i] = style.thickness * (1 + at(style.pressure, fromX, fromY));
  }
}

/** Scales the longer side to `size` pixels and moves the centre of weight to the middle of the image and (dx, dy). */
function frame({ x, y, down }: Sheet, points: number, size: number, dx: number, dy: number): void {
  let left = Infinity;
  let right = -Infinity;
  let top = Infinity;
  let bottom = -Infinity;
  let weight = 0;
  let weightX = 0;
  let weightY = 0;
  for (let i = 0; i < points; i++) {
    left = Math.min(left, x[i]!);
    right = Math.max(right, x[i]!);
    top = Math.min(top, y[i]!);
    bottom = Math.max(bottom, y[i]!);
    if (down[i] === 1) {
      // Weighing a piece by |dx| + |dy| needs no square root.
      const length = Math.abs(x[i]! - x[i - 1]!) + Math.abs(y[i]! - y[i - 1]!);
      weight += length;
      weightX += (length * (x[i]! + x[i - 1]!)) / 2;
      weightY += (length * (y[i]! + y[i - 1]!)) / 2;
    }
  }
  const scale = size / Math.max(right - left, bottom - top);
  for (let i = 0; i < points; i++) {
    x[i] = (x[i]! - weightX / weight) * scale + SIZE / 2 + dx;
    y[i] = (y[i]! - weightY / weight) * scale + SIZE / 2 + dy;
  }
}

/** Covers each pixel by how near its middle is to the line: 1 inside, falling smoothly over about a pixel. */
function ink({ x, y, radius, down, ink }: Sheet, points: number): void {
  ink.fill(0);
  for (let i = 0; i < points; i++) {
    if (down[i] === 0) continue;
    const ax = x[i - 1]!;
    const ay = y[i - 1]!;
    const bx = x[i]!;
    const by = y[i]!;
    const outer = radius[i]! + 0.6;
    const inner = Math.max(radius[i]! - 0.6, 0);
    const fall = 1 / (outer * outer - inner * inner);
    const alongX = bx - ax;
    const alongY = by - ay;
    const squaredLength = alongX * alongX + alongY * alongY;
    const perLength = squaredLength > 0 ? 1 / squaredLength : 0;
    // Pixel p has its middle at p + 0.5.
    const left = Math.max(0, Math.floor(Math.min(ax, bx) - outer));
    const right = Math.min(SIZE - 1, Math.floor(Math.max(ax, bx) + outer));
    const top = Math.max(0, Math.floor(Math.min(ay, by) - outer));
    const bottom = Math.min(SIZE - 1, Math.floor(Math.max(ay, by) + outer));
    for (let row = top; row <= bottom; row++) {
      for (let column = left; column <= right; column++) {
        const px = column + 0.5 - ax;
        const py = row + 0.5 - ay;
        // Nearest point of the piece, as a share of its length.
        const along = Math.min(1, Math.max(0, (px * alongX + py * alongY) * perLength));
        const offX = px - along * alongX;
        const offY = py - along * alongY;
        const t = (outer * outer - offX * offX - offY * offY) * fall;
        if (t <= 0) continue;
        const cover = t >= 1 ? 1 : t * t * (3 - 2 * t);
        const at = row * SIZE + column;
        if (cover > ink[at]!) ink[at] = cover;
      }
    }
  }
}
