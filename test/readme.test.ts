import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { after, suite, test } from "node:test";
import { Command } from "commander";
import { commands } from "../bin/commands/index.ts";

const readme = readFileSync("README.md", "utf8");
const folder = mkdtempSync(join(tmpdir(), "kilonet-readme-"));
after(() => rmSync(folder, { recursive: true, force: true }));

interface Block {
  readonly language: string;
  readonly text: string;
  /** Why the tests do not run it, if they do not: a comment above it says so. */
  readonly notRun: string | undefined;
}

const fence = /(?:<!-- not run: (.+?) -->\n\n)?```(\w+)\n(.*?)```/gs;
const blocks = [...readme.matchAll(fence)].map(([, notRun, language, text]) => ({ notRun, language, text }) as Block);
const programs = blocks.filter(({ language, notRun }) => language === "ts" && notRun === undefined);

/** Each door's source, as package.json leads to it once built. */
const { exports } = JSON.parse(readFileSync("package.json", "utf8")) as {
  readonly exports: Readonly<Record<string, { readonly default: string }>>;
};
const sourceOf = (door: string): string => {
  const target = exports[door.replace(/^kilonet/, ".")]!.default;
  return target.replace("./dist/", "./").replace(/\.js$/, ".ts");
};

function run(command: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: folder, encoding: "utf8", timeout: 200_000 });
  assert.equal(status, 0, `${stdout}${stderr}`);
  return stdout;
}

suite("the README", () => {
  test("has a program, a session and what the program prints", () => {
    assert.deepEqual(blocks.map(({ language }) => language), ["sh", "ts", "text", "sh"]);
    assert.deepEqual(blocks.map(({ notRun }) => notRun !== undefined), [true, false, false, false]);
  });

  test("its program is examples/train.ts, by the package's doors", () => {
    const example = readFileSync("examples/train.ts", "utf8");
    const doors = programs[0]!.text.replace(/from "(kilonet[^"]*)"/g, (_, door: string) => `from ".${sourceOf(door)}"`);
    assert.equal(example.slice(example.indexOf("import")), doors);
  });

  test("its program runs and prints what it says", () => {
    const [program] = programs;
    const path = join(folder, "program.mts");
    const toSource = (_: string, door: string): string => `from "${pathToFileURL(resolve(sourceOf(door))).href}"`;
    writeFileSync(path, program!.text.replace(/from "(kilonet[^"]*)"/g, toSource));
    const printed = run(process.execPath, "--import", import.meta.resolve("tsx"), path);
    assert.equal(printed, blocks[blocks.indexOf(program!) + 1]!.text);
  });

  test("its session runs, line by line", () => {
    const session = blocks.find(({ language, notRun }) => language === "sh" && notRun === undefined)!;
    const launcher = `"${process.execPath}" "${resolve("bin/kilonet.js")}"`;
    const printed = run("sh", "-e", "-c", session.text.replaceAll("npx kilonet", launcher));
    const { accuracy, bytes, codec } = JSON.parse(printed.trimEnd().split("\n").at(-1)!) as Record<string, unknown>;
    assert.ok((accuracy as number) > 0.9, `accuracy ${String(accuracy)}`);
    assert.ok((bytes as number) < 25000, `${String(bytes)} bytes`);
    assert.match(codec as string, /codebook/);
  });

  test("its links lead somewhere", () => {
    const links = [...readme.matchAll(/\]\(([^)]+)\)/g)].map(([, link]) => link!);
    assert.ok(links.length > 10);
    for (const link of links) assert.ok(existsSync(join(dirname("README.md"), link)), link);
  });

  test("its table has a command that can be given behind each row", () => {
    const rows = readme.split("\n").filter((line) => /^\|.*\d %.*\|$/.test(line));
    assert.ok(rows.length > 0);
    const program = new Command();
    for (const register of commands) register(program);
    for (const row of rows) {
      const [said, ...words] = /`(npm|npx kilonet) ([^`]+)`[^|]*\|$/.exec(row)![2]!.split(" ");
      const command = program.commands.find((candidate) => candidate.name() === said);
      assert.ok(command !== undefined, row);
      assert.deepEqual(command.parseOptions(words).unknown, [], row);
    }
  });
});
