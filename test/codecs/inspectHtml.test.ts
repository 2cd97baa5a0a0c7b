import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FormatError } from "../../codecs/codec.ts";
import { type ModelFile, pack } from "../../codecs/container.ts";
import { inspect } from "../../codecs/inspect.ts";
import { inspectHtml } from "../../codecs/inspectHtml.ts";
import { linear } from "../../lib/architectures.ts";
import { hex } from "../vectors/pieces.ts";
import { readVectors } from "../vectors/vectors.ts";
import { files } from "./arbitraries.ts";

const hostile = [
  "<script>alert(1)</script>",
  "</title></style><script>alert(1)</script>",
  "\"><img src=x onerror='alert(1)'>",
  "' style='position:fixed' x='",
  "--><!--",
  "]]><![CDATA[",
  "&lt;b&gt; &amp; &#60;",
  "</td></tr></table><form action=//example.org>",
  "=HYPERLINK(\"x\")",
  "שלום 1 < 2",
  "a\u{e0041}b\u061cc\u00add",
];

/** Words as long as these in UTF-8 that no page could mistake. */
function harmless(words: string): string {
  return "x".repeat(new TextEncoder().encode(words).length);
}

/**
 * The tags of a page with their attributes' names, in order. Throws unless the page is nothing but tags of the plainest
 * spelling, the five escapes, and characters that mean nothing.
 */
function skeleton(page: string): string[] {
  const head = /^<!doctype html>\n<html lang="en">/.exec(page)![0];
  const style = /<style>\n([^<]*)<\/style>/.exec(page)!;
  const rest = page.slice(head.length, style.index) + page.slice(style.index + style[0].length);
  const piece = /<(\/?[a-z0-9]+)((?: [a-z-]+="[^"<>]*")*)>|&(?:amp|lt|gt|quot|#39);|[^<>&"']/gu;
  const tags: string[] = [];
  let at = 0;
  for (const { 0: whole, 1: tag, 2: attributes, index } of rest.matchAll(piece)) {
    assert.equal(index, at, `this is no plain piece of a page: ${rest.slice(at, at + 60)}`);
    at += whole.length;
    if (tag === undefined) continue;
    assert.doesNotMatch(attributes!, /&(?!amp;|lt;|gt;|quot;|#39;)/);
    tags.push([tag, ...[...attributes!.matchAll(/ ([a-z-]+)="[^"]*"/g)].map(([, name]) => name)].join(" "));
  }
  assert.equal(at, rest.length);
  return tags;
}

/** A file whose every text is somebody's choice: of the network, the classes, the metadata, and raw numbers. */
function fileOf(words: (text: string) => string, [name, first, second, value]: readonly string[]): ModelFile {
  const bytes = new TextEncoder().encode(words("<b>&amp;\"'<i>AAA"));
  return {
    network: {
      name: words(name!),
      input: { height: 1, width: 1, channels: 1, scale: 1 / 255, offset: 0 },
      layers: [{ type: "flatten" }, { type: "dense", name: "fc1", units: 2, bias: true, activation: "none" }],
      classes: [`1${words(first!)}`, `2${words(second!)}`],
    },
    sections: [
      {
        tensors: ["fc1.weight", "fc1.bias"],
        coded: { method: "float32", values: new Float32Array(bytes.slice(0, 16).buffer) },
      },
    ],
    metadata: [["made-by", words(value!)]],
  };
}

test("no text of a file changes what its page is made of", () => {
  const texts = fc.array(fc.oneof(fc.constantFrom(...hostile), fc.stringMatching(/^[<>&"'=/ a-z-]{1,20}$/)), {
    minLength: 4,
    maxLength: 4,
  });
  fc.assert(
    fc.property(texts, (words) => {
      const page = inspectHtml(pack(fileOf((text) => text, words)));
      assert.deepEqual(skeleton(page), skeleton(inspectHtml(pack(fileOf(harmless, words)))));
      for (const text of words.filter((text) => /[<>&"']/.test(text))) assert.ok(!page.includes(`>${text}<`));
      assert.doesNotMatch(page, /[\u061c\u00ad]|\u{e0041}/u);
    }),
    { numRuns: 100 },
  );
});

/** What a column of the dump says, without its tags. */
function column(page: string, name: string): string {
  const [, inside] = new RegExp(`<pre class="${name}">(.*?)</pre>`, "s").exec(page)!;
  const plain = inside!.replace(/<[^>]*>/g, "");
  return plain.replace(/&(amp|lt|gt|quot|#39);/g, (_, entity: string) => {
    return { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'" }[entity]!;
  });
}

test("a page shows every byte once, and all its links lead somewhere in it", () => {
  fc.assert(
    fc.property(files, (file) => {
      const bytes = pack(file);
      const page = inspectHtml(bytes);
      assert.deepEqual(hex(column(page, "digits")), bytes);
      const characters = column(page, "characters").replaceAll("\n", "");
      assert.equal(characters.length, bytes.length);
      [...characters].forEach((character, i) => {
        if (character !== "·") assert.equal(character.charCodeAt(0), bytes[i]);
      });
      assert.equal(column(page, "offsets").split("\n").length, Math.ceil(bytes.length / 16));
      const ids = [...page.matchAll(/ id="([bf]\d+)"/g)].map(([, id]) => id!);
      assert.equal(new Set(ids).size, ids.length);
      const { fields } = inspect(bytes);
      const wanted = fields.flatMap((_, i) => [`b${i}`, `f${i}`]);
      assert.deepEqual(ids.sort(), wanted.sort());
      for (const [, target] of page.matchAll(/ href="#([^"]*)"/g)) assert.ok(ids.includes(target!), target);
      assert.doesNotMatch(page, /https?:|src=|url\(|@import|<script|<link/);
    }),
    { numRuns: 60 },
  );
});

test("fields are every bit once, in order, and agree with the runs of bytes", () => {
  const check = (bytes: Uint8Array): void => {
    const { fields, ranges } = inspect(bytes);
    let at = 0;
    for (const { start, end } of fields) {
      assert.equal(start, at);
      assert.ok(end > start);
      at = end;
    }
    assert.equal(at, 8 * bytes.length);
    // A byte that fields share belongs to the earliest of them.
    for (const { start, end, path } of ranges) {
      assert.ok(fields.some((field) => Math.ceil(field.start / 8) === start && Math.ceil(field.end / 8) === end));
      assert.ok(fields.some((field) => field.path.join() === path.join()));
    }
  };
  for (const { bytes } of readVectors("accepted")) check(bytes);
  fc.assert(fc.property(files, (file) => check(pack(file))), { numRuns: 60 });
});

test("bits are shown where a field is no row of whole bytes, or a byte says several things", () => {
  // The lengths 1 and 1 take 8 bits: a first length, a step; the codes 0 1 1 0 1 0 begin in the byte they end in.
  const accepted = readVectors("accepted");
  const { bytes } = accepted.find(({ name }) => name === "small-huffman-uneven")!;
  const { fields } = inspect(bytes);
  const [lengths, codes] = ["code lengths", "codes"].map((name) => fields.find(({ path }) => path.at(-1) === name)!);
  assert.notEqual(codes!.start % 8, 0, "or the vector shows something else");
  assert.equal(codes!.start, lengths!.end);
  const page = inspectHtml(bytes);
  assert.match(page, new RegExp(`>${Math.floor(codes!.start / 8)}, bit ${codes!.start % 8} `));
  assert.match(page, /linear-gradient\(90deg,var\(--table(-odd)?\) [\d.]+% [\d.]+%,var\(--symbol/);
  // Method 2, cover 1: 4 * 2 + 1.
  assert.match(page, /title="method 2, cover 1">000010 01</);
  const pageOf = (name: string): string => inspectHtml(accepted.find((vector) => vector.name === name)!.bytes);
  assert.match(pageOf("miracle-runs"), /title="sizes 0, groups 1, live units 0, bits - 4 \d+">0 1 0 \d{5}</);
  assert.match(pageOf("sparse-relative"), /title="kind 1, parameter 3">0001 0011</);
  assert.match(pageOf("graph-layers"), /title="none 0, same 1, bias [01], activation \d">000 1 [01] \d{3}</);
  assert.match(pageOf("lenet5-zero"), /title="more follows 0, architecture 1, metadata 0, framed 0">0 00001 0 0</);
});

test("of a large file the longest fields are cut short, and the page says so", () => {
  const values = Float32Array.from({ length: 7840 }, (_, i) => i);
  const coded = { method: "float32", values } as const;
  const bytes = pack({ network: linear, sections: [{ tensors: ["fc1.weight"], coded }] });
  assert.doesNotMatch(inspectHtml(bytes), /not shown/);
  const page = inspectHtml(bytes, { hex: 1000 });
  const lines = column(page, "digits").split("\n");
  assert.equal(lines.length, column(page, "offsets").split("\n").length);
  assert.equal(lines.length, column(page, "characters").split("\n").length);
  const [gap] = lines.filter((line) => line.includes("…"));
  const skipped = Number(/… ([\d,]+) bytes are not shown/.exec(gap!)![1]!.replaceAll(",", ""));
  const shown = hex(lines.filter((line) => line !== gap).join(" "));
  assert.equal(shown.length + skipped, bytes.length);
  assert.ok(shown.length <= 1000 + 32, `${shown.length} bytes`);
  const before = 16 * lines.indexOf(gap!);
  assert.deepEqual(shown.slice(0, before), bytes.slice(0, before));
  assert.deepEqual(shown.slice(before), bytes.slice(before + skipped));
  assert.ok(page.length < inspectHtml(bytes).length / 5);
  assert.throws(() => inspectHtml(bytes, { hex: -1 }), RangeError);
});

test("long lists are shown from their beginning, and counted", () => {
  const units = 1000;
  const network = {
    ...linear,
    name: "wide",
    layers: [linear.layers[0]!, { ...linear.layers[1]!, units } as (typeof linear.layers)[number]],
    classes: Array.from({ length: units }, (_, i) => `class ${i}`),
  };
  const indices = { coder: "fixed", symbols: new Uint16Array(784 * units) } as const;
  const coded = { method: "codebook", entries: Float32Array.of(1), indices } as const;
  const page = inspectHtml(pack({ network, sections: [{ tensors: ["fc1.weight"], coded }] }));
  // The graph has seven fields before the classes, and the layers are lists of their own.
  assert.match(page, /<bdi>751 more<\/bdi>/);
  assert.match(page, /<bdi>class 248</);
  assert.doesNotMatch(page, /<bdi>class 249</);
  assert.match(page, /section 1.*entry values/);
});

test("bytes that are no file have no page", () => {
  assert.throws(() => inspectHtml(hex("fb6b6e")), FormatError);
});
