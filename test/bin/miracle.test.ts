import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, suite, test } from "node:test";
import { unpack } from "../../codecs/index.ts";
import { kilonet, resultOf, startKilonet, until, workplace, writeSmallData } from "./cli.ts";
import { killOften, savedSteps, shortMiracle } from "./miracleRuns.ts";

const folder = workplace();
const path = (name: string): string => join(folder, name);
const words = (name: string): string[] => shortMiracle({ data: path("data"), output: path(name) });

suite("kilonet miracle", () => {
  let whole: Record<string, unknown>;
  let bytes: Buffer;

  before(async () => {
    writeSmallData(path("data"));
    whole = await resultOf(...words("whole.knet"), "--checkpoint", path("kept.ckpt"));
    bytes = readFileSync(path("whole.knet"));
  });

  test("writes a file of the size asked for, which the other commands read", async () => {
    assert.ok(bytes.length <= 160 && bytes.length > 156, `${bytes.length} bytes`);
    assert.equal(whole.bytes, bytes.length);
    assert.deepEqual(unpack(bytes).sections.map(({ coded }) => coded.method), ["miracle"]);
    assert.ok(existsSync(path("kept.ckpt")), "a checkpoint that was asked for stays");
    const measured = await resultOf("evaluate", path("whole.knet"), "--data", path("data"));
    assert.equal(measured.accuracy, whole.accuracy);
  });

  test("goes on after Ctrl-C to the same bytes", async () => {
    const output = path("stopped.knet");
    const program = startKilonet([...words("stopped.knet"), "--json"]);
    await until("a checkpoint", () => existsSync(`${output}.ckpt`), program);
    program.process.kill("SIGINT");
    const { status, stderr } = await program.ended;
    const message = `${output}.ckpt holds the training; the same command with --resume goes on`;
    assert.deepEqual([status, stderr], [130, `kilonet: interrupted: ${message}\n`]);
    assert.ok(!existsSync(output));
    const steps = savedSteps(`${output}.ckpt`);
    const result = await resultOf(...words("stopped.knet"), "--resume");
    assert.deepEqual(readFileSync(output), bytes, `stopped after ${steps} steps`);
    assert.deepEqual([result.sha256, result.accuracy], [whole.sha256, whole.accuracy]);
  });

  test("goes on after SIGKILL, three times, at any moment, to the same bytes", async () => {
    const killed = { words: words("killed.knet"), output: path("killed.knet") };
    await killOften(killed, Array.from({ length: 3 }, () => randomInt(60)));
    assert.deepEqual(readFileSync(killed.output), bytes);
    assert.ok(!existsSync(`${killed.output}.ckpt`), "a checkpoint that nobody asked for goes at the end");
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
  });
});

suite("kilonet miracle refuses", { concurrency: 2 }, () => {
  const output = path("never.knet");
  before(() => writeFileSync(path("text.ckpt"), "These are words.\n"));

  const refusals: [what: string, args: string, code: number, message: RegExp][] = [
    ["too few bits", "--bytes 100 --bits 3", 2, /--bits.*It must be a whole number from 4 to 20/],
    ["a budget that holds no head", "--bytes 12", 1, /a file of softmax needs \d+ bytes at least, got a budget of 12/],
    ["an unknown choice", "--bytes 100 --choice best", 2, /Allowed choices are maximum, sampling, loss/],
    ["hashes without groups", "--bytes 100 --hashed", 2, /--hashed belongs to --group, which is missing/],
    ["a group of another layer", "--bytes 100 --group fc7=2", 2, /softmax has no layer "fc7"/],
    ["a group larger than its tensor", "--bytes 100 --group 7841", 1, /from 1 to 7840 weights, got 7841/],
    ["live counts that are none", "--bytes 100 --live 2--3", 2, /Write a count from 1 up/],
    ["a search for nothing", "--bytes 100 --searching 90", 2, /--searching belongs to --live auto, which is/],
    ["bits of weights that are known", "--bytes 99 --bits-per-weight 2", 2, /--bits-per-weight belongs to --live auto/],
    ["groups of weights to be learned", "--bytes 100 --live auto --group 2", 2, /--live auto learns which weights/],
    ["no hidden units to learn", "--bytes 400 --live auto", 1, /softmax has no hidden units/],
    ["judges without a trial", "--bytes 100 --judges 9", 2, /--judges belongs to --choice loss, which is missing/],
    ["more samples than a block has", "--bytes 99 --bits 4 --choice loss --among 17", 1, /from 1 to 16, got 17/],
    ["a trial by density", "--bytes 99 --choice loss --weighing density", 2, /judges the samples of largest/],
    ["prices of what is fixed", "--bytes 100 --mean-kl --price-rule sign", 2, /--price-rule has no meaning/],
    ["a price that doubles", "--bytes 100 --price-rate 2", 2, /--price-rate.*above 0 and below 1/],
    ["a batch that cannot be shared", "--bytes 100 --batch 30 --samples 4", 1, /cannot be shared by 4 samples/],
    ["originals without copies", "--bytes 100 --original 0.5", 2, /--original belongs to --augment, which is missing/],
    ["a checkpoint that is not there", "--bytes 100 --resume FILE/none.ckpt", 1, /none.ckpt: no such file/],
    ["a checkpoint that is none", "--bytes 100 --resume FILE/text.ckpt", 1, /text.ckpt: .*these bytes are no/],
  ];
  for (const [what, args, code, message] of refusals) {
    test(`${what}: ${args}`, async () => {
      const given = args.replaceAll("FILE", folder).split(" ");
      const own = ["--model", "softmax", "--data", path("data"), "-o", output];
      const { status, stderr } = await kilonet("miracle", ...own, ...given);
      assert.equal(status, code, stderr);
      assert.match(stderr, /^kilonet: [^\n]+\n$/);
      assert.match(stderr, message);
      assert.ok(!existsSync(output) && !existsSync(`${output}.ckpt`));
    });
  }
});
