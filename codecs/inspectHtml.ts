import type { Limits } from "./codec.ts";
import { layoutOf, type Meaning, meaningOf, meanings } from "./fieldMeanings.ts";
import { type Field, type Inspection, inspect, printable } from "./inspect.ts";
import { style } from "./inspectStyle.ts";

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
