import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { Command, CommanderError } from "commander";
import { commands } from "../../bin/commands/index.ts";
import { exitCode, explain, Interrupted, UsageError } from "../../bin/errors.ts";
import { ShapeError } from "../../lib/errors.ts";

function kilonet(...args: string[]) {
  return spawnSync(process.execPath, ["bin/kilonet.js", ...args], { encoding: "utf8" });
}

test("--version prints the version of the package", () => {
  const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
  const { status, stdout } = kilonet("--version");
  assert.deepEqual([status, stdout], [0, `${version}\n`]);
});

test("--help prints how to use it, and is no error", () => {
  const { status, stdout, stderr } = kilonet("--help");
  assert.deepEqual([status, stderr], [0, ""]);
  assert.match(stdout, /^Usage: kilonet /);
});

test("every command has --json, a seed where it draws, and help that ends with an example of it", () => {
  const program = new Command("kilonet");
  for (const register of commands) register(program);
  /** Those that do something: of `zoo`, what comes after it. */
  const leaves = program.commands.flatMap((command) => (command.commands.length > 0 ? command.commands : [command]));
  const seeded = leaves.filter(({ options }) => options.some(({ long }) => long === "--seed"));
  assert.deepEqual(
    seeded.map((command) => command.name()),
    ["start", "train", "prune", "quantize", "compress", "miracle", "squeeze", "compare"],
  );
  for (const command of leaves) {
    const group = command.parent === program ? [] : [command.parent!.name()];
    const name = [...group, command.name()].join(" ");
    assert.ok(command.options.some(({ long }) => long === "--json"), name);
    let help = "";
    command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
    const examples = /\nExample:\n((?: {2}\$ .+\n)+)$/.exec(help)?.[1]!.trimEnd().split("\n") ?? [];
    assert.ok(examples.length > 0, help);
    for (const example of examples) {
      const [, ...all] = example.replace(/^ {2}\$ /, "").split(" ");
      const words = all.slice(group.length + 1);
      assert.equal(all.slice(0, group.length + 1).join(" "), name);
      assert.deepEqual(command.parseOptions(words).unknown, [], example);
    }
  }
});

test("a mistake gives one line, exit code 2 and nothing on standard output", () => {
  const { status, stdout, stderr } = kilonet("--nonsense");
  assert.deepEqual([status, stdout, stderr], [2, "", "kilonet: unknown option '--nonsense'\n"]);
});

test("--debug shows where an error comes from", () => {
  assert.match(kilonet("--debug", "--nonsense").stderr, /\n {4}at /);
});

test("the exit code tells failure, wrong use and interruption apart", () => {
  assert.equal(exitCode(new ShapeError("a")), 1);
  assert.equal(exitCode("a"), 1);
  assert.equal(exitCode(new UsageError("a")), 2);
  assert.equal(exitCode(new CommanderError(1, "commander.unknownOption", "a")), 2);
  assert.equal(exitCode(new CommanderError(1, "commander.help", "a")), 2);
  assert.equal(exitCode(new CommanderError(0, "commander.helpDisplayed", "a")), 0);
  assert.equal(exitCode(new Interrupted("a")), 130);
});

test("an error is explained in one line", () => {
  assert.equal(explain(new ShapeError("inner sizes differ:\n  8 and 9\n")), "inner sizes differ: 8 and 9");
  assert.equal(explain(new TypeError("a is undefined")), "internal error: a is undefined (--debug shows where)");
  assert.equal(explain("a"), "a");
});

test("a full disk is told in words", () => {
  const full = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC", path: "a.knet" });
  assert.equal(explain(full), "a.knet: no space left on the disk");
});

test("errors of the system are told in words, with the path", () => {
  assert.equal(explain(caught(() => readFileSync("no/such"))), "no/such: no such file or folder");
  assert.equal(explain(caught(() => readFileSync("lib"))), "is a folder, a file was expected");
  assert.equal(explain(caught(() => writeFileSync("LICENSE/a", ""))), "LICENSE/a: a part of the path is not a folder");
});

function caught(action: () => void): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new assert.AssertionError({ message: "nothing was thrown" });
}
