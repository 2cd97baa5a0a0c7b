import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import * as codecs from "../codecs/index.ts";
import { pack, unpack } from "../codecs/index.ts";
import * as lib from "../lib/index.ts";
import * as models from "../models/index.ts";

const words = (path: string, ...args: string[]): string[] => ["--import", "tsx", path, ...args];

function run(path: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, words(path, ...args), { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  return stdout;
}

// examples/train.ts is the program of the README, which test/readme.test.ts runs.

test("annotate.ts prints every byte of a file, and the file is one", () => {
  const lines = run("examples/annotate.ts").trimEnd().split("\n");
  const fields = lines.map((line) => /^ *(\d+) {2}((?:[0-9a-f]{2} )*[0-9a-f]{2}) {2,}(\S.*)$/.exec(line)!.slice(1));
  const bytes = Buffer.from(fields.map(([, hex]) => hex).join("").replaceAll(" ", ""), "hex");
  const file = unpack(bytes);
  assert.equal(file.network.name, "softmax");
  assert.deepEqual(Buffer.from(pack(file)), bytes);
  assert.equal(bytes.length, 20);
  assert.deepEqual(fields[0], ["0", "fb 6b 6e", "magic"]);
  assert.match(readFileSync("examples/annotate.ts", "utf8"), /in 20 bytes/);
});

test("annotate.ts takes any file, and shortens what is long", () => {
  const folder = mkdtempSync(join(tmpdir(), "kilonet-examples-"));
  try {
    const path = join(folder, "softmax.knet");
    const sections = codecs.sectionsOf(models.initialise(models.softmax, 1));
    writeFileSync(path, pack({ network: models.softmax, sections }));
    const numbers = /^ +6 {2}([0-9a-f]{2} ){8}… 31360 bytes +section 1 \/ numbers$/m;
    assert.match(run("examples/annotate.ts", path), numbers);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("miracle.ts trains a file of 200 bytes that reads digits", () => {
  const said = /^200 bytes instead of 31400; (\d+\.\d) % of new digits are read right\n$/;
  const found = said.exec(run("examples/miracle.ts"));
  assert.ok(found !== null && Number(found[1]) > 75, String(found));
});

test("softmax.ts makes a file of 336 bytes that reads digits", () => {
  const found = /^(\d+) bytes instead of 31400; (\d+\.\d) % of/.exec(run("examples/softmax.ts"));
  const [bytes, right] = [Number(found?.[1]), Number(found?.[2])];
  assert.ok(bytes <= 336 && bytes > 330 && right > 70, String(found));
});

test("linear.ts makes one of blocks that have the KL of their bits from the beginning", () => {
  const found = /^(\d+) bytes, 12\.0 bits a block; (\d+\.\d) % of/.exec(run("examples/linear.ts"));
  const [bytes, right] = [Number(found?.[1]), Number(found?.[2])];
  assert.ok(bytes <= 336 && bytes > 330 && right > 65, String(found));
});

test("oneWeight.ts chooses, of the 16 weights that its file can name, one of the nearest to 2", () => {
  const said = /^Of ([-\d. ]+) number (\d+): (\S+), in \d+ bytes\n$/;
  const [, list, index, weight] = said.exec(run("examples/oneWeight.ts"))!;
  const values = list!.split(" ").map(Number);
  assert.deepEqual([values.length, values[Number(index)]], [16, Number(weight)]);
  const nearest = [...values].sort((a, b) => Math.abs(a - 2) - Math.abs(b - 2)).slice(0, 2);
  assert.ok(nearest.includes(Number(weight)), `${weight} of ${list}`);
});

suite("the page for browsers", () => {
  const page = readFileSync("examples/browser/index.html", "utf8");

  test("imports names that the doors have", () => {
    const doors: Record<string, object> = { kilonet: lib, "kilonet/codecs": codecs, "kilonet/models": models };
    const imports = [...page.matchAll(/import \{ ([^}]+) \} from "([^"]+)"/g)];
    assert.equal(imports.length, 3);
    for (const [, names, door] of imports) {
      for (const name of names!.split(", ")) assert.ok(name.split(" as ")[0]! in doors[door!]!, `${door}: ${name}`);
    }
  });

  test("finds each door in the build, where package.json says it is", () => {
    const map = /<script type="importmap">(.*?)<\/script>/s.exec(page)![1]!;
    const { imports } = JSON.parse(map) as { imports: Record<string, string> };
    const { exports } = JSON.parse(readFileSync("package.json", "utf8")) as {
      exports: Record<string, { default: string }>;
    };
    for (const [door, path] of Object.entries(imports)) {
      assert.equal(path, exports[door.replace(/^kilonet/, ".")]!.default.replace("./", "../../"));
    }
  });

  test("is served with what threads need, and nothing else of the disk is", async () => {
    const server = spawn(process.execPath, words("examples/browser/serve.ts", "0"), {
      stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      const [line] = (await server.stdout.setEncoding("utf8").take(1).toArray()) as [string];
      const { origin, pathname } = new URL(line.trim());
      const found = await get(origin, pathname);
      assert.deepEqual([found.status, found.body], [200, page]);
      assert.equal(found.headers["cross-origin-opener-policy"], "same-origin");
      assert.equal(found.headers["cross-origin-embedder-policy"], "require-corp");
      const outside = ["/package.json", "/dist/../bin/kilonet.js", "/dist/%2e%2e/bin/kilonet.js", "/dist/..%2fa.js"];
      for (const path of outside) assert.equal((await get(origin, path)).status, 404, path);
    } finally {
      server.kill();
    }
  });
});

/** Asks for a path as it is: `fetch` would tidy it up first. */
function get(origin: string, path: string) {
  return new Promise<{ status: number; headers: NodeJS.Dict<string | string[]>; body: string }>((resolve, reject) => {
    const asked = request(origin, { path }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => (body += text));
      response.on("end", () => resolve({ status: response.statusCode!, headers: response.headers, body }));
    });
    asked.on("error", reject).end();
  });
}
