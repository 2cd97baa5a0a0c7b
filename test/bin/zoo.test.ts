import assert from "node:assert/strict";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { createRuntime } from "../../lib/index.ts";
import { glyphs, sha256, take } from "../../models/index.ts";
import { readZoo, verifyZooEntry, type ZooEntry, zooFolder } from "../../bin/node/index.ts";
import { resultOf, startKilonet, workplace } from "./cli.ts";

const entries = await readZoo();

suite("kilonet zoo", () => {
  const folder = workplace();

  test("list: every file of the manifest, as the manifest says", async () => {
    const result = await resultOf("zoo", "list");
    assert.deepEqual(result.files, JSON.parse(readFileSync(join(zooFolder(), "manifest.json"), "utf8")));
    assert.ok(entries.length > 0);
    const { stdout } = await startKilonet(["zoo", "list"]).ended;
    for (const { file } of entries) assert.ok(stdout.includes(file), stdout);
  });

  /** The lines of `zoo verify --json`, with the images of MNIST at this place. */
  async function verified(env: NodeJS.ProcessEnv): Promise<Record<string, unknown>[]> {
    const { status, stdout, stderr } = await startKilonet(["zoo", "verify", "--threads", "1", "--json"], { env }).ended;
    assert.deepEqual([status, stderr], [0, ""], stdout);
    return stdout.trimEnd().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  test("verify: without images files are decoded, and that they are not measured is said", async () => {
    const nowhere = { KILONET_DATA: folder, HOME: folder, XDG_CACHE_HOME: folder, LOCALAPPDATA: folder };
    const [note, ...lines] = await verified(nowhere);
    assert.match(note!.note as string, /files are decoded, but not measured/);
    assert.deepEqual(lines.pop(), { files: entries.length, measured: false });
    const expected = entries.map(({ file, bytes }) => ({ event: "file", file, bytes, errors: null, problem: null }));
    assert.deepEqual(lines, expected);
  });

  const skip = process.env.KILONET_DATA ? false : "KILONET_DATA is not set";
  test("verify: with images every file has the errors of the manifest", { skip }, async () => {
    const lines = await verified({});
    assert.deepEqual(lines.pop(), { files: entries.length, measured: true });
    assert.deepEqual(lines.map(({ errors }) => errors), entries.map(({ errors }) => errors));
  });
});

suite("verifyZooEntry reports", () => {
  const folder = workplace();
  const [entry] = entries as [ZooEntry];
  const good = new Uint8Array(readFileSync(join(zooFolder(), entry.file)));
  /** What is found of a file of these bytes, by a manifest that says this of it. */
  const problemOf = async (bytes: Uint8Array, change: Partial<ZooEntry> = {}): Promise<string | null> => {
    writeFileSync(join(folder, entry.file), bytes);
    return (await verifyZooEntry({ ...entry, ...change }, { folder })).problem;
  };

  test("nothing, of a file as it was", async () => assert.equal(await problemOf(good), null));

  test("a file with a changed bit, wherever that is", async () => {
    for (let at = 0; at < good.length; at += 37) {
      const changed = good.slice();
      changed[at]! ^= 1 << (at % 8);
      assert.match((await problemOf(changed))!, /^has the SHA-256 [0-9a-f]{64}, the manifest says/);
      // A manifest that was changed with the file does not help: the file's own checksum is wrong.
      await assert.rejects(problemOf(changed, { sha256: sha256(changed) }), { name: "FormatError" });
    }
  });

  test("a file that was cut short", async () => {
    const message = `has ${good.length - 1} bytes, the manifest says ${good.length}`;
    assert.equal(await problemOf(good.subarray(0, -1)), message);
  });

  test("a manifest that speaks of another network", async () => {
    const message = `holds ${entry.network}, the manifest says perceptron`;
    assert.equal(await problemOf(good, { network: "perceptron" }), message);
  });

  test("other errors than the manifest's", async () => {
    const runtime = await createRuntime({ threads: 1 });
    const test = take(glyphs({ count: 50, seed: 1 }), 0, 50);
    const { errors } = await verifyZooEntry({ ...entry, errors: -1 }, { runtime, test });
    assert.ok(errors !== null && errors >= 0 && errors <= 50);
    const same = await verifyZooEntry({ ...entry, errors }, { runtime, test });
    assert.equal(same.problem, null);
    const other = await verifyZooEntry({ ...entry, errors: errors + 1 }, { runtime, test });
    assert.equal(other.problem, `has ${errors} errors, the manifest says ${errors + 1}`);
    await runtime.close();
  });

  test("a manifest that is read from the folder it is in", async () => {
    copyFileSync(join(zooFolder(), "manifest.json"), join(folder, "manifest.json"));
    assert.deepEqual(await readZoo(folder), entries);
    writeFileSync(join(folder, "manifest.json"), "[");
    await assert.rejects(readZoo(folder), SyntaxError);
  });
});
