import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { checkWritable, writeFileSafely } from "../../../bin/node/index.ts";
import { workplace } from "../cli.ts";

const folder = workplace();
const path = (name: string): string => join(folder, name);

suite("writing safely", () => {
  test("writes, writes over, and leaves nothing else behind", async () => {
    await writeFileSafely(path("a"), "one");
    await writeFileSafely(path("a"), Uint8Array.of(116, 119, 111));
    assert.equal(readFileSync(path("a"), "utf8"), "two");
    assert.deepEqual(readdirSync(folder), ["a"]);
  });

  test("two at once do not mix", async () => {
    const texts = ["x", "y"].map((letter) => letter.repeat(1e6));
    await Promise.all(texts.map((text) => writeFileSafely(path("both"), text)));
    assert.ok(texts.includes(readFileSync(path("both"), "utf8")));
  });

  test("a link stays a link: what it leads to is written", async () => {
    writeFileSync(path("target"), "before");
    symlinkSync("target", path("link"));
    await writeFileSafely(path("link"), "after");
    assert.equal(readlinkSync(path("link")), "target");
    assert.equal(readFileSync(path("target"), "utf8"), "after");
  });

  test("refuses what is no file, under the name that was asked for", async () => {
    mkdirSync(path("inner"));
    for (const action of [checkWritable, (name: string) => writeFileSafely(name, "text")]) {
      await assert.rejects(action(path("inner")), { code: "EISDIR", path: path("inner") });
      await assert.rejects(action(path("no/a")), { code: "ENOENT", path: path("no/a") });
      await assert.rejects(action(path("a/b")), { code: "ENOTDIR", path: path("a/b") });
    }
  });

  test("checking leaves everything as it was, but for what killed programs left of this file", async () => {
    const remains = ".a.4000000-0.kilonet-part";
    const others = [`.a.${process.pid}-900.kilonet-part`, ".b.4000000-0.kilonet-part", ".a.kilonet-part"];
    for (const name of [remains, ...others]) writeFileSync(path(name), "half");
    const before = readdirSync(folder);
    await checkWritable(path("a"));
    assert.deepEqual(readdirSync(folder), before.filter((name) => name !== remains));
    assert.equal(readFileSync(path("a"), "utf8"), "two");
  });
});
