import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { after, before, suite, test } from "node:test";

// What a stranger gets: the tarball that npm would publish, built, packed and installed in an empty folder.

interface Manifest {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, Door | string>>;
}

interface Door {
  readonly types: string;
  readonly default: string;
}

const manifest = JSON.parse(readFileSync("package.json", "utf8")) as Manifest;
const doors = Object.entries(manifest.exports)
  .filter(([, target]) => typeof target === "object")
  .map(([path]) => path.replace(/^\./, "kilonet"));
const browserDoors = doors.filter((door) => door !== "kilonet/node");

const bundler = { module: "esnext", moduleResolution: "bundler", types: [] };
const nodenext = { module: "nodenext", types: ["node"], typeRoots: [resolve("node_modules/@types")] };

/** By these a process would take itself for a part of this test, and npm the project for the folder it works in. */
const inherited = /^(NODE_TEST_CONTEXT|NODE_OPTIONS|INIT_CWD|npm_(?!config_)|npm_config_local_prefix)/;

/** Runs a program to its end and gives what it printed; whatever is not exit code 0 is an assertion error. */
function run(cwd: string, command: string, ...args: string[]): string {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !inherited.test(name)));
  const { status, error, stdout, stderr } = spawnSync(command, args, { cwd, env, encoding: "utf8", timeout: 180_000 });
  assert.equal(status, 0, `${[command, ...args].join(" ")}: ${error?.message ?? `${stdout}${stderr}`}`);
  return stdout;
}

suite("the packed tarball", () => {
  let folder: string;
  let installed: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "kilonet-package-"));
    run(".", "npm", "pack", "--pack-destination", folder);
    const tarball = readdirSync(folder).find((name) => name.endsWith(".tgz"));
    assert.ok(tarball, "npm pack left no tarball");
    writeFileSync(join(folder, "package.json"), '{ "name": "stranger", "private": true, "type": "module" }');
    run(folder, "npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", `./${tarball}`);
    installed = join(folder, "node_modules", "kilonet");
  });

  after(() => rmSync(folder, { recursive: true, force: true }));

  test("brings the build, the documents and the launcher, and no source", () => {
    const top = readdirSync(installed).sort();
    assert.deepEqual(top, ["CHANGELOG.md", "LICENSE", "README.md", "bin", "dist", "docs", "models", "package.json"]);
    assert.deepEqual(readdirSync(join(installed, "bin")), ["kilonet.js"]);
    assert.deepEqual(readdirSync(join(installed, "models")), ["zoo"]);
    const built = readdirSync(join(installed, "dist"), { recursive: true, encoding: "utf8" });
    assert.deepEqual(built.filter((name) => name.includes(".") && !/\.(js|d\.ts)$/.test(name)), []);
  });

  test("brings its dependencies and nothing else", () => {
    const packages = readdirSync(join(folder, "node_modules")).filter((name) => !name.startsWith("."));
    assert.deepEqual(packages.sort(), ["kilonet", ...Object.keys(manifest.dependencies)].sort());
  });

  test("npx kilonet works", () => {
    assert.match(run(folder, "npx", "--no-install", "kilonet", "--help"), /^Usage: kilonet /);
    assert.equal(run(folder, "npx", "--no-install", "kilonet", "--version"), `${manifest.version}\n`);
  });

  for (const door of doors) {
    test(`import "${door}" works`, () => {
      const program = `console.log(Object.keys(await import("${door}")).length)`;
      const names = Number(run(folder, process.execPath, "--input-type=module", "--eval", program));
      assert.ok(names > 0, `${door} exports nothing`);
    });
  }

  /** The files of the build that importing one of them loads, and what else: as the imports in their text say. */
  function loadedWith(entry: string): { files: string[]; others: string[] } {
    const files = [join(installed, entry)];
    const others = new Set<string>();
    for (const file of files) {
      const imports = /^(?:import |(?:import|export) [^;"]*? from )"(.+)";$/gm;
      for (const [, target] of readFileSync(file, "utf8").matchAll(imports)) {
        const path = join(dirname(file), target!);
        if (!target!.startsWith(".")) others.add(target!);
        else if (!files.includes(path)) files.push(path);
      }
    }
    return { files, others: [...others] };
  }

  test("a door loads few files, and one for browsers nothing but them", () => {
    for (const [path, target] of Object.entries(manifest.exports)) {
      if (typeof target === "string") continue;
      const { files, others } = loadedWith(target.default);
      // Loading a file takes most of a millisecond. With one for every module of the source, `kilonet` loaded 74.
      assert.ok(files.length <= 12, `${path} loads ${files.length} files`);
      assert.deepEqual(others.filter((name) => path !== "./node" || !isBuiltin(name)), [], path);
    }
    const { others } = loadedWith("dist/bin/main.js");
    assert.deepEqual(others.filter((name) => !isBuiltin(name) && !(name in manifest.dependencies)), []);
  });

  test("the doors share what they have in common, and load the gpu backend when it is asked for", () => {
    const program = `
      import { createRuntime, DeviceError, parametersOf, sizeOf } from "kilonet";
      import { forward, softmax as network } from "kilonet/models";
      const runtime = await createRuntime();
      const values = ({ shape }) => new Float32Array(sizeOf(shape)).fill(0.5);
      const weights = parametersOf(network).map((one) => runtime.variable(values(one), one.shape, one.name));
      const images = runtime.tensor(new Float32Array(784), [1, 28, 28, 1]);
      // A tensor made behind one door goes through another.
      const logits = runtime.step(() => forward(network, weights, images));
      const error = await createRuntime({ device: "gpu", mode: "cpu" }).catch((error) => error);
      console.log((await logits.read()).join(), error instanceof DeviceError, error.message);`;
    const printed = run(folder, process.execPath, "--input-type=module", "--eval", program);
    assert.match(printed, /^0\.5(,0\.5){9} true gpu: the package gpu\.js is not installed/);
  });

  // Every declaration is checked but those of TypeScript itself, which take seconds.
  const strict = { strict: true, skipDefaultLibCheck: true, noEmit: true, target: "es2022" };
  for (const [what, own, options] of [
    ["bundlers find the types, and those of the browser's doors need none of Node's", browserDoors, bundler],
    ["Node's resolution finds the types of every door", doors, nodenext],
  ] as const) {
    test(what, () => {
      const project = mkdtempSync(join(folder, "types-"));
      const imports = own.map((door, i) => `import * as door${i} from "${door}";\n`);
      const uses = own.map((_, i) => `export const names${i}: readonly (keyof typeof door${i})[] = [];\n`);
      writeFileSync(join(project, "index.ts"), [...imports, ...uses].join(""));
      const config = { compilerOptions: { ...strict, ...options }, files: ["index.ts"] };
      writeFileSync(join(project, "tsconfig.json"), JSON.stringify(config));
      run(project, process.execPath, resolve("node_modules/typescript/bin/tsc"), "-p", ".");
    });
  }
});
