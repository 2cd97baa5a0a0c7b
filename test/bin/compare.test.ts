import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { before, suite, test } from "node:test";
import { compareMethods } from "../../bin/node/index.ts";
import { readCheckpoint } from "../../models/index.ts";
import { jsonOf, kilonet, startKilonet, until, workplace, writeSmallData } from "./cli.ts";

const folder = workplace();
const path = (name: string): string => join(folder, name);
const data = ["--data", path("data"), "--effort", "0.05", "--threads", "1"];
const softmax = ["--model", "softmax", ...data];

before(() => writeSmallData(path("data")));

suite("kilonet compare", () => {
  test("a file: a line for each method, then all of it, and a picture with as many marks", async () => {
    const train = ["train", "--model", "softmax", "--data", path("data"), "--epochs", "2", "-o", path("trained.knet")];
    await jsonOf(...train, "--threads", "1");
    const methods = ["float32", "gzip", "chain", "lump"];
    const svg = path("methods.svg");
    const words = ["compare", path("trained.knet"), ...data, "--methods", methods.join(","), "--svg", svg];
    const [start, ...rows] = await jsonOf(...words);
    const result = rows.pop()!;
    assert.equal(start!.event, "start");
    assert.deepEqual(rows.map(({ event, method }) => [event, method]), methods.map((method) => ["row", method]));
    assert.deepEqual((result.rows as readonly object[]).map((row) => ({ event: "row", ...row })), rows);
    assert.deepEqual([result.measured, result.images, result.trainingSeconds], ["test", 60, null]);
    assert.deepEqual(rows.map(({ failed }) => failed), [false, false, false, true]);
    const drawn = readFileSync(svg, "utf8");
    assert.equal(drawn.match(/<circle [^>]* r="3"/g)?.length, 3, "a method that failed has no point");
    for (const method of methods.slice(0, 3)) assert.ok(drawn.includes(`>${method}</text>`), method);
    assert.ok(!existsSync(`${svg}.ckpt`), "a checkpoint that nobody asked for goes at the end");
  });

  test("a network that it trains, as a table: the reason of a failure below it", async () => {
    const words = ["compare", ...softmax, "--no-test", "--methods", "kmeans,lump", "--checkpoint", path("kept.ckpt")];
    const { status, stdout, stderr } = await kilonet(...words);
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^softmax on folder [^]*\n\ntrained in .*\n\nmethod +bytes +ratio +gzip +validation accuracy/);
    assert.match(stdout, /^kmeans +[\d,]+ +[\d.]+x +[\d,]+ +[\d.]+ % +[\d.]+ +\d+ of 7,850 +10$/m);
    assert.match(stdout, /^lump\nlump: lump: softmax has no hidden layer, whose units could be merged$/m);
    assert.ok(existsSync(path("kept.ckpt")), "a checkpoint that was asked for stays");
  });

  test("stopped by Ctrl-C and gone on, it keeps its rows", async () => {
    const checkpoint = path("stopped.ckpt");
    const words = ["compare", ...softmax, "--methods", "float32,squeeze", "--checkpoint", checkpoint, "--json"];
    const program = startKilonet([...words, "--effort", "50"]);
    await until("a row", () => program.stdout().includes('"row"'), program);
    program.process.kill("SIGINT");
    const { status, stdout, stderr } = await program.ended;
    const message = `${checkpoint} holds the training; the same command with --resume goes on`;
    assert.deepEqual([status, stderr], [130, `kilonet: interrupted: ${message}\n`]);
    const saved = readCheckpoint(readFileSync(checkpoint)).progress.rows;
    const [, row] = stdout.split("\n").map((line) => (line === "" ? {} : (JSON.parse(line) as object)));
    assert.deepEqual(row, { event: "row", ...(saved as readonly object[])[0] });
    const only = ["compare", ...softmax, "--effort", "50", "--checkpoint", checkpoint, "--resume"];
    const lines = await jsonOf(...only, "--methods", "float32,gzip");
    assert.deepEqual(lines.slice(0, -1).map(({ event }) => event), ["start", "row"]);
    assert.equal(lines[1]!.method, "gzip", "only what was not there is made");
    assert.deepEqual((lines.at(-1)!.rows as readonly object[])[0], (saved as readonly object[])[0]);
  });
});

suite("kilonet compare refuses", { concurrency: 2 }, () => {
  const known = compareMethods.map(({ name }) => name).join(", ");
  const none = `There is no "gtcc"; there are ${known}.`;
  const refusals: [what: string, args: string, code: number, message: string][] = [
    ["an unknown method", "--model softmax --methods chain,gtcc", 2, none],
    ["nothing to begin with", "--methods chain", 2, "needs a trained file, or a --model to train; one of the two"],
    ["a share above 1", "--model softmax --share 1.5", 2, "It must be a number above 0 and at most 1."],
    ["a share of another layer", "--model softmax --share fc9=0.5", 2, 'softmax has no layer "fc9" with weights'],
    ["no effort", "--model softmax --effort 0", 2, "It must be a number above 0."],
    ["a size of another method", "--model softmax --bytes chain=9", 2, 'train for a size, --bytes names "chain"'],
    ["nothing to go on from", "--model softmax --resume FILE/none.ckpt", 1, "none.ckpt: no such file or folder"],
  ];
  for (const [what, args, code, message] of refusals) {
    test(`${what}: ${args}`, async () => {
      const given = args.replaceAll("FILE", folder).split(" ");
      const { status, stdout, stderr } = await kilonet("compare", ...given, "--svg", path("never.svg"));
      assert.deepEqual([status, stdout], [code, ""], stderr);
      assert.match(stderr, /^kilonet: [^\n]+\n$/);
      assert.ok(stderr.includes(message), stderr);
      assert.ok(!existsSync(path("never.svg")) && !existsSync(path("never.svg.ckpt")), "nothing is written");
    });
  }
});
