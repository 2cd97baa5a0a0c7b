import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, suite, test } from "node:test";
import { gzipSync } from "node:zlib";
import { pack } from "../../codecs/index.ts";
import { glyphs, initialise, softmax } from "../../models/index.ts";
import { contentsOf, type Ended, idx, jsonOf, kilonet, launcher, startKilonet, startProgram } from "./cli.ts";
import { workplace, writeData, writeSmallData } from "./cli.ts";

// Each mistake through the real command line: the exit code, one line that says what is wrong, and the files that were
// there before as they were.

const folder = workplace();
const path = (name: string): string => join(folder, name);
let unchanged: Record<string, string>;

before(async () => {
  writeSmallData(path("data"));
  await jsonOf("train", "--model", "softmax", "--data", path("data"), "--epochs", "1", "-o", path("good.knet"));
  const good = readFileSync(path("good.knet"));
  writeFileSync(path("cut.knet"), good.subarray(0, good.length / 2));
  writeFileSync(path("empty.knet"), "");
  writeFileSync(path("text.knet"), "These are words.\n");
  const weights = initialise(softmax, 1);
  weights[0]!.values[17] = NaN;
  const sections = weights.map(({ name, values }) => ({
    tensors: [name],
    coded: { method: "float32", values } as const,
  }));
  writeFileSync(path("nan.knet"), pack({ network: softmax, sections }));

  const { images, labels, ...rest } = glyphs({ count: 20, seed: 3 });
  const dataSet = (name: string, file: string, bytes: Uint8Array): void => {
    writeSmallData(path(name));
    writeFileSync(join(path(name), file), bytes);
  };
  dataSet("label", "train-labels-idx1-ubyte", idx([240], new Uint8Array(240).fill(3, 0, 239).fill(10, 239)));
  dataSet("none", "train-images-idx3-ubyte", idx([0, 28, 28], new Uint8Array(0)));
  dataSet("counts", "train-labels-idx1-ubyte", idx([239], new Uint8Array(239)));
  dataSet("magic", "train-images-idx3-ubyte", Buffer.from("no images at all"));
  dataSet("short", "train-images-idx3-ubyte", idx([240, 28, 28], images));
  dataSet("zip", "t10k-images-idx3-ubyte.gz", gzipSync(images).subarray(0, 1000));
  const small = { ...rest, height: 14, width: 14, count: 80, labels: new Uint8Array(80), images };
  writeData(path("sizes"), { training: small, test: small });
  const one = { ...rest, count: 1, labels: labels.subarray(0, 1), images: images.subarray(0, 784) };
  writeData(path("one"), { training: one, test: one });
  mkdirSync(path("partial"));
  writeFileSync(join(path("partial"), "train-images-idx3-ubyte"), idx([1, 1, 1], new Uint8Array(1)));

  mkdirSync(path("folder"));
  writeFileSync(path("old.knet"), "an earlier file");
  writeFileSync(path("old.ckpt"), "an earlier checkpoint");
  writeFileSync(path("old.jsonl"), "earlier metrics");
  // A checkpoint to go on from, cut short, and whole.
  const kept = ["--checkpoint", path("kept.ckpt"), "-o", path("good.knet")];
  await jsonOf("train", "--model", "softmax", "--data", path("data"), "--epochs", "1", ...kept);
  writeFileSync(path("cut.ckpt"), readFileSync(path("kept.ckpt")).subarray(0, -1));
  unchanged = contentsOf(folder);
});

function checkRefusal({ status, stdout, stderr }: Ended, code: number, message: string | RegExp): void {
  const found = `${stdout}${stderr}`;
  assert.equal(status, code, found);
  assert.match(stderr, /^kilonet: [^\n]+\n$/, `one line, got ${found}`);
  const line = stderr.slice("kilonet: ".length, -1);
  if (typeof message === "string") assert.equal(line, message);
  else assert.match(line, message);
  assert.doesNotMatch(stdout, /"(sha256|errors|bytes)"/, "a command that failed has no result");
  // Two commands run at a time, and each tries whether it could write.
  assert.deepEqual(contentsOf(folder, { except: ".kilonet-part" }), unchanged);
}

/** How a refusal reads, where FILE stands for the folder of these tests. */
const at = (text: string): string => text.replaceAll("FILE", folder);

function refuses(what: string, words: string, code: number, message: string | RegExp): void {
  test(`${what}: ${words}`, async () => {
    // What is on standard error with --json is the refusal alone; without, progress too.
    const found = await kilonet(...at(words).split(" "), "--json");
    checkRefusal(found, code, typeof message === "string" ? at(message) : message);
  });
}

const train = "train --model softmax --epochs 1 -o FILE/old.knet";

suite("files that are none", { concurrency: 2 }, () => {
  const file = "FILE/missing.knet: no such file or folder";
  refuses("missing", "evaluate FILE/missing.knet", 1, file);
  refuses("missing", "inspect FILE/missing.knet", 1, file);
  refuses("missing", "compress FILE/missing.knet -o FILE/old.knet", 1, file);
  refuses("a folder", "evaluate FILE/folder", 1, "FILE/folder: is a folder, a file was expected");
  refuses("cut short", "evaluate FILE/cut.knet", 1, /cut\.knet: .*checksum.* \(at byte \d+\)$/);
  refuses("cut short", "inspect FILE/cut.knet", 1, /cut\.knet: .*checksum.* \(at byte \d+\)$/);
  refuses("empty", "inspect FILE/empty.knet", 1, /empty\.knet: .*\(at byte 0\)$/);
  refuses("text", "prune FILE/text.knet --share 0.5 -o FILE/old.knet", 1, /text\.knet: .*not a file of kilonet/);
  const nan = "FILE/nan.knet: fc1.weight: value 17 is NaN, weights must be finite";
  refuses("NaN", "evaluate FILE/nan.knet --data FILE/data", 1, nan);
  refuses("NaN", "prune FILE/nan.knet --share 0.5 --data FILE/data -o FILE/old.knet", 1, nan);
  test("NaN can be looked at", async () => {
    const [result] = await jsonOf("inspect", path("nan.knet"));
    assert.equal((result!.tensors as { nonzero: number }[])[0]!.nonzero, 7840);
  });
});

suite("data that are none", { concurrency: 2 }, () => {
  const other = "takes images [28, 28, 1], the data has [14, 14, 1]";
  refuses("another size", `${train} --data FILE/sizes`, 1, `softmax: ${other}`);
  refuses("another size", "evaluate FILE/good.knet --data FILE/sizes", 1, `FILE/good.knet: softmax: ${other}`);
  const stray = "idx labels: labels go from 0 to 9, got 10 for image 239 (at byte 247)";
  refuses("a label out of range", `${train} --data FILE/label`, 1, `FILE/label, training files: ${stray}`);
  refuses("no image", `${train} --data FILE/none`, 1, /none, training files: idx images: the file is empty/);
  refuses("one image", `${train} --data FILE/one`, 1, /one training image; two are the least/);
  refuses("other counts", `${train} --data FILE/counts`, 1, /240 images, but 239 labels/);
  refuses("another format", `${train} --data FILE/magic`, 1, /the magic number must be 2051/);
  refuses("cut short", `${train} --data FILE/short`, 1, /188160 bytes must follow the header, .* after 15680/);
  refuses("damaged", "evaluate FILE/good.knet --data FILE/zip", 1, /zip, test files: idx images: .*gzip.*damaged/);
  refuses("missing files", `${train} --data FILE/partial`, 1, /partial lacks train-labels-idx1-ubyte, t10k-images/);
  const neither = 'data: "mnst" is neither mnist nor glyphs, and there is no folder of that name';
  refuses("no such name", `${train} --data mnst`, 1, neither);
  const said = "FILE/good.knet was trained on images that are neither mnist nor glyphs: say which with --data";
  refuses("a file does not lead to data", "evaluate FILE/good.knet", 2, said);

  test("mnist is nowhere: the folders, the files and where they can be had", async () => {
    const nowhere = join(folder, "folder");
    const env = { KILONET_DATA: nowhere, XDG_CACHE_HOME: nowhere, HOME: nowhere, LOCALAPPDATA: nowhere };
    const words = ["train", "--data", "mnist", "-o", path("old.knet"), "--json"];
    const parts = [join(nowhere, "mnist"), "train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz", "https://"];
    const found = await startKilonet(words, { env }).ended;
    checkRefusal(found, 1, /^data: mnist was not found in /);
    for (const part of parts) assert.ok(found.stderr.includes(part), `${part} is not in ${found.stderr}`);
  });
});

suite("places that cannot be written to", { concurrency: 2 }, () => {
  const data = "train --model softmax --data FILE/data --epochs 1";
  const wrong = "a part of the path is not a folder";
  refuses("below a file", `${data} -o FILE/good.knet/a.knet`, 1, `FILE/good.knet/a.knet: ${wrong}`);
  refuses("no folder", `${data} -o FILE/no/a.knet`, 1, "FILE/no/a.knet: no such file or folder");
  refuses("a folder itself", `${data} -o FILE/folder`, 1, "FILE/folder: is a folder, a file was expected");
  refuses("metrics", `${data} -o FILE/old.knet --metrics FILE/no/a`, 1, "FILE/no/a: no such file or folder");
  refuses("checkpoints", `${data} -o FILE/old.knet --checkpoint FILE/no/a`, 1, "FILE/no/a: no such file or folder");
  refuses("before any work", "compress FILE/missing.knet -o FILE/no/a", 1, "FILE/no/a: no such file or folder");

  const device = "/dev/full";
  test("a device is not replaced by a file", { skip: existsSync(device) ? false : `no ${device} here` }, async () => {
    const words = ["train", "--model", "softmax", "--data", path("data"), "-o", device, "--json"];
    checkRefusal(await kilonet(...words), 1, `${device}: is no ordinary file, and would be replaced by one`);
  });

  const unlimited = spawnSync("sh", ["-c", "ulimit -f 8"]).status === 0 ? false : "no sh with ulimit -f here";
  test("a disk that is full: no file may be longer than 8 blocks", { skip: unlimited }, async () => {
    const words = ["train", "--model", "softmax", "--data", path("data"), "--epochs", "2", "-o", path("old.knet")];
    const script = 'ulimit -f 8; exec "$@"';
    const all = ["-c", script, "sh", process.execPath, launcher, ...words, "--checkpoint", path("old.ckpt"), "--json"];
    // Its cache of translated files would be cut short too.
    const { ended } = startProgram("sh", all, { env: { TSX_DISABLE_CACHE: "1" } });
    checkRefusal(await ended, 1, `${path("old.ckpt")}: larger than a file may be here`);
  });
});

suite("trainings that cannot be", { concurrency: 2 }, () => {
  const data = `${train} --data FILE/data`;
  refuses("no checkpoint", `${data} --resume`, 1, "FILE/old.knet.ckpt: no such file or folder");
  refuses("a checkpoint cut short", `${data} --resume FILE/cut.ckpt`, 1, /^.*cut\.ckpt: .* cut short or damaged/);
  refuses("of something else", `${data} --resume FILE/old.ckpt`, 1, /^.*old\.ckpt: .*no checkpoint/);
  const seed = "checkpoint: made with another seed: it has 1, now it is 2";
  refuses("of another seed", `${data} --resume FILE/kept.ckpt --seed 2`, 1, seed);
  const rate = `${data} --optimizer sgd --rate 3e38 --metrics FILE/old.jsonl`;
  refuses("a rate that explodes", rate, 1, /^fit: the loss is (NaN|Infinity) at step \d+ of \d+; try a lower/);
  const double = `${data} --device reference --precision float64`;
  refuses("what no checkpoint can hold", double, 1, /a saved memory is float32, got reference .*float64/);
  refuses("a mode left out", `${data} --device gpu`, 1, /^gpu: the mode must be one of cpu, webasm/);
  refuses("a device without it", `${data} --device reference --precision fast`, 1, /reference has the precisions/);
});

suite("wrong use is told from failure by its exit code", { concurrency: 2 }, () => {
  const good = "FILE/good.knet -o FILE/old.knet --data FILE/data";
  refuses("no such command", "trian", 2, "unknown command 'trian' (Did you mean train?)");
  refuses("no such option", `${train} --epoch 3`, 2, "unknown option '--epoch' (Did you mean --epochs?)");
  refuses("no output", "train", 2, "required option '-o, --output <file>' not specified");
  refuses("no file", "evaluate", 2, "missing required argument 'file'");
  refuses("not whole", `${train} --epochs 1.5`, 2, /'--epochs <count>' argument '1\.5' is invalid\. .* whole number/);
  refuses("none", `${train} --epochs 0`, 2, /whole number from 1 to 100000\.$/);
  refuses("a seed below 0", `${train} --seed -1`, 2, /whole number from 0 to 4503599627370496\.$/);
  const models = /Allowed choices are lenet5, lenet300, softmax, linear, cnn1024\.$/;
  refuses("no such model", `${train} --model lenet4`, 2, models);
  refuses("no such device", `${train} --device abacus`, 2, /Allowed choices are wasm, reference, gpu\.$/);
  refuses("a decay of 1", `${train} --average 1`, 2, /a number from 0 to below 1\.$/);
  refuses("not of Adam", `${train} --momentum 0.9`, 2, /^train: --momentum and --nesterov belong to sgd/);
  refuses("no momentum", `${train} --optimizer sgd --nesterov`, 2, /^train: --nesterov needs a --momentum above 0$/);
  refuses("no rule", `prune ${good}`, 2, /^prune: needs --share, --threshold, .* --together or --nan$/);
  refuses("no share", `prune ${good} --together 0`, 2, /It must be a number above 0 and at most 1\.$/);
  refuses("two rules", `prune ${good} --share 0.5 --deviations 1`, 2, /cannot be used with option '--deviations/);
  refuses("above 1", `prune ${good} --share 1.5`, 2, /It must be a number above 0 and at most 1\.$/);
  refuses("a pair cut short", `prune ${good} --share fc1=`, 2, /It must be a number above 0 and at most 1\.$/);
  refuses("a pair twice", `prune ${good} --share fc1=0.1,fc1=0.2`, 2, /layer=number once for each layer/);
  const layer = 'softmax has no layer "fc9" with weights; it has fc1';
  refuses("no such layer", `prune ${good} --share fc9=0.1`, 2, layer);
  refuses("no such layer", `quantize ${good} --bits fc9=4`, 2, layer);
  refuses("13 bits", `compress ${good} --bits 13`, 2, /It must be a whole number from 1 to 12\.$/);
  const either = "compress: --bytes searches for what --share and --bits say; choose one";
  refuses("both", `compress ${good} --bits 3 --bytes 900`, 2, either);
  refuses("no such layer", "sensitivity FILE/good.knet --layers conv1", 2, layer.replace("fc9", "conv1"));
  refuses("a share above 1", "sensitivity FILE/good.knet --shares 0.5,2", 2, /at most 1\.$/);
  const alone = "--original belongs to --augment, which is missing";
  refuses("copies of none", `prune ${good} --share 0.5 --original 0.5`, 2, alone);
});

test("and after all of them nothing is left behind", () => assert.deepEqual(contentsOf(folder), unchanged));
