import { FormatError } from "../codec.ts";

/** A neuron as a row of the published CSV form, one cell `<input>x<weight>` per edge: `2x0.3,4x0.1`. */
export interface CsvNeuron {
  readonly weights: readonly number[];
  /** Undefined where the row has weights alone. */
  readonly inputs?: readonly number[];
}

const number = String.raw`[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?`;
const pair = new RegExp(`^(${number})x(${number})$`);
const single = new RegExp(`^${number}$`);

/**
 * The neurons of a CSV, one per row; empty rows, and empty cells at the end of a row, are passed over, as spreadsheets
 * write them. A row may hold weights alone, `0.3,0.1`. Throws FormatError that names row and cell (from 1) for text,
 * numbers that are not finite, empty cells between others, rows that mix both forms, and files without a neuron.
 */
export function readNeurons(text: string): CsvNeuron[] {
  const neurons = rowsOf(text).map(({ cells, row }): CsvNeuron => {
    const isPairs = cells[0]!.text.includes("x");
    const read = cells.map((cell, i): [string, string] => {
      const [, input, weight] = (isPairs ? pair : /^()(.*)$/).exec(cell.text) ?? [];
      if (input === undefined || !single.test(weight!)) {
        fail(cell, row, i, isPairs ? "must be <input>x<weight>" : "must be a weight, or all be <input>x<weight>");
      }
      return [input!, weight!];
    });
    const numbers = (which: 0 | 1): number[] => read.map((words, i) => finite(words[which], cells[i]!, row, i));
    return isPairs ? { weights: numbers(1), inputs: numbers(0) } : { weights: numbers(1) };
  });
  if (neurons.length === 0) throw new FormatError("csv-empty", "csv: there is no neuron in it", 0);
  return neurons;
}

/** Activation vectors, one per row, `1,3,2`. Throws FormatError as `readNeurons`. */
export function readVectors(text: string): number[][] {
  const vectors = rowsOf(text).map(({ cells, row }) =>
    cells.map((cell, i) => {
      if (!single.test(cell.text)) fail(cell, row, i, "must be a number");
      return finite(cell.text, cell, row, i);
    }),
  );
  if (vectors.length === 0) throw new FormatError("csv-empty", "csv: there is no activation vector in it", 0);
  return vectors;
}

interface Cell {
  readonly text: string;
  /** Where it begins, in UTF-8. */
  readonly offset: number;
}

function rowsOf(text: string): { cells: Cell[]; row: number }[] {
  const encoder = new TextEncoder();
  let offset = 0;
  const rows = text.split("\n").map((line, i) => {
    const cells = line.split(",").map((cell): Cell => {
      const start = offset;
      offset += encoder.encode(cell).length + 1;
      // Spreadsheets begin a file with a mark of its encoding, and end lines in two characters: blanks, both.
      return { text: cell.trim(), offset: start };
    });
    while (cells.at(-1)?.text === "") cells.pop();
    return { cells, row: i + 1 };
  });
  return rows.filter(({ cells }) => cells.length > 0);
}

function finite(words: string, cell: Cell, row: number, i: number): number {
  const value = Number(words);
  if (!Number.isFinite(value)) fail(cell, row, i, "must be a finite number");
  return value;
}

function fail({ text, offset }: Cell, row: number, i: number, wanted: string): never {
  const shown = JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}...` : text);
  throw new FormatError("csv-cell", `csv: row ${row}, cell ${i + 1} ${wanted}, got ${shown}`, offset);
}
