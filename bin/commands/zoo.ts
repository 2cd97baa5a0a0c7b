import type { Command } from "commander";
import { withRuntime } from "../device.ts";
import { findMnist, openData, readZoo, verifyZooEntry, zooFolder } from "../node/index.ts";
import { type CommonOptions, type DeviceOptions, withDevice, withExample, withJson } from "../options.ts";
import { reportTo } from "../report.ts";
import { grouped, percent, table } from "../table.ts";

/** `kilonet zoo`: the files that we keep, and whether they still do what they did. */
export function register(program: Command): void {
  const zoo = program.command("zoo").description("the small files that come with kilonet").action(() => zoo.help());
  const listing = zoo.command("list").description("what there is, with bytes and errors");
  withExample(withJson(listing), "kilonet zoo list").action(list);
  const command = zoo
    .command("verify")
    .description("decode every file, and measure it on the test images of MNIST if these are there");
  withExample(withJson(withDevice(command)), "kilonet zoo verify").action(verify);
}

async function list(options: CommonOptions): Promise<void> {
  const entries = await readZoo();
  const rows = entries.map(({ file, network, method, bytes, errors, augmentation, teacher }) => [
    file,
    network,
    method,
    grouped(bytes),
    percent(errors / 10000),
    [augmentation ? "copies" : "", teacher ? "teacher" : ""].filter((word) => word !== "").join(", "),
  ]);
  const text = table(["file", "network", "method", "bytes", "test error", "training"], rows);
  reportTo(options).result({ folder: zooFolder(), files: entries }, `${zooFolder()}\n\n${text}`);
}

async function verify(options: CommonOptions & DeviceOptions): Promise<void> {
  const report = reportTo(options);
  const entries = await readZoo();
  const test = (await findMnist()) === null ? undefined : await (await openData("mnist")).test();
  if (test === undefined) {
    const note = "the test images of MNIST are not there: files are decoded, but not measured (see KILONET_DATA)";
    report.event({ event: "note", note }, note);
  }
  let wrong = 0;
  await withRuntime(options, async (runtime) => {
    for (const entry of entries) {
      const { errors, problem } = await verifyZooEntry(entry, { runtime, ...(test && { test }) });
      if (problem !== null) wrong += 1;
      const { file, bytes, network } = entry;
      const measured = errors === null ? "not measured" : `${errors} errors of 10,000`;
      const text = `${file}: ${problem ?? `ok, ${grouped(bytes)} bytes, ${network}, ${measured}`}`;
      report.event({ event: "file", file, bytes, errors, problem }, text);
    }
  });
  if (wrong > 0) throw new Error(`zoo: ${wrong} of ${entries.length} files are not as the manifest says`);
  report.result({ files: entries.length, measured: test !== undefined }, `${entries.length} files, all as they were`);
}
