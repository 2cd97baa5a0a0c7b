import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { loadNetwork, metadataOf } from "../../bin/node/index.ts";
import { kilonet, resultOf, startKilonet, until, workplace, writeSmallData } from "./cli.ts";

suite("training on copies and from teachers", () => {
  const folder = workplace();
  const path = (name: string): string => join(folder, name);
  const words = (name: string, ...more: string[]): string[] => [
    "train", "--model", "softmax", "--data", path("data"), "--batch", "20", "--threads", "1", "-o", path(name), ...more,
  ];

  test("stopped and resumed it ends as one that was not, and the file says how it was trained", async () => {
    writeSmallData(path("data"));
    const teacher = await resultOf(...words("teacher.knet", "--epochs", "3"));
    const settings = ["--augment", "2", "--original", "0.4", "--teacher", path("teacher.knet"), "--distill", "0.5"];
    const learn = (name: string): string[] =>
      words(name, "--epochs", "100", "--checkpoint-every", "20", "--temperature", "3", ...settings);
    const whole = await resultOf(...learn("whole.knet"));
    assert.equal(whole.steps, 1000);
    const { file } = await loadNetwork(path("whole.knet"));
    assert.equal(metadataOf(file, "augment"), "2");
    assert.equal(metadataOf(file, "teacher"), teacher.sha256);

    const program = startKilonet([...learn("stopped.knet"), "--json"]);
    await until("a checkpoint", () => existsSync(path("stopped.knet.ckpt")), program);
    program.process.kill("SIGKILL");
    assert.equal((await program.ended).signal, "SIGKILL");
    const other = await kilonet(...learn("stopped.knet"), "--resume", "--original", "0.5");
    assert.equal(other.status, 1);
    assert.match(other.stderr, /^kilonet: .*another original of augmentation: it has 0.4, now it is 0.5$/m);
    assert.equal((await resultOf(...learn("stopped.knet"), "--resume")).sha256, whole.sha256);
  });

  test("options without the one that they belong to are wrong use", async () => {
    const refuses = async (message: RegExp, ...more: string[]): Promise<void> => {
      const { status, stderr } = await kilonet(...words("never.knet", ...more));
      assert.match(stderr, message);
      assert.equal(status, 2);
      assert.ok(!existsSync(path("never.knet")));
    };
    await Promise.all([
      refuses(/--original belongs to --augment/, "--original", "0.5"),
      refuses(/--temperature and --distill belong to --teacher/, "--distill", "0.5"),
    ]);
  });
});
