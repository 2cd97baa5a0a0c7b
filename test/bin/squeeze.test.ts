import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, suite, test } from "node:test";
import { unpack } from "../../codecs/index.ts";
import { readCheckpoint } from "../../models/index.ts";
import { kilonet, resultOf, startKilonet, until, workplace, writeSmallData } from "./cli.ts";

const folder = workplace();
const path = (name: string): string => join(folder, name);

/** A run that is over in a second: a few units of LeNet-5, and a checkpoint at every look. */
const words = (name: string): string[] => [
  ...["squeeze", "--model", "lenet5", "--live", "2-3-4", "--bytes", "160", "--data", path("data"), "--batch", "20"],
  ...["--pretraining", "300", "--training", "400", "--checkpoint-every", "0", "--threads", "1", "-o", path(name)],
];

/** What sort of training a checkpoint holds: pretraining is a `fit`. */
function savedKind(checkpoint: string): string | null {
  return existsSync(checkpoint) ? readCheckpoint(readFileSync(checkpoint)).kind : null;
}

suite("kilonet squeeze", () => {
  let whole: Record<string, unknown>;
  let bytes: Buffer;

  before(async () => {
    writeSmallData(path("data"));
    whole = await resultOf(...words("whole.knet"), "--checkpoint", path("kept.ckpt"));
    bytes = readFileSync(path("whole.knet"));
  });

  test("writes a file within two bytes below the size asked for, which other commands read", async () => {
    assert.ok(bytes.length <= 160 && bytes.length >= 158, `${bytes.length} bytes`);
    assert.equal(whole.bytes, bytes.length);
    assert.deepEqual(unpack(bytes).sections.map(({ coded }) => coded.method), ["levels"]);
    assert.equal(savedKind(path("kept.ckpt")), "squeeze", "a checkpoint that was asked for stays");
    const measured = await resultOf("evaluate", path("whole.knet"), "--data", path("data"));
    assert.equal(measured.accuracy, whole.accuracy);
  });

  test("goes on after Ctrl-C, in pretraining and again later, to the same bytes", async () => {
    const output = path("stopped.knet");
    const checkpoint = `${output}.ckpt`;
    for (const [kind, ...resume] of [["fit"], ["squeeze", "--resume"]]) {
      const program = startKilonet([...words("stopped.knet"), ...resume, "--json"]);
      await until(`a checkpoint of kind ${kind}`, () => savedKind(checkpoint) === kind, program);
      program.process.kill("SIGINT");
      const { status, stderr } = await program.ended;
      const message = `${checkpoint} holds the training; the same command with --resume goes on`;
      assert.deepEqual([status, stderr], [130, `kilonet: interrupted: ${message}\n`]);
      assert.equal(savedKind(checkpoint), kind);
      assert.ok(!existsSync(output));
    }
    const result = await resultOf(...words("stopped.knet"), "--resume");
    assert.deepEqual(readFileSync(output), bytes);
    assert.deepEqual([result.sha256, result.accuracy], [whole.sha256, whole.accuracy]);
    assert.ok(!existsSync(checkpoint), "a checkpoint that nobody asked for goes at the end");
  });

  test("goes on after SIGKILL, at any moment, to the same bytes", async () => {
    const output = path("killed.knet");
    const program = startKilonet([...words("killed.knet"), "--json"]);
    await until("a checkpoint", () => existsSync(`${output}.ckpt`), program);
    const delay = randomInt(200);
    await new Promise((resolve) => setTimeout(resolve, delay));
    program.process.kill("SIGKILL");
    assert.equal((await program.ended).signal, "SIGKILL", `ended before ${delay} ms`);
    const kind = savedKind(`${output}.ckpt`);
    await resultOf(...words("killed.knet"), "--resume");
    assert.deepEqual(readFileSync(output), bytes, `killed after ${delay} ms, with a checkpoint of kind ${kind}`);
  });

  test("refines a training that is over, from its checkpoint, and keeps to the size", async () => {
    const resume = ["--checkpoint", path("kept.ckpt"), "--resume"];
    const result = await resultOf(...words("refined.knet"), ...resume, "--refine", "1", "--no-test");
    const refined = readFileSync(path("refined.knet"));
    assert.equal(result.bytes, refined.length);
    assert.ok(refined.length <= 160, `${refined.length} bytes`);
    assert.notDeepEqual(refined, bytes);
  });

  test("goes on from no other run's checkpoint, and from none that was cut short", async () => {
    writeFileSync(path("cut.ckpt"), readFileSync(path("kept.ckpt")).subarray(0, -1));
    const refused = async (message: RegExp, ...args: string[]): Promise<void> => {
      const { status, stderr } = await kilonet(...words("other.knet"), ...args, "--json");
      assert.equal(status, 1, stderr);
      assert.match(stderr, message);
    };
    await refused(/cut.ckpt: checkpoint: cut short or damaged/, "--resume", path("cut.ckpt"));
    await refused(/made with another seed: it has 1, now it is 2/, "--resume", path("kept.ckpt"), "--seed", "2");
    await refused(/another bytes: it has 160, now it is 170/, "--resume", path("kept.ckpt"), "--bytes", "170");
  });
});

suite("kilonet squeeze refuses", { concurrency: 2 }, () => {
  const output = path("never.knet");
  before(() => writeFileSync(path("text.ckpt"), "These are words.\n"));

  const refusals: [what: string, args: string, code: number, message: RegExp][] = [
    ["no training", "--bytes 100 --training 0", 2, /--training.*It must be a whole number from 1/],
    ["a budget that holds no head", "--bytes 12", 1, /a file of softmax needs \d+ bytes, got a budget of 12/],
    ["levels without distance", "--bytes 100 --step 0", 2, /--step.*It must be a number above 0/],
    ["half a round", "--bytes 100 --refine 0.5", 2, /--refine.*It must be a whole number from 0 to 1000/],
    ["originals without copies", "--bytes 100 --original 0.5", 2, /--original belongs to --augment, which is missing/],
    ["live counts of another network", "--bytes 100 --live 2-3", 1, /live/],
    ["a checkpoint that is not there", "--bytes 100 --resume FILE/none.ckpt", 1, /none.ckpt: no such file/],
    ["a checkpoint that is none", "--bytes 100 --resume FILE/text.ckpt", 1, /text.ckpt: .*these bytes are no/],
  ];
  for (const [what, args, code, message] of refusals) {
    test(`${what}: ${args}`, async () => {
      const given = args.replaceAll("FILE", folder).split(" ");
      const own = ["--model", "softmax", "--data", path("data"), "-o", output];
      const { status, stderr } = await kilonet("squeeze", ...own, ...given);
      assert.equal(status, code, stderr);
      assert.match(stderr, /^kilonet: [^\n]+\n$/);
      assert.match(stderr, message);
      assert.ok(!existsSync(output) && !existsSync(`${output}.ckpt`));
    });
  }
});
