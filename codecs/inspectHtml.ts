import { type Field, type Inspection, inspect, printable } from "./inspect.ts";
import type { Limits } from "./codec.ts";

export interface HtmlOptions {
  /** How many bytes are shown in hex, about: of longer files the longest fields are cut short. By default 65,536. */
  readonly hex?: number | undefined;
  /** As for `unpack`. */
  readonly limits?: Partial<Limits> | undefined;
}

/**
 * A file as one page of HTML: every byte in hex, coloured by what it is for, and a table of all fields that leads to
 * them and back. The page needs nothing else, runs nothing, and forbids its reader's browser to load or run anything.
 * Throws FormatError as `unpack` does.
 */
export function inspectHtml(bytes: Uint8Array, { hex = 65536, limits }: HtmlOptions = {}): string {
  if (!(Number.isInteger(hex) && hex >= 0)) throw new RangeError(`inspectHtml: hex must be a whole number, got ${hex}`);
  // A copy, as `inspect` makes one: nothing may differ between what it saw and what is shown.
  const source = new Uint8Array(bytes);
  const inspection = inspect(source, limits);
  const fields = gathered(inspection.fields);
  const most = lengthOfRuns(fields, hex);
  const { network } = inspection.file;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escape(network.name)}, byte by byte</title>
<style>
${style()}</style>
</head>
<body>
<header>
<h1>${text(network.name)}, byte by byte</h1>
<p>${summary(inspection)}</p>
</header>
${metadataTable(inspection)}${tensorTable(inspection)}<section>
<h2>What the bytes are for</h2>
${legend(inspection)}</section>
<main>
<section class="dump">
<h2>Bytes</h2>
${dump(source, fields, most)}
</section>
<section class="fields">
<h2>Fields</h2>
${fieldTable(source, fields)}
</section>
</main>
</body>
</html>
`;
}

/** What a field can be for, in the order of the legend, with the hue of its colour. */
const meanings = {
  file: { title: "the file itself", hue: 215 },
  graph: { title: "the network", hue: 270 },
  metadata: { title: "metadata", hue: 325 },
  section: { title: "which tensors, by which method", hue: 190 },
  parameter: { title: "counts and parameters", hue: 85 },
  table: { title: "code tables", hue: 45 },
  number: { title: "numbers and entries", hue: 150 },
  place: { title: "positions", hue: 20 },
  symbol: { title: "symbols, levels and indices", hue: 0 },
  checksum: { title: "checksums", hue: null },
} as const;

type Meaning = keyof typeof meanings;

/** Fields of sections by name. What is not named here is a parameter of its method. */
const named: Readonly<Record<string, Meaning>> = {
  method: "section",
  tensors: "section",
  length: "section",
  "code lengths": "table",
  frequencies: "table",
  "entry values": "number",
  numbers: "number",
  scales: "number",
  positions: "place",
  codes: "symbol",
  indices: "symbol",
  levels: "symbol",
  "states and symbols": "symbol",
  symbols: "symbol",
};

function meaningOf(path: readonly string[]): Meaning {
  const last = path.at(-1)!;
  if (last === "checksum") return "checksum";
  if (path.length === 1) return "file";
  if (path[0] === "graph" || path[0] === "metadata") return path[0];
  const meaning = Object.hasOwn(named, last) ? named[last]! : "parameter";
  // The codes of positions are positions.
  return meaning === "symbol" && path.includes("places") ? "place" : meaning;
}

type Layout = readonly (readonly [name: string, bits: number])[];

/** Of one whole byte, what its bits say, highest first: names and widths. By its path within a section, a layer. */
const layouts: Readonly<Record<string, Layout>> = {
  architecture: [["more follows", 1], ["architecture", 5], ["metadata", 1], ["framed", 1]],
  flags: [["none", 3], ["same", 1], ["bias", 1], ["activation", 3]],
  method: [["method", 6], ["cover", 2]],
  "places / form": [["kind", 4], ["parameter", 4]],
  form: [["sizes", 1], ["groups", 1], ["live units", 1], ["bits - 4", 5]],
};

function layoutOf(path: readonly string[]): Layout | undefined {
  if (path[0] === "metadata") return undefined;
  const within = path.slice(path[0] === "graph" ? 2 : path.length > 1 ? 1 : 0).join(" / ");
  return Object.hasOwn(layouts, within) ? layouts[within] : undefined;
}

/** A list such as that of the classes may be long: of one parent, so many fields are shown by themselves. */
const mostSiblings = 256;

/** The fields, with those of a long list from some place on taken together. */
function gathered(fields: readonly Field[]): readonly Field[] {
  const counts = new Map<string, number>();
  const result: Field[] = [];
  let last: { readonly parent: string; readonly start: number; end: number; fields: number } | undefined;
  const close = (path: readonly string[]): void => {
    if (last === undefined) return;
    const name = `${grouped(last.fields)} more`;
    result.push({ start: last.start, end: last.end, path: [...path, name], note: undefined });
    last = undefined;
  };
  let before: readonly string[] = [];
  for (const field of fields) {
    const path = field.path.slice(0, -1);
    const parent = JSON.stringify(path);
    const count = (counts.get(parent) ?? 0) + 1;
    counts.set(parent, count);
    if (last !== undefined && last.parent !== parent) close(before);
    // The checksum of a file stands at the top, where nothing is in a list.
    if (count <= mostSiblings || path.length === 0) result.push(field);
    else if (last === undefined) last = { parent, start: field.start, end: field.end, fields: 1 };
    else {
      last.end = field.end;
      last.fields += 1;
    }
    before = path;
  }
  close(before);
  return result;
}

/** The length to which fields must be cut so that no more than `bytes` are shown, but for a line of each at least. */
function lengthOfRuns(fields: readonly Field[], bytes: number): number {
  const lengths = fields.map(({ start, end }) => Math.ceil((end - start) / 8)).sort((a, b) => a - b);
  let left = bytes;
  for (const [i, length] of lengths.entries()) {
    const share = Math.floor(left / (lengths.length - i));
    if (length > share) return Math.max(perLine, perLine * Math.floor(share / perLine));
    left -= length;
  }
  return Infinity;
}

const perLine = 16;

/** Bytes that are shown alike: those of one field, or a single one that several fields share. */
interface Cell {
  readonly start: number;
  readonly end: number;
  readonly fields: number[];
}

function cellsOf(fields: readonly Field[]): Cell[] {
  const cells: Cell[] = [];
  const share = (byte: number, field: number): void => {
    const last = cells.at(-1);
    if (last?.start !== byte) cells.push({ start: byte, end: byte + 1, fields: [field] });
    else if (last.fields.at(-1) !== field) last.fields.push(field);
  };
  fields.forEach(({ start, end }, field) => {
    if (start % 8 !== 0) share(Math.floor(start / 8), field);
    const [first, last] = [Math.ceil(start / 8), Math.floor(end / 8)];
    if (first < last) cells.push({ start: first, end: last, fields: [field] });
    if (end % 8 !== 0) share(last, field);
  });
  return cells;
}

/** The text of the three columns, in pieces. */
interface Columns {
  readonly offsets: string[];
  readonly digits: string[];
  readonly characters: string[];
}

/**
 * Three columns that stand side by side: offsets, hex and characters. A cell is one link in the last two, over as many
 * lines as it takes; it leads to its first field, and whatever leads to one of its fields leads to it.
 */
function dump(source: Uint8Array, fields: readonly Field[], most: number): string {
  const columns: Columns = { offsets: [], digits: [], characters: [] };
  const { offsets, digits, characters } = columns;
  const separate = (at: number): void => {
    if (at % perLine !== 0) {
      digits.push(" ");
      return;
    }
    if (at > 0) for (const column of Object.values(columns)) column.push("\n");
    offsets.push(at.toString(16).padStart(6, "0"));
  };
  const show = (start: number, end: number): void => {
    for (let at = start; at < end; at++) {
      if (at > start) separate(at);
      digits.push(twoDigits(source[at]!));
      characters.push(character(source[at]!));
    }
  };
  // Where a field's first cell is: only there it has its id.
  let identified = 0;
  for (const cell of cellsOf(fields)) {
    const [field] = cell.fields;
    const link = `href="#f${field}" class="${colour(fields, field!)}"${shades(cell, fields)}`;
    const isFirst = field === identified;
    const others = cell.fields.filter((other) => other > field! && other >= identified);
    // The separator stands before the link, so that the space between two fields is not coloured.
    separate(cell.start);
    digits.push(`<a ${isFirst ? `id="b${field}" ` : ""}${link} title="${titleOf(cell, fields)}">`);
    digits.push(...others.map((other) => `<span id="b${other}"></span>`));
    characters.push(`<a ${link}>`);
    identified = cell.fields.at(-1)! + 1;
    const skipFrom = Math.ceil((cell.start + most) / perLine) * perLine;
    const skipTo = Math.floor(cell.end / perLine) * perLine;
    if (skipTo - skipFrom < 2 * perLine) {
      show(cell.start, cell.end);
    } else {
      show(cell.start, skipFrom);
      offsets.push("\n…");
      digits.push(`\n… ${grouped(skipTo - skipFrom)} bytes are not shown`);
      characters.push("\n ");
      if (skipTo < cell.end) separate(skipTo);
      show(skipTo, cell.end);
    }
    digits.push("</a>");
    characters.push("</a>");
  }
  const written = Object.entries(columns).map(([name, parts]) => `<pre class="${name}">${parts.join("")}</pre>`);
  return `<div class="columns">${written.join("")}</div>`;
}

/** Two shades take turns, so that one field is told from the next of its kind. */
function colour(fields: readonly Field[], field: number): string {
  return `${meaningOf(fields[field]!.path)}${field % 2 === 0 ? "" : " odd"}`;
}

/** A shared byte has the colours of all its fields, each as wide as its bits. */
function shades({ start: byte, fields: sharers }: Cell, fields: readonly Field[]): string {
  if (sharers.length === 1) return "";
  const stops = sharers.map((field) => {
    const { start, end, path } = fields[field]!;
    const [from, to] = [Math.max(start - 8 * byte, 0), Math.min(end - 8 * byte, 8)];
    return `var(--${meaningOf(path)}${field % 2 === 0 ? "" : "-odd"}) ${12.5 * from}% ${12.5 * to}%`;
  });
  return ` style="background:linear-gradient(90deg,${stops.join(",")})"`;
}

function titleOf({ fields: sharers }: Cell, fields: readonly Field[]): string {
  const titles = sharers.map((field) => {
    const { path, note } = fields[field]!;
    return path.join(" / ") + (note === undefined ? "" : `: ${note}`);
  });
  return escape(shortened(titles.join("; "), 120));
}

function fieldTable(source: Uint8Array, fields: readonly Field[]): string {
  const rows = fields.map((field, i) => {
    const { start, end, path, note } = field;
    const names = path.map((name) => text(name)).join(" <i>/</i> ");
    return (
      `<tr id="f${i}"><td class="${meaningOf(path)}${i % 2 === 0 ? "" : " odd"}">` +
      `<a href="#b${i}">${place(start)}</a></td><td class="size">${size(end - start)}</td>` +
      `<td>${names}</td><td>${note === undefined ? "" : text(shortened(note, 200))}${bitsOf(source, field)}</td></tr>`
    );
  });
  const head = "<tr><th>at byte</th><th>length</th><th>field</th><th>value</th></tr>";
  return `<table>\n<thead>${head}</thead>\n<tbody>\n${rows.join("\n")}\n</tbody>\n</table>`;
}

/** The bits of a field that is no row of whole bytes, or of a byte that says several things. */
function bitsOf(source: Uint8Array, { start, end, path }: Field): string {
  const layout = end - start === 8 && start % 8 === 0 ? layoutOf(path) : undefined;
  if (layout !== undefined) {
    let at = start;
    const parts = layout.map(([name, width]) => {
      at += width;
      return [name, bits(source, at - width, at)] as const;
    });
    const words = parts.map(([name, digits]) => `${name} ${Number.parseInt(digits, 2)}`).join(", ");
    return ` <span class="bits" title="${words}">${parts.map(([, digits]) => digits).join(" ")}</span>`;
  }
  if (start % 8 === 0 && end % 8 === 0) return "";
  const shown = Math.min(end, start + 40);
  return ` <span class="bits">${bits(source, start, shown)}${shown < end ? "…" : ""}</span>`;
}

function bits(source: Uint8Array, start: number, end: number): string {
  let digits = "";
  for (let bit = start; bit < end; bit++) digits += (source[Math.floor(bit / 8)]! >>> (7 - (bit % 8))) & 1;
  return digits;
}

/** Counted as errors count it, and as the dump does. */
function place(bit: number): string {
  const byte = Math.floor(bit / 8);
  const within = bit % 8 === 0 ? "" : `, bit ${bit % 8}`;
  return `${grouped(byte)}${within} <i>${byte.toString(16)}</i>`;
}

function size(count: number): string {
  const [bytes, rest] = [Math.floor(count / 8), count % 8];
  if (rest === 0) return grouped(bytes);
  const inBits = `${rest} ${rest === 1 ? "bit" : "bits"}`;
  return bytes === 0 ? inBits : `${grouped(bytes)} and ${inBits}`;
}

function summary({ file, bytes, tensors }: Inspection): string {
  const numbers = tensors.reduce((sum, { count }) => sum + count, 0);
  return [
    `${grouped(bytes)} bytes for ${grouped(numbers)} numbers (${((8 * bytes) / numbers).toFixed(3)} bits each)`,
    file.architecture === 0 ? "the network is described in the file" : `known architecture ${file.architecture}`,
    file.framed ? "each section has its own checksum" : "one checksum for all",
  ].join("; ");
}

function metadataTable({ file: { metadata = [] } }: Inspection): string {
  if (metadata.length === 0) return "";
  const rows = metadata.slice(0, mostSiblings).map(([key, value]) => {
    return `<tr><th>${text(key)}</th><td>${text(shortened(value, 1000))}</td></tr>`;
  });
  if (metadata.length > rows.length) rows.push(`<tr><th>${grouped(metadata.length - rows.length)} more</th></tr>`);
  return `<section>\n<h2>Metadata</h2>\n<table>\n${rows.join("\n")}\n</table>\n</section>\n`;
}

function tensorTable({ tensors }: Inspection): string {
  const names = ["tensor", "shape", "numbers", "not zero", "section", "method", "bits per number"];
  const rows = tensors.map(({ name, shape, count, nonzero, section, method, bitsPerNumber }) => {
    const figure = (words: string): string => `<td class="size">${words}</td>`;
    const counts = [grouped(count), grouped(nonzero), String(section)].map(figure).join("");
    const last = `<td>${text(method)}</td>${figure(bitsPerNumber.toFixed(3))}`;
    return `<tr><td>${text(name)}</td><td>${shape.join(" × ")}</td>${counts}${last}</tr>`;
  });
  const head = `<tr>${names.map((name) => `<th>${name}</th>`).join("")}</tr>`;
  return `<section>\n<h2>Tensors</h2>\n<table>\n${head}\n${rows.join("\n")}\n</table>\n</section>\n`;
}

/** What the file spends on each meaning: a bar, and the figures. */
function legend({ fields, bytes }: Inspection): string {
  const spent = new Map<Meaning, number>();
  for (const { start, end, path } of fields) {
    const meaning = meaningOf(path);
    spent.set(meaning, (spent.get(meaning) ?? 0) + end - start);
  }
  const parts = (Object.keys(meanings) as Meaning[]).flatMap((meaning) => {
    const count = spent.get(meaning);
    return count === undefined ? [] : [{ meaning, count, share: (100 * count) / (8 * bytes) }];
  });
  const bar = parts.map(({ meaning, share }) => `<i class="${meaning}" style="width:${share.toFixed(3)}%"></i>`);
  const items = parts.map(({ meaning, count, share }) => {
    return `<li><b class="${meaning}"></b>${meanings[meaning].title}: ${size(count)} (${share.toFixed(1)} %)</li>`;
  });
  return `<div class="bar">${bar.join("")}</div>\n<ul>\n${items.join("\n")}\n</ul>\n`;
}

/** Text of the file is somebody else's: nothing in it is a tag, an attribute's end, or changes how a page runs on. */
function escape(words: string): string {
  const entities: Readonly<Record<string, string>> = { "&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "#39" };
  return printable(words).replace(/[&<>"']/g, (character) => `&${entities[character]!};`);
}

/** Text between tags, isolated: letters written from right to left leave what stands around them in its order. */
function text(words: string): string {
  return `<bdi>${escape(words)}</bdi>`;
}

function shortened(words: string, most: number): string {
  const characters = [...words.slice(0, 2 * most + 2)];
  return characters.length <= most ? words : `${characters.slice(0, most).join("")}…`;
}

function twoDigits(byte: number): string {
  return byte.toString(16).toUpperCase().padStart(2, "0");
}

/** The character of ASCII, or a dot. */
function character(byte: number): string {
  return byte >= 0x20 && byte < 0x7f ? escape(String.fromCharCode(byte)) : "·";
}

function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** Each colour in two shades, for light screens and for dark ones. */
function style(): string {
  const shades = (lightness: readonly [number, number], saturation: number): string =>
    Object.entries(meanings)
      .flatMap(([name, { hue }]) => {
        const colour = (i: 0 | 1): string => `hsl(${hue ?? 0} ${hue === null ? 0 : saturation}% ${lightness[i]}%)`;
        return [`--${name}: ${colour(0)};`, `--${name}-odd: ${colour(1)};`];
      })
      .join("\n");
  const classes = Object.keys(meanings).map(
    (name) => `.${name} { background: var(--${name}); }\n.${name}.odd { background: var(--${name}-odd); }`,
  );
  const light = "--page: #fff; --ink: #1c1e21; --soft: #666b73; --line: #dfe2e6; --mark: #d0006f;";
  const dark = "--page: #15171a; --ink: #e8eaed; --soft: #9aa0a8; --line: #33373d; --mark: #ff6ab3;";
  return [
    `:root {\n${light}\n${shades([89, 81], 78)}\n}`,
    `@media (prefers-color-scheme: dark) {\n:root {\n${dark}\n${shades([25, 33], 48)}\n}\n}`,
    ...classes,
    rules,
  ].join("\n");
}

const rules = `* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem; max-width: 110rem;
  background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif;
}
h1 { font-size: 1.6rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 1.6rem 0 0.5rem; }
p { margin: 0.2rem 0; color: var(--soft); }
a { color: inherit; text-decoration: none; }
a:hover { outline: 2px solid var(--ink); outline-offset: -1px; }
a:target, a:has(:target), tr:target td { outline: 2px solid var(--mark); outline-offset: -1px; }
table { border-collapse: collapse; }
th, td { text-align: left; vertical-align: top; padding: 0.15rem 0.7rem 0.15rem 0; overflow-wrap: anywhere; }
th, td { border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); white-space: nowrap; }
td.size { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.bar { display: flex; height: 1.2rem; border: 1px solid var(--line); }
ul { display: flex; flex-wrap: wrap; gap: 0.2rem 1.6rem; list-style: none; padding: 0; margin: 0.5rem 0; }
li b { display: inline-block; width: 1em; height: 1em; margin-right: 0.45em; vertical-align: -0.12em; }
li b { border: 1px solid var(--line); }
.columns { display: flex; gap: 1.2rem; width: max-content; }
pre, .bits { margin: 0; font: 13px/1.55 ui-monospace, "DejaVu Sans Mono", Consolas, monospace; }
.offsets, .bits, .fields i { color: var(--soft); }
.offsets { user-select: none; }
.bits { white-space: nowrap; }
.fields table { width: 100%; }
.fields td.size { padding-left: 0.7rem; }
.fields td:last-child { width: 45%; }
.fields td:first-child { padding-left: 0.5rem; white-space: nowrap; font-variant-numeric: tabular-nums; }
@media (min-width: 75rem) {
  main { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 2.5rem; align-items: start; }
  .dump { position: sticky; top: 0; max-height: 100vh; overflow: auto; padding-right: 1rem; }
}
@media (max-width: 75rem) {
  .dump, .fields { overflow-x: auto; }
}
`;
