/** Pictures as SVG text: lines over axes, and bars of parts. A browser shows them, and nothing else is needed. */

/** One line of a chart. */
export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Axis {
  readonly label: string;
  /** Equal factors are equally far apart. Only numbers above 0 can be shown. */
  readonly logarithmic?: boolean;
  /** How a number is written beside the axis. Default: as short as it can be. */
  readonly text?: (value: number) => string;
}

export interface LineChart {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly Series[];
}

/** Distinct in print and for those who see colours otherwise (Okabe and Ito, 2008). */
const colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#f0e442"];

const frame = { left: 70, top: 40, width: 480, height: 280, right: 150, bottom: 55 };

/** A chart of lines with a mark at each point and the names beside it. Points that are not finite are left out. */
export function lineChart({ title, x, y, series }: LineChart): string {
  const shown = series.map(({ name, points }) => ({
    name,
    points: points.filter(([a, b]) => canBeShown(a, x) && canBeShown(b, y)),
  }));
  const all = shown.flatMap(({ points }) => points);
  if (all.length === 0) throw new RangeError(`chart "${title}": there is no point to show`);
  const across = scaleOf(all.map(([a]) => a), x, [frame.left, frame.left + frame.width]);
  const up = scaleOf(all.map(([, b]) => b), y, [frame.top + frame.height, frame.top]);
  const bottom = frame.top + frame.height;
  const parts = [
    text(frame.left, 22, title, "title"),
    `<rect x="${frame.left}" y="${frame.top}" width="${frame.width}" height="${frame.height}" class="frame"/>`,
    ...across.ticks.flatMap((value) => [
      line(across.at(value), frame.top, across.at(value), bottom),
      text(across.at(value), bottom + 17, spell(value, x), "middle"),
    ]),
    ...up.ticks.flatMap((value) => [
      line(frame.left, up.at(value), frame.left + frame.width, up.at(value)),
      text(frame.left - 8, up.at(value) + 4, spell(value, y), "end"),
    ]),
    text(frame.left + frame.width / 2, bottom + 42, x.label, "middle"),
    `<g transform="translate(18 ${frame.top + frame.height / 2}) rotate(-90)">${text(0, 0, y.label, "middle")}</g>`,
    ...shown.flatMap(({ name, points }, i) => {
      const colour = colours[i % colours.length]!;
      const places = points.map(([a, b]) => [round(across.at(a)), round(up.at(b))] as const);
      const legend = frame.top + 12 + 20 * i;
      return [
        `<polyline points="${places.map((place) => place.join(",")).join(" ")}" fill="none" stroke="${colour}"/>`,
        ...places.map(([a, b]) => mark(i, a, b, 3)),
        mark(i, frame.left + frame.width + 18, legend - 4, 4),
        text(frame.left + frame.width + 28, legend, name, "start"),
      ];
    }),
  ];
  return picture(frame.left + frame.width + frame.right, bottom + frame.bottom, title, parts);
}

/** The mark of the series at place `i`: where colours begin again, it is a square. */
function mark(i: number, x: number, y: number, radius: number): string {
  const colour = colours[i % colours.length]!;
  if (i < colours.length) return `<circle cx="${x}" cy="${y}" r="${radius}" fill="${colour}"/>`;
  const corner = `x="${round(x - radius)}" y="${round(y - radius)}"`;
  return `<rect ${corner} width="${2 * radius}" height="${2 * radius}" fill="${colour}"/>`;
}

/** A row of a chart of bars: a name, and the lengths of its parts in the order of their names. */
export interface Bar {
  readonly name: string;
  readonly parts: readonly number[];
  /** Behind the bar. */
  readonly note?: string;
}

export interface BarChart {
  readonly title: string;
  /** What the parts of every bar are. */
  readonly parts: readonly string[];
  readonly bars: readonly Bar[];
  /** Lines of text below. */
  readonly notes?: readonly string[];
}

/** Bars that lie, one per row, made of parts that add up. */
export function barChart({ title, parts: names, bars, notes = [] }: BarChart): string {
  const lengths = bars.map(({ parts }) => parts.reduce((sum, part) => sum + part, 0));
  const longest = Math.max(...lengths, Number.MIN_VALUE);
  const left = 30 + 7 * Math.max(0, ...bars.map(({ name }) => name.length));
  const [top, width, row] = [66, 480, 28];
  const shapes = bars.flatMap(({ name, parts, note }, i) => {
    const y = top + row * i;
    let x = left;
    const boxes = parts.map((part, k) => {
      const size = (part / longest) * width;
      x += size;
      const box = `x="${round(x - size)}" y="${y}" width="${round(size)}" height="${row - 8}"`;
      return `<rect ${box} fill="${colours[k % colours.length]!}"/>`;
    });
    return [text(left - 8, y + 15, name, "end"), ...boxes, text(round(x) + 6, y + 15, note ?? "", "start")];
  });
  let x = left;
  const legend = names.flatMap((name, k) => {
    const at = x;
    x += 30 + 7 * name.length;
    const box = `<rect x="${at}" y="38" width="12" height="12" fill="${colours[k % colours.length]!}"/>`;
    return [box, text(at + 17, 48, name, "start")];
  });
  const below = top + row * bars.length + 14;
  const said = notes.map((note, i) => text(left, below + 10 + 20 * i, note, "start"));
  const all = [text(left, 22, title, "title"), ...legend, ...shapes, ...said];
  return picture(left + width + 180, below + 20 * notes.length, title, all);
}

function canBeShown(value: number, { logarithmic = false }: Axis): boolean {
  return Number.isFinite(value) && (!logarithmic || value > 0);
}

interface Scale {
  readonly at: (value: number) => number;
  readonly ticks: readonly number[];
}

function scaleOf(
  values: readonly number[],
  { logarithmic = false }: Axis,
  [from, to]: readonly [number, number],
): Scale {
  const bend = logarithmic ? Math.log10 : (value: number): number => value;
  let [low, high] = [Math.min(...values), Math.max(...values)];
  // One number alone still needs a span to stand in.
  if (low === high) [low, high] = logarithmic ? [low / 2, high * 2] : [low - 0.5, high + 0.5];
  const at = (value: number): number => from + ((bend(value) - bend(low)) / (bend(high) - bend(low))) * (to - from);
  return { at, ticks: logarithmic ? decades(low, high) : evenly(low, high) };
}

/** About five round numbers from `low` to `high`. */
function evenly(low: number, high: number): number[] {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** 1, 2 and 5 times powers of ten, or the powers alone where there are many. */
function decades(low: number, high: number): number[] {
  const factors = Math.log10(high / low) > 3 ? [1] : [1, 2, 5];
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    ticks.push(...factors.map((factor) => Number((factor * 10 ** power).toPrecision(12))));
  }
  return ticks.filter((tick) => tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9));
}

function spell(value: number, axis: Axis): string {
  return axis.text === undefined ? String(Number(value.toPrecision(6))) : axis.text(value);
}

function line(x1: number, y1: number, x2: number, y2: number): string {
  return `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}" class="grid"/>`;
}

function text(x: number, y: number, content: string, kind: string): string {
  return `<text x="${round(x)}" y="${round(y)}" class="${kind}">${escape(content)}</text>`;
}

function round(value: number): number {
  return Math.round(100 * value) / 100;
}

/** Names may come from a file, which may be anybody's: no character of theirs is markup, and none is invisible. */
function escape(content: string): string {
  return content
    .replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, "\ufffd")
    .replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)!};`);
}

const style =
  "text{font:13px sans-serif;fill:#222}.title{font-size:16px}.middle{text-anchor:middle}.end{text-anchor:end}" +
  ".grid{stroke:#ddd}.frame{fill:none;stroke:#888}polyline{stroke-width:2}";

function picture(width: number, height: number, title: string, parts: readonly string[]): string {
  const box = `width="${round(width)}" height="${round(height)}" viewBox="0 0 ${round(width)} ${round(height)}"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${box} role="img" aria-label="${escape(title)}">`,
    `<style>${style}</style>`,
    '<rect width="100%" height="100%" fill="#fff"/>',
    ...parts,
    "</svg>\n",
  ].join("\n");
}
