import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { barChart, lineChart } from "../../bin/svg.ts";

/** Tags in order, after a check that each is closed: what any reader of XML would refuse otherwise. */
function tagsOf(svg: string): string[] {
  const open: string[] = [];
  const seen: string[] = [];
  for (const [tag, close, name, empty] of svg.matchAll(/<(\/?)([a-z]+)(?:\s[a-zA-Z0-9-]+="[^"<]*")*(\/?)>/g)) {
    if (close === "/") assert.equal(open.pop(), name, tag);
    else if (empty !== "/") open.push(name!);
    if (close === "") seen.push(name!);
  }
  assert.deepEqual(open, []);
  const rest = svg.replace(/<(\/?)([a-z]+)(?:\s[a-zA-Z0-9-]+="[^"<]*")*(\/?)>/g, "");
  assert.doesNotMatch(rest, /[<>]/, "what is no tag is text");
  return seen;
}

const numbersIn = (svg: string, pattern: RegExp): number[] => [...svg.matchAll(pattern)].map(([, n]) => Number(n));

suite("lines", () => {
  const point = fc.tuple(fc.integer({ min: 1, max: 10000 }), fc.integer({ min: -500, max: 500 })).map(
    ([x, y]) => [x / 100, y / 100] as const,
  );

  test("have a mark for each point, inside of the frame and in the order of the numbers", () => {
    fc.assert(
      fc.property(fc.array(point, { minLength: 1, maxLength: 9 }), fc.boolean(), (points, logarithmic) => {
        const series = [{ name: "a", points }];
        const svg = lineChart({ title: "t", x: { label: "x", logarithmic }, y: { label: "y" }, series });
        tagsOf(svg);
        const across = numbersIn(svg, /<circle cx="([^"]+)" cy="[^"]+" r="3"/g);
        const down = numbersIn(svg, /<circle cx="[^"]+" cy="([^"]+)" r="3"/g);
        assert.equal(across.length, points.length);
        points.forEach(([x, y], i) => {
          assert.ok(across[i]! >= 70 && across[i]! <= 550 && down[i]! >= 40 && down[i]! <= 320);
          points.forEach(([otherX, otherY], k) => {
            if (x < otherX) assert.ok(across[i]! <= across[k]!);
            if (y < otherY) assert.ok(down[i]! >= down[k]!);
          });
        });
      }),
    );
  });

  test("leave out what cannot be shown, and are refused when nothing is left", () => {
    const x = { label: "x", logarithmic: true };
    const chart = (points: readonly (readonly [number, number])[]): string =>
      lineChart({ title: "t", x, y: { label: "y" }, series: [{ name: "a", points }] });
    assert.equal(tagsOf(chart([[1, 1], [0, 2], [3, NaN], [4, 5]])).filter((tag) => tag === "circle").length, 3);
    assert.throws(() => chart([[0, 1]]), /chart "t": there is no point to show/);
  });

  test("are told apart by their marks, also where there are more of them than colours", () => {
    const series = Array.from({ length: 14 }, (_, i) => ({ name: `s${i}`, points: [[i, i]] as const }));
    const svg = lineChart({ title: "t", x: { label: "x" }, y: { label: "y" }, series });
    tagsOf(svg);
    const marks = [...svg.matchAll(/<(circle|rect) [^>]*(?:r|height)="(?:3|6)" fill="(#[0-9a-f]+)"/g)];
    assert.equal(marks.length, 14);
    assert.equal(new Set(marks.map(([, shape, colour]) => `${shape} ${colour}`)).size, 14);
  });

  test("have round numbers beside them", () => {
    const series = [{ name: "a", points: [[0.02, 0.91], [1, 0.985]] as const }];
    const svg = lineChart({ title: "t", x: { label: "x", logarithmic: true }, y: { label: "y" }, series });
    for (const tick of ["0.02", "0.05", "0.1", "0.2", "0.5", "1", "0.92", "0.94", "0.96", "0.98"]) {
      assert.ok(svg.includes(`>${tick}</text>`), tick);
    }
  });
});

test("bars are as long as their parts, the longest as wide as the picture allows", () => {
  const svg = barChart({
    title: "t",
    parts: ["one", "two"],
    bars: [{ name: "a", parts: [30, 10] }, { name: "b", parts: [0, 10], note: "10" }],
  });
  tagsOf(svg);
  const widths = numbersIn(svg, /<rect x="[^"]+" y="[^"]+" width="([^"]+)" height="20"/g);
  assert.deepEqual(widths, [360, 120, 0, 120]);
});

test("text is never markup, whatever a file calls its layers", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 20 }), (name) => {
      const all = `<script>"&' ${name}`;
      const svg = barChart({ title: all, parts: [all], bars: [{ name: all, parts: [1], note: all }] });
      const tags = new Set(tagsOf(svg));
      assert.deepEqual(tags, new Set(["svg", "style", "rect", "text"]));
      assert.doesNotMatch(svg, /[\p{Cf}\u2028\u2029]|\p{Surrogate}/u);
    }),
  );
});
