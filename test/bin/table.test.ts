import assert from "node:assert/strict";
import { test } from "node:test";
import { grouped, list, percent, table, times } from "../../bin/table.ts";

test("numbers are lined up at the right, words at the left, and lines end where their text does", () => {
  const rows = [
    ["a", "1,234", "one", "97.00 %"],
    ["bcd", "", "three", "1.0x"],
  ];
  assert.deepEqual(table(["", "count", "word", "share"], rows).split("\n"), [
    "     count  word     share",
    "---  -----  -----  -------",
    "a    1,234  one    97.00 %",
    "bcd         three     1.0x",
  ]);
});

test("a list lines up what is said", () => {
  assert.equal(list([["a", "1"], ["bcd", ""]]), "a    1\nbcd  ");
});

test("numbers for people", () => {
  assert.deepEqual([0, 999, 1000, 1066440].map(grouped), ["0", "999", "1,000", "1,066,440"]);
  assert.deepEqual([percent(0.97896), percent(1), times(48.94)], ["97.90 %", "100.00 %", "48.9x"]);
});
