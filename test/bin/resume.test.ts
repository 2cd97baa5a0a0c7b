import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, suite, test } from "node:test";
import { readCheckpoint } from "../../models/index.ts";
import { contentsOf, resultOf, type Started, startKilonet, until, workplace, writeSmallData } from "./cli.ts";

suite("a training that is stopped and resumed ends as one that was not", () => {
  const folder = workplace();
  const data = join(folder, "data");
  const path = (name: string): string => join(folder, name);
  // 20 steps an epoch: 1,000 steps, and as many checkpoints as there are third steps.
  const words = (name: string): string[] => [
    "train", "--model", "softmax", "--data", data, "--epochs", "100", "--batch", "20", "--checkpoint-every", "3",
    "--average", "0.9", "--metrics", path(`${name}.jsonl`), "-o", path(`${name}.knet`), "--threads", "1",
  ];
  const recordsOf = (name: string): unknown[] =>
    readFileSync(path(`${name}.jsonl`), "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => ({ ...(JSON.parse(line) as object), seconds: 0 }));
  /** Steps done, by the checkpoint; 0 while there is none. */
  const savedStep = (name: string): number => {
    const file = path(`${name}.knet.ckpt`);
    return existsSync(file) ? (readCheckpoint(readFileSync(file)).progress.step as number) : 0;
  };
  const newCheckpoint = (name: string, program: Started): Promise<void> => {
    const step = savedStep(name);
    return until("a new checkpoint", () => savedStep(name) > step, program);
  };
  let whole: Record<string, unknown>;

  before(async () => {
    writeSmallData(data);
    whole = await resultOf(...words("whole"));
    assert.equal(whole.steps, 1000);
  });

  function sameAs(result: Record<string, unknown>, name: string): void {
    assert.equal(result.sha256, whole.sha256);
    assert.equal(result.accuracy, whole.accuracy);
    assert.deepEqual(recordsOf(name), recordsOf("whole"), "every epoch once, and with the same figures");
    assert.ok(!existsSync(path(`${name}.knet.ckpt`)), "a checkpoint that nobody asked for goes at the end");
  }

  test("by Ctrl-C, which npm passes on a second time", async () => {
    const program = startKilonet([...words("interrupted"), "--json"]);
    await newCheckpoint("interrupted", program);
    program.process.kill("SIGINT");
    // Two signals at once would arrive as one.
    await new Promise((resolve) => setTimeout(resolve, 3));
    program.process.kill("SIGINT");
    const { status, stderr } = await program.ended;
    const checkpoint = path("interrupted.knet.ckpt");
    const message = `kilonet: interrupted: ${checkpoint} holds the training; the same command with --resume goes on\n`;
    assert.deepEqual([status, stderr], [130, message]);
    const step = savedStep("interrupted");
    assert.ok(step > 0 && step < 1000, `stopped after ${step} steps`);
    assert.ok(!existsSync(path("interrupted.knet")));
    sameAs(await resultOf(...words("interrupted"), "--resume"), "interrupted");
  });

  test("by SIGTERM, from a checkpoint of another name, and the message says which", async () => {
    const checkpoint = path("kept.ckpt");
    const named = [...words("ended"), "--checkpoint", checkpoint];
    const first = startKilonet([...named, "--json"]);
    await until("a checkpoint", () => existsSync(checkpoint), first);
    first.process.kill("SIGTERM");
    assert.equal((await first.ended).status, 130);
    const second = startKilonet([...named, "--resume", checkpoint, "--json"]);
    await until("training begins", () => second.stdout().includes('"epoch"'), second);
    second.process.kill("SIGTERM");
    const { status, stderr } = await second.ended;
    assert.equal(status, 130);
    assert.ok(stderr.endsWith(`the same command with --resume ${checkpoint} goes on\n`), stderr);
    const result = await resultOf(...named, "--resume", checkpoint);
    assert.equal(result.sha256, whole.sha256);
    assert.ok(existsSync(checkpoint), "a checkpoint that was asked for stays");
  });

  test("by SIGKILL, three times, at any moment", async () => {
    const delays = [randomInt(30), randomInt(30), randomInt(30)];
    for (const [i, delay] of delays.entries()) {
      const program = startKilonet([...words("killed"), ...(i > 0 ? ["--resume"] : []), "--json"]);
      await newCheckpoint("killed", program);
      await new Promise((resolve) => setTimeout(resolve, delay));
      program.process.kill("SIGKILL");
      const { signal } = await program.ended;
      assert.equal(signal, "SIGKILL", `ended before it was killed (waited ${delays.join(", ")} ms)`);
      // What is there can be read: this throws for a checkpoint that was cut short.
      assert.ok(savedStep("killed") > 0);
    }
    // What a program leaves behind that is killed while it writes.
    writeFileSync(path(".killed.knet.ckpt.4000000-0.kilonet-part"), "half");
    sameAs(await resultOf(...words("killed"), "--resume"), "killed");
    assert.deepEqual(readdirSync(folder).filter((name) => name.endsWith(".kilonet-part")), []);
  });
});

test("a command that writes at its end alone writes nothing when it is interrupted", async () => {
  const folder = workplace();
  const path = (name: string): string => join(folder, name);
  writeSmallData(path("data"));
  await resultOf("train", "--model", "softmax", "--data", path("data"), "--epochs", "1", "-o", path("trained.knet"));
  writeFileSync(path("small.knet"), "an earlier file");
  const before = contentsOf(folder);
  const words = ["--data", path("data"), "--epochs", "5000", "-o", path("small.knet")];
  const program = startKilonet(["compress", path("trained.knet"), ...words, "--json"]);
  await until("the job has begun", () => program.stdout().includes('"start"'), program);
  program.process.kill("SIGINT");
  const { status, stderr } = await program.ended;
  assert.deepEqual([status, stderr], [130, "kilonet: interrupted: nothing was written\n"]);
  assert.deepEqual(contentsOf(folder), before);
});
