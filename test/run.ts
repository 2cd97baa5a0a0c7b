/**
 * `npm test`. Runs every test/**\/*.test.ts but those of test/slow and test/browser (which `npm run test:slow` and
 * `npm run test:browser` run), or, given arguments, the files whose path contains one of them (`npm test --
 * test/lib/random`).
 *
 * A test runner that finds nothing is content, and that is the one lie a suite must not tell. So the run fails when a
 * file or a suite holds no test, when a test is skipped without saying why, and when a whole run executes fewer tests
 * than test/expected.json says; tests that were skipped do not count as executed.
 */
import { readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { resolve, sep } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";

/** What node:test says when a test, a suite or a file is over; the last two come after all that is in them. */
interface Report {
  readonly name: string;
  readonly nesting: number;
  readonly details: { readonly type?: string | undefined };
  readonly skip?: string | boolean | undefined;
  readonly todo?: string | boolean | undefined;
}

const filters = process.argv.slice(2);
const files = readdirSync("test", { recursive: true, encoding: "utf8" })
  .map((name) => `test/${name.split(sep).join("/")}`)
  .filter((name) => name.endsWith(".test.ts"))
  .filter((name) =>
    filters.length > 0 ? filters.some((filter) => name.includes(filter)) : !/^test\/(slow|browser)\//.test(name),
  )
  .sort();
if (files.length === 0) {
  console.error(`no test file ${filters.length > 0 ? `has ${filters.join(" or ")} in its path` : "in test/"}`);
  process.exit(2);
}

const paths = new Set(files.map((name) => resolve(name)));
const faults: string[] = [];
const skipped: string[] = [];
let executed = 0;
let failed = false;
let depth = -1;

function count({ name, nesting, details, skip, todo }: Report): void {
  const holdsTests = details.type === "suite" && depth === nesting + 1;
  depth = nesting;
  if (todo !== undefined) faults.push(`${name}: a test to be written is no test`);
  else if (skip !== undefined && typeof skip !== "string") faults.push(`${name}: skipped without a reason`);
  else if (skip !== undefined) skipped.push(`${name}: ${skip}`);
  else if (nesting === 0 && paths.has(resolve(name))) faults.push(`${name}: ran no test`);
  else if (details.type !== "suite") executed++;
  else if (!holdsTests) faults.push(`${name}: a suite without a test`);
}

// A file that hangs ends as a failure, well before the five minutes that a whole run may take; slow ones have an hour.
const timeout = files.some((name) => name.startsWith("test/slow/")) ? 3_600_000 : 480_000;
const events = run({ files: [...paths], concurrency: availableParallelism(), timeout });
events.on("test:pass", count);
events.on("test:fail", (report) => {
  failed = true;
  // A file that crashed is reported as a test of that name; it may have run some before.
  if (!paths.has(resolve(report.name))) count(report);
});
for await (const text of events.compose(new spec())) process.stdout.write(text as string);

if (filters.length === 0) {
  const floor = (JSON.parse(readFileSync("test/expected.json", "utf8")) as { executed: number }).executed;
  if (!(executed >= floor)) faults.push(`${executed} tests executed, test/expected.json expects at least ${floor}`);
  else if (executed > 1.1 * floor) console.log(`test/expected.json may rise: ${executed} executed, ${floor} expected`);
}
if (executed === 0) faults.push("no test was executed");
for (const line of skipped) console.log(`skipped: ${line}`);
for (const line of faults) console.error(`fault: ${line}`);
console.log(`${executed} executed, ${skipped.length} skipped, in ${files.length} files`);
if (failed || faults.length > 0) process.exitCode = 1;
