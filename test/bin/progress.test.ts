import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { duration, type Progress, progressDisplay } from "../../bin/progress.ts";

/** A stream that keeps what is written, and a clock that stands still unless told. */
function stage({ isTTY, columns = 80 }: { readonly isTTY: boolean; readonly columns?: number }) {
  const clock = { time: 0 };
  const written: string[] = [];
  const stream = { isTTY, columns, write: (text: string) => written.push(text) > 0 };
  const display = progressDisplay(stream, { every: 5000, now: () => clock.time });
  return { clock, written, display };
}

const figures = ["loss 0.1234", "97.00 %", "3 min 20 s left"];
const at = (done: number): Progress => ({ done, total: 100, figures });

suite("progress elsewhere than on a terminal", () => {
  test("a line every few seconds, the first after as long, and one at the end", () => {
    const { clock, written, display } = stage({ isTTY: false });
    for (; clock.time < 12000; clock.time += 1000) display.show("train", at(clock.time / 1000));
    display.show("train", at(100));
    display.end();
    assert.deepEqual(written.map((line) => line.slice(0, 12)), ["train   5 % ", "train  10 % ", "train 100 % "]);
    assert.ok(written.every((line) => line.endsWith("\n") && !line.includes("\x1b")));
  });

  test("another task waits anew", () => {
    const { clock, written, display } = stage({ isTTY: false });
    display.show("first", at(1));
    clock.time = 5000;
    display.show("second", at(1));
    assert.deepEqual(written, []);
    display.show("first", at(100));
    assert.equal(written.length, 1);
  });
});

suite("progress on a terminal", () => {
  test("one line that is written over, never wider than the terminal, its bar in one place", () => {
    const texts = fc.array(fc.string({ unit: "grapheme-ascii", maxLength: 30 }), { maxLength: 6 });
    const label = fc.string({ unit: "grapheme-ascii", maxLength: 20 });
    fc.assert(
      fc.property(label, texts, fc.nat(100), fc.integer({ min: 1, max: 200 }), (label, figures, done, columns) => {
        const { clock, written, display } = stage({ isTTY: true, columns });
        display.show(label, { done, total: 100, figures });
        clock.time = 1000;
        display.show(label, { done, total: 100, figures });
        const line = written.at(-1)!;
        assert.ok(line.startsWith("\r") && line.endsWith("\x1b[K"));
        const text = line.slice(1, -3);
        assert.ok(text.length < columns || text === "", `${text.length} of ${columns}`);
        assert.ok(`${label} [########################]`.startsWith(text.slice(0, label.length + 2)));
      }),
    );
  });

  test("a terminal that does not know its width is taken for one of 80 columns", () => {
    const { clock, written, display } = stage({ isTTY: true, columns: 0 });
    display.show("train", at(50));
    clock.time = 1000;
    display.show("train", at(50));
    assert.match(written[0]!, /3 min 20 s left/);
  });

  test("what does not fit is left out from the end, whole", () => {
    const { clock, written, display } = stage({ isTTY: true, columns: 40 });
    display.show("train", at(50));
    clock.time = 1000;
    display.show("train", at(50));
    display.end();
    assert.deepEqual(written, ["\rtrain [####----]  loss 0.1234  97.00 %\x1b[K", "\n"]);
  });
});

test("durations are told in two units at most", () => {
  const told = [0, 0.04, 9.94, 9.96, 59.4, 59.6, 200, 3599.9, 3661].map(duration);
  const expected = ["0.0 s", "0.0 s", "9.9 s", "10 s", "59 s", "1 min 0 s", "3 min 20 s", "1 h 0 min", "1 h 1 min"];
  assert.deepEqual(told, expected);
});
