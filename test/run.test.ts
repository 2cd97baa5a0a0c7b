import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { test } from "node:test";

const passing = 'import { test } from "node:test"; test("fine", () => {});';

/** Runs test/run.ts over a project that holds these test files. */
function runTests(files: Readonly<Record<string, string>>, { executed = 1, args = [] as readonly string[] } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "kilonet-run-"));
  try {
    for (const [name, text] of Object.entries({ ...files, "expected.json": JSON.stringify({ executed }) })) {
      const path = join(folder, "test", name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text);
    }
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
    // This test runs in a process of node:test itself, which the new one must not take itself for.
    const env = { ...process.env };
    delete env.NODE_TEST_CONTEXT;
    const run = ["--import", import.meta.resolve("tsx"), resolve("test/run.ts"), ...args];
    const { status, stdout, stderr } = spawnSync(process.execPath, run, { cwd: folder, env, encoding: "utf8" });
    return { status, text: stdout + stderr };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test("passing tests pass, and are counted; test/slow and test/browser are left out", () => {
  const { status, text } = runTests({
    "a.test.ts": passing,
    "deep/b.test.ts": passing,
    "slow/c.test.ts": passing,
    "browser/d.test.ts": passing,
  });
  assert.equal(status, 0, text);
  assert.match(text, /^2 executed, 0 skipped, in 2 files$/m);
});

test("a test that fails fails the run", () => {
  const failing = 'import { test } from "node:test"; test("wrong", () => { throw new Error("wrong"); });';
  const { status, text } = runTests({ "a.test.ts": passing, "b.test.ts": failing });
  assert.equal(status, 1, text);
  assert.match(text, /^2 executed, 0 skipped, in 2 files$/m);
});

test("so does a file that throws before its first test", () => {
  assert.equal(runTests({ "a.test.ts": passing, "b.test.ts": 'throw new Error("early");' }).status, 1);
});

test("what looks like tests and tests nothing fails the run", () => {
  const { status, text } = runTests({
    "a.test.ts": passing,
    "empty.test.ts": "export {};",
    "leaves.test.ts": `process.exit(0); ${passing}`,
    "suite.test.ts": 'import { suite } from "node:test"; suite("hollow", () => {});',
    "skip.test.ts": 'import { test } from "node:test"; test.skip("silent", () => {});',
    "later.test.ts": 'import { test } from "node:test"; test.todo("later");',
  });
  assert.equal(status, 1, text);
  assert.match(text, /^fault: .*empty\.test\.ts: ran no test$/m);
  assert.match(text, /^fault: .*leaves\.test\.ts: ran no test$/m);
  assert.match(text, /^fault: hollow: a suite without a test$/m);
  assert.match(text, /^fault: silent: skipped without a reason$/m);
  assert.match(text, /^fault: later: a test to be written is no test$/m);
  assert.match(text, /^1 executed, 0 skipped, in 6 files$/m);
});

test("fewer tests than expected fail the run, and skipped ones do not count", () => {
  const skipping = 'import { test } from "node:test"; test("s", { skip: "no data here" }, () => {});';
  const files = { "a.test.ts": passing, "b.test.ts": skipping };
  assert.equal(runTests(files, { executed: 1 }).status, 0);
  const { status, text } = runTests(files, { executed: 2 });
  assert.equal(status, 1, text);
  assert.match(text, /^skipped: s: no data here$/m);
  assert.match(text, /^fault: 1 tests executed, test\/expected\.json expects at least 2$/m);
});

test("an argument chooses files, slow ones too, and then no number is expected", () => {
  const files = { "a.test.ts": passing, "slow/c.test.ts": passing };
  const { status, text } = runTests(files, { executed: 100, args: ["slow/c"] });
  assert.equal(status, 0, text);
  assert.match(text, /^1 executed, 0 skipped, in 1 files$/m);
});

test("an argument that chooses nothing is an error", () => {
  assert.equal(runTests({ "a.test.ts": passing }, { args: ["b"] }).status, 2);
});
