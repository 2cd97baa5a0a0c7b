import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, suite, test } from "node:test";
import { inspectHtml } from "../../codecs/index.ts";
import { readVectors } from "../vectors/vectors.ts";
import { jsonOf, kilonet, resultOf, workplace } from "./cli.ts";

const folder = workplace();
const path = (name: string): string => join(folder, name);
const accepted = readVectors("accepted");
const refused = readVectors("refused");
const few = refused.filter(({ bytes }) => bytes.length > 0).filter((_, i) => i % 20 === 0);

before(() => {
  for (const { name, bytes } of [...accepted, ...few]) writeFileSync(path(`${name}.knet`), bytes);
});

suite("verify", { concurrency: 2 }, () => {
  test("says of each good file what it holds", async () => {
    const lines = await jsonOf("verify", ...accepted.map(({ name }) => path(`${name}.knet`)));
    assert.deepEqual(lines.pop(), { files: accepted.length, refused: 0 });
    assert.deepEqual(
      lines.map(({ file, ok, bytes }) => ({ file, ok, bytes })),
      accepted.map(({ name, bytes }) => ({ file: path(`${name}.knet`), ok: true, bytes: bytes.length })),
    );
    const zero = lines.find(({ file }) => file === path("lenet5-zero.knet"))!;
    assert.deepEqual([zero.network, zero.architecture, zero.parameters], ["lenet5", 1, 431080]);
    assert.deepEqual([zero.sections, zero.codec, zero.framed], [1, "sparse codebook (fixed)", false]);
  });

  test("says of each bad file which rule is broken and where, goes on, and fails", async () => {
    const paths = [...few, accepted[0]!].map(({ name }) => path(`${name}.knet`));
    const { status, stdout, stderr } = await kilonet("verify", ...paths, "--json");
    assert.deepEqual([status, stderr], [1, `kilonet: verify: ${few.length} of ${paths.length} files refused\n`]);
    const lines = stdout.trimEnd().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.deepEqual(
      lines.map(({ file, code, ok }) => ({ file, code, ok })),
      [...few.map(({ code }) => ({ code, ok: false })), { code: undefined, ok: true }].map((verdict, i) => ({
        file: paths[i],
        ...verdict,
      })),
    );
    for (const [i, { offset, message }] of lines.slice(0, -1).entries()) {
      assert.ok((offset as number) >= 0 && (offset as number) <= few[i]!.bytes.length);
      assert.ok((message as string).endsWith(`(at byte ${String(offset)})`));
    }
  });

  test("for people: a line for each file", async () => {
    const good = await kilonet("verify", path("lenet5-zero.knet"));
    const found = '/lenet5-zero.knet: ok, 11 bytes, network "lenet5" (known architecture 1), 1 section (sparse ';
    assert.ok(good.stdout.includes(found), good.stdout);
    assert.match(good.stdout, /, 431,080 numbers\n1 file, none refused\n$/);
    writeFileSync(path("words.knet"), "These are words.\n");
    const bad = await kilonet("verify", path("words.knet"));
    assert.match(bad.stdout, /^[^\n]*words\.knet: refused, magic: container: [^\n]* \(at byte 0\)\n$/);
    assert.deepEqual([bad.status, bad.stderr], [1, "kilonet: verify: 1 of 1 file refused\n"]);
  });

  test("a file that is not there is no refused file", async () => {
    const { status, stdout, stderr } = await kilonet("verify", path("missing.knet"), "--json");
    assert.deepEqual([status, stdout], [1, ""]);
    assert.equal(stderr, `kilonet: ${path("missing.knet")}: no such file or folder\n`);
  });
});

suite("inspect --html", { concurrency: 2 }, () => {
  const name = "small-framed-metadata";
  const file = (): string => path(`${name}.knet`);
  const page = (options = {}): string => inspectHtml(accepted.find((vector) => vector.name === name)!.bytes, options);

  test("writes the page, to standard output where no file is named", async () => {
    const result = await resultOf("inspect", file(), "--html", path("page.html"));
    assert.deepEqual(result, { page: path("page.html"), bytes: Buffer.byteLength(page()) });
    assert.equal(readFileSync(path("page.html"), "utf8"), page());
    const { status, stdout, stderr } = await kilonet("inspect", file(), "--html", "--hex", "16");
    assert.deepEqual([status, stderr], [0, ""]);
    assert.equal(stdout, page({ hex: 16 }));
  });

  for (const [what, words, code, message] of [
    ["a page that would replace a network", [file(), "--html", file()], 2, /is no name for a page of HTML$/],
    ["JSON of a page", [file(), "--html", "--json"], 2, /--json needs a name/],
    ["a list of runs in a page", [file(), "--bytes", "--html"], 2, /choose one$/],
    ["--hex without a page", [file(), "--hex", "5"], 2, /--hex is for --html$/],
    ["a file that is none", [path("empty.knet"), "--html", path("other.html")], 1, /no such file or folder$/],
    ["a place that is none", [file(), "--html", path("no/page.html")], 1, /no such file or folder$/],
  ] as const) {
    test(`refuses ${what}`, async () => {
      const { status, stdout, stderr } = await kilonet("inspect", ...words);
      assert.deepEqual([status, stdout], [code, ""]);
      assert.match(stderr, /^kilonet: [^\n]+\n$/);
      assert.match(stderr.trimEnd(), message);
    });
  }
});
