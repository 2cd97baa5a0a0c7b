import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, suite, test } from "node:test";
import { FormatError } from "../../codecs/codec.ts";
import { crc32 } from "../../codecs/crc32.ts";
import { inspect } from "../../codecs/inspect.ts";
import { parseVector, readVectors, vectorText } from "../vectors/vectors.ts";
import { campaign, type Findings, type Violation } from "./campaign.ts";
import { Draws } from "./draws.ts";
import { judge, ours, type Subject } from "./judge.ts";
import { leadingVarint, putTogether, takeApart, varint } from "./pieces.ts";
import { supervise, type Told } from "./supervise.ts";

const folder = mkdtempSync(join(tmpdir(), "kilonet-fuzz-test-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const accepted = readVectors("accepted");
const vector = (wanted: string): Uint8Array => accepted.find(({ name }) => name === wanted)!.bytes;
const small = vector("small-ones");

async function run(inputs: number, subject?: Subject): Promise<{ findings: Findings; violations: Violation[] }> {
  const violations: Violation[] = [];
  const findings = await campaign({
    seed: 1,
    goOn: (current) => current().inputs < inputs,
    found: (violation) => void violations.push(violation),
    ...(subject === undefined ? {} : { subject }),
  });
  return { findings, violations };
}

test("a short campaign finds nothing, tries every kind, and is the same for the same seed", async () => {
  const [{ findings, violations }, again] = [await run(500), await run(500)];
  assert.deepEqual(violations.map(({ message }) => message), []);
  const { slowest, largest, ...same } = findings;
  assert.deepEqual([again.findings.verdicts, again.findings.kinds], [same.verdicts, same.kinds]);
  assert.equal(findings.inputs, 500);
  assert.equal(Object.keys(findings.kinds).length, 18);
  assert.equal(findings.kinds.valid!.accepted, findings.kinds.valid!.inputs);
  assert.ok(findings.kinds["bit flip, sealed"]!.accepted > 0 && findings.kinds["bit flip"]!.accepted === 0);
  // Past the checksums, rules of every part of the document are met.
  assert.ok(Object.keys(findings.verdicts).length >= 20, JSON.stringify(findings.verdicts));
  for (const { value, allowed } of [slowest, largest]) assert.ok(value > 0 && value <= allowed);
});

suite("a reader with a fault is found out", () => {
  const finds = (what: string, fault: Partial<Subject>, message: RegExp): void => {
    test(what, async () => {
      const { violations } = await run(80, { ...ours, ...fault });
      assert.ok(violations.length > 0, "nothing was found");
      for (const violation of violations) assert.match(violation.message, message);
    });
  };
  finds(
    "it throws something else",
    {
      unpack: (bytes, limits) => {
        if (bytes[0] !== 0xfb) throw new TypeError("cannot read properties of undefined");
        return ours.unpack(bytes, limits);
      },
    },
    /^an error other than FormatError: TypeError: cannot read/,
  );
  finds(
    "it names a place outside of the file",
    {
      unpack: (bytes, limits) => {
        try {
          return ours.unpack(bytes, limits);
        } catch (error) {
          throw error instanceof FormatError ? error.moved(bytes.length + 1) : error;
        }
      },
    },
    /^[a-z0-9-]+ at byte \d+ of \d+$/,
  );
  finds(
    "it leaves out metadata",
    {
      unpack: (bytes, limits) => {
        const { metadata, ...file } = ours.unpack(bytes, limits);
        return metadata === undefined ? { ...file } : file;
      },
    },
    /^an accepted file is not rewritten unchanged$/,
  );
  finds(
    "it makes something of what is cut short",
    {
      unpack: (bytes, limits) => {
        try {
          return ours.unpack(bytes, limits);
        } catch (error) {
          if (!(error instanceof FormatError && error.code === "truncated")) throw error;
          return ours.unpack(small, limits);
        }
      },
    },
    /^an accepted file is not rewritten unchanged$/,
  );
  finds(
    "it reads chunks otherwise",
    {
      unpackChunks: async (chunks, limits) => {
        const file = await ours.unpackChunks(chunks, limits);
        return { ...file, metadata: [["made-by", "nobody"]] };
      },
    },
    /^in chunks of up to \d+: a file, (not )?framed, architecture \d+, as a whole: a file, /,
  );
  finds(
    "it takes more memory than it may",
    {
      unpack: (bytes, limits) => {
        const file = ours.unpack(bytes, limits);
        return new Uint8Array(2 ** 27).length > 0 ? file : file;
      },
    },
    /^an allocation beyond the limits: \d+ bytes, \d+ are allowed$/,
  );
  finds(
    "it explains bytes that it did not read",
    { inspect: (bytes, limits) => ours.inspect(bytes, limits) - 1 },
    /^inspect accounts for \d+ of \d+ bytes$/,
  );
  finds(
    "it writes over its input",
    {
      unpack: (bytes, limits) => {
        const file = ours.unpack(bytes, limits);
        bytes[bytes.length - 1]! ^= 1;
        return file;
      },
    },
    /^reading changed its input$/,
  );

  test("it takes too long", async () => {
    const slow: Subject = {
      ...ours,
      unpack: (bytes, limits) => {
        for (const start = performance.now(); performance.now() - start < 60;);
        return ours.unpack(bytes, limits);
      },
    };
    const { violation } = await judge(small, new Draws(1), slow);
    assert.match(violation!, /^a hang: \d+\.\d ms, 50 are allowed$/);
    // 431,080 numbers may take their time.
    assert.equal((await judge(vector("lenet5-zero"), new Draws(1), slow)).violation, undefined);
  });
});

suite("the process of a campaign", () => {
  const told = async (script: string, patience: number): Promise<Told[]> => {
    const program = join(folder, `${crc32(new TextEncoder().encode(script))}.mts`);
    const diary = `import { openDiary } from ${JSON.stringify(resolve("test/fuzz/supervise.ts"))};
      const diary = openDiary(process.argv.at(-1));
      diary.write("byte change", Uint8Array.of(9, 9, 9, 9));
      diary.write("bit flip", Uint8Array.of(1, 2, 3));`;
    writeFileSync(program, `${diary}\n${script}`);
    const all: Told[] = [];
    await supervise({ program, args: [], patience, told: (one) => void all.push(one) });
    return all;
  };
  const violation = (message: string): Told => ({
    violation: { kind: "bit flip", message, bytes: Uint8Array.of(1, 2, 3) },
  });

  test("that hangs is ended, and its last input is known", async () => {
    const [first, ...rest] = await told("process.send({ findings: {}, done: false }, () => { for (;;); });", 1);
    assert.deepEqual(first, { findings: {}, done: false });
    assert.deepEqual(rest, [violation("a hang: nothing after 1 s")]);
  });

  test("that crashes leaves its last input", async () => {
    assert.deepEqual(await told("process.abort();", 60), [violation("a crash: SIGABRT")]);
    assert.deepEqual(await told("process.exit(3);", 60), [violation("a crash: exit code 3")]);
  });

  test("that ends without its findings has crashed too", async () => {
    assert.deepEqual(await told("", 60), [violation("a crash: exit code 0")]);
  });
});

suite("the command", () => {
  const fuzz = (...args: string[]) => {
    const words = ["--import", "tsx", "test/fuzz/fuzz.ts", ...args];
    return spawnSync(process.execPath, words, { encoding: "utf8" });
  };

  test("says what it tried, and finds nothing", () => {
    const { status, stdout, stderr } = fuzz("--seconds", "0.5", "--seed", "7", "--folder", join(folder, "found"));
    assert.deepEqual([status, stderr], [0, ""], stdout);
    assert.match(stdout, /^seed 7, 0\.5 s\n\n[\d,]+ inputs of [\d,]+ bytes in \d+ s\n/);
    assert.match(stdout, /\nvalid +\d+ +\d+\n/);
    assert.match(stdout, /\nviolations: none\n$/);
    assert.ok(!readdirSync(folder).includes("found"));
  });

  test("tries one input again", () => {
    const path = join(folder, "one.txt");
    const bytes = small;
    writeFileSync(path, vectorText({ name: "one", shows: "valid: nothing", bytes, code: "violation" }));
    assert.deepEqual(parseVector("one", readFileSync(path, "utf8")).bytes, bytes);
    const { status, stdout } = fuzz("--replay", path);
    assert.deepEqual([status, stdout], [0, `${bytes.length} bytes, valid: nothing\nno violation: accepted\n`]);
  });

  test("refuses what it does not know", () => {
    for (const args of [["--second", "1"], ["--seconds", "0"], ["--seed", "x"]]) {
      const { status, stdout, stderr } = fuzz(...args);
      assert.deepEqual([status, stdout], [2, ""]);
      assert.match(stderr, /^fuzz: .+\nfuzz \[--seconds 60\]/);
    }
  });
});

test("a file taken apart is put together again, and every checksum in it is made right", () => {
  for (const { name, bytes } of accepted) {
    const pieces = takeApart(bytes);
    for (const lengths of [false, true]) assert.deepEqual(putTogether(pieces, { lengths }), bytes, name);
    const spoiled = pieces.map((piece) =>
      piece.name === "checksum" ? { ...piece, bytes: new Uint8Array(4) } : piece,
    );
    assert.deepEqual(putTogether(spoiled, { lengths: false }), bytes, name);
  }
  // A longer section: its length follows.
  const pieces = takeApart(vector("small-framed"));
  const at = pieces.findIndex(({ name }) => name === "checksum" || name === "entry values");
  const longer = pieces.flatMap((piece) => (piece.name === "entry values" ? [piece, piece] : [piece]));
  assert.ok(at >= 0 && longer.length > pieces.length);
  const isLeftover = (error: unknown): boolean => error instanceof FormatError && error.code === "leftover";
  assert.throws(() => inspect(putTogether(longer, { lengths: true })), isLeftover);
});

test("a whole number is spelled, and read from the beginning of a field", () => {
  for (const value of [0, 1, 127, 128, 300, 2 ** 32, 2 ** 48]) {
    const bytes = Uint8Array.of(...varint(value), 255);
    assert.deepEqual(leadingVarint(bytes), { value, length: bytes.length - 1 });
  }
  assert.deepEqual(varint(5, 2), Uint8Array.of(0x85, 0x80, 0));
  assert.equal(leadingVarint(new Uint8Array(12).fill(255)), undefined);
  assert.equal(leadingVarint(new Uint8Array(0)), undefined);
});
