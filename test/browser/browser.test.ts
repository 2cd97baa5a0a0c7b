// `npm run test:browser`: the build in headless Chromium, on graphics adapters that are programs. The same program runs
// in Node, on the same build, and says what is right.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, suite, test } from "node:test";
import { findChromium, openChromium } from "./chromium.ts";
import { serve } from "./serve.ts";

interface Found {
  readonly description: string;
  /** Distances from those of `wasm` with one thread. */
  readonly first: { readonly loss: number; readonly gradients: readonly number[] };
  readonly losses: readonly number[];
  readonly trained: string;
  readonly evaluations: Readonly<Record<string, { readonly decoded: string; readonly errors: number; loss: number }>>;
  readonly workers: number;
}

type Run = (options: object, files: Readonly<Record<string, Uint8Array>>) => Promise<Found>;

const chromium = findChromium();
/** .ci/run sets it where it has installed a browser: then its absence is a failure. */
const required = process.env.KILONET_TEST_BROWSER === "1";
const none = "there is no chromium; the variable CHROMIUM may name one";
const skip = chromium === null && !required ? none : false;

/** How long all of it may take: some fifty seconds on two idle cores. */
const patience = 400_000;
const names = ["lenet300-2500.knet", "lenet5-638.knet"];

suite("kilonet in Chromium", { skip }, () => {
  const messages = new Map<string, { readonly found?: unknown; readonly error?: string }>();
  let inNode: Found;
  let end = async (): Promise<void> => {};

  before(async () => {
    assert.ok(chromium !== null, none);
    let finished = (): void => {};
    const last = new Promise<void>((resolve) => (finished = resolve));
    const serving = await serve((message) => {
      const { name, ...rest } = message as { name: string; found?: unknown; error?: string };
      messages.set(name, rest);
      if (name === "alone") finished();
    });
    const browser = openChromium(chromium, `${serving.origin}/test/browser/page.html`);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<string>((resolve) => (timer = setTimeout(resolve, patience, "no end in sight")));
    end = async () => {
      clearTimeout(timer);
      await browser.end();
      serving.close();
    };
    // Found by its name: the compiler looks for no types in a page's files.
    const program = (await import(new URL("program.js", import.meta.url).href)) as { run: Run };
    const files = Object.fromEntries(names.map((name) => [name, new Uint8Array(readFileSync(`models/zoo/${name}`))]));
    inNode = await program.run({ device: "wasm", threads: 1 }, files);
    const failure = await Promise.race([last, late, browser.ended]);
    assert.equal(failure, undefined, `after ${[...messages.keys()].join(", ")}`);
  });

  after(() => end());

  /** What the page has posted under the name. */
  function found<Kind>(name: string): Kind {
    const message = messages.get(name);
    assert.equal(message?.error, undefined);
    assert.ok(message?.found !== undefined, `nothing was said of ${name}`);
    return message.found as Kind;
  }

  /** What holds on every device: training goes where it goes in Node, and files say what they say there. */
  function agrees({ first, losses, evaluations }: Found): void {
    assert.ok(Math.abs(first.loss - inNode.first.loss) < 1e-5, `the first loss is ${first.loss}`);
    assert.equal(first.gradients.length, 6);
    for (const distance of first.gradients) assert.ok(distance < 1e-5, `gradients differ by ${first.gradients.join()}`);
    const [start, middle, last] = losses as [number, number, number];
    assert.ok(middle < 0.8 * start && last < 0.8 * middle, `losses ${losses.join()}`);
    assert.deepEqual(Object.keys(evaluations), names);
    for (const name of names) {
      const [{ decoded, errors, loss }, want] = [evaluations[name]!, inNode.evaluations[name]!];
      assert.deepEqual([decoded, errors], [want.decoded, want.errors], name);
      assert.ok(Math.abs(loss - want.loss) < 1e-4, `${name}: loss ${loss} instead of ${want.loss}`);
    }
  }

  for (const threads of [1, 2]) {
    test(`wasm with ${threads} ${threads === 1 ? "thread" : "threads"}: the bits of Node`, (t) => {
      assert.equal(found("isolated"), true);
      const own = found<Found>(`wasm, ${threads} ${threads === 1 ? "thread" : "threads"}`);
      t.diagnostic(own.description);
      assert.equal(own.description, inNode.description.replace("1 thread", threads === 1 ? "1 thread" : "2 threads"));
      assert.equal(own.workers, threads - 1);
      agrees(own);
      assert.deepEqual(own.first.gradients, [0, 0, 0, 0, 0, 0]);
      assert.deepEqual([own.trained, own.losses], [inNode.trained, inNode.losses]);
      assert.deepEqual(own.evaluations, inNode.evaluations);
    });
  }

  test("wasm with 2 threads in a worker: the same bits", () => {
    const own = found<Pick<Found, "description" | "trained">>("in a worker");
    assert.match(own.description, /^wasm: .*, 2 threads$/);
    assert.equal(own.trained, inNode.trained);
  });

  for (const [mode, runs] of [
    ["cpu", /^plain JavaScript on the processor/],
    ["webasm", /^WebAssembly on the processor/],
    ["webgl2", /^adapter .*SwiftShader/],
    ["webgpu", /^adapter .*swiftshader/],
  ] as const) {
    test(`gpu in mode ${mode}: trains, and evaluates files`, (t) => {
      const own = found<Found>(`gpu, ${mode}`);
      t.diagnostic(own.description);
      const [, said, what] = /^gpu: gpu\.js in mode (\w+) \((.*)\)$/.exec(own.description)!;
      assert.equal(said, mode);
      assert.match(what!, runs);
      agrees(own);
    });
  }

  for (const mode of ["webgl2", "webgpu"]) {
    test(`gpu in mode ${mode}: every operation and gradient agrees, and draws are the same bits`, (t) => {
      const { uniform, normal, dropout, ...others } = found<Record<string, number[]>>(`operations, ${mode}`);
      assert.deepEqual([uniform, normal, dropout], [[0], [0], [0]]);
      assert.ok(Object.keys(others).length > 25);
      for (const [name, apart] of Object.entries(others)) {
        assert.ok(apart.every((distance) => distance < 1e-5), `${name} differs by ${apart.join()}`);
      }
      t.diagnostic(`largest difference ${Math.max(...Object.values(others).flat()).toExponential(1)}`);
    });
  }

  test("gpu in mode webgl2: what it cannot do names mode and operation, and no step leaves anything behind", () => {
    const { cannot, counts, lost } = found<{
      readonly cannot: Readonly<Record<"integers" | "nonsense" | "large" | "atOnce", string>>;
      readonly counts: readonly string[];
      readonly lost: readonly string[];
    }>("webgl2 alone");
    assert.equal(cannot.integers, "DeviceError: gpu: mode webgl2 cannot do doubling: Error: it needs exact integers");
    assert.match(cannot.nonsense, /^DeviceError: gpu: mode webgl2 cannot do nonsense: /);
    const tooMuch = /^DeviceError: gpu: mode webgl2 cannot do growing: 1073741824 numbers take a texture of 32768 x/;
    assert.match(cannot.large, tooMuch);
    assert.match(cannot.atOnce, /^DeviceError: gpu: mode webgl2 cannot read at once: await read\(\)/);
    assert.equal(counts.length, 4);
    assert.equal(new Set(counts.slice(1)).size, 1, counts.join("; "));
    for (const message of lost) assert.match(message, /^DeviceError: gpu: the device was lost \(WebGL 2\): /);
  });

  test("an unknown mode is refused", () => {
    const { error } = messages.get("unknown mode")!;
    assert.match(error!, /^DeviceError: gpu: the mode must be one of cpu, webasm, webgpu, webgl2, got "webgl"/);
  });

  test("the page of examples/browser says what the README says", () => {
    const own = found<{ readonly status: string; readonly bytes: number; readonly digits: number }>("example");
    const [, bytes, right] = /^(\d+) bytes instead of \d+; (\d+\.\d %) of new digits/m.exec(
      readFileSync("README.md", "utf8"),
    )!;
    assert.equal(own.status.split(" are read right. ")[0], `${bytes} bytes; ${right} of 2000 new digits`);
    assert.equal(own.bytes, Number(bytes));
    assert.equal(own.digits, 40);
  });

  test("a page that may not share memory has one thread, and says so", () => {
    const { isolated, refused, description } = found<Record<"isolated" | "refused" | "description", unknown>>("alone");
    assert.equal(isolated, false);
    assert.equal(refused, "wasm: 2 threads need memory that can be shared, which this place does not allow");
    assert.match(String(description), /^wasm: .*, 1 thread$/);
  });
});
