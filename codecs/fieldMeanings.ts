/** What a field can be for, in the order of the legend, with the hue of its colour. */
export const meanings = {
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

export type Meaning = keyof typeof meanings;

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

export function meaningOf(path: readonly string[]): Meaning {
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
  "legacy form": [["none", 1], ["groups", 1], ["drawn normals", 1], ["bits - 1", 5]],
  form: [["sizes", 1], ["groups", 1], ["live units", 1], ["bits - 4", 5]],
};

export function layoutOf(path: readonly string[]): Layout | undefined {
  if (path[0] === "metadata") return undefined;
  const within = path.slice(path[0] === "graph" ? 2 : path.length > 1 ? 1 : 0).join(" / ");
  return Object.hasOwn(layouts, within) ? layouts[within] : undefined;
}
