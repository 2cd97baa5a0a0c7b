import type { Command } from "commander";
import { inspect, inspectHtml, printable } from "../../codecs/index.ts";
import { UsageError } from "../errors.ts";
import { about, readBytes } from "../node/about.ts";
import { writeFileSafely } from "../node/index.ts";
import { type CommonOptions, whole, withExample, withJson } from "../options.ts";
import { reportTo } from "../report.ts";
import { grouped, list, table } from "../table.ts";

type InspectOptions = CommonOptions & { readonly bytes?: true; readonly html?: string | true; readonly hex?: number };

/** `kilonet inspect file.knet`: what every byte of a file is for. */
export function register(program: Command): void {
  const command = program
    .command("inspect")
    .argument("<file>", "a .knet file")
    .description("say what every byte of a file is for, per section and per tensor")
    .option("--bytes", "list every run of bytes")
    .option("--html [page]", "write a page that shows the file byte by byte, to standard output where none is named")
    .option("--hex <count>", "about how many bytes the page shows (default: 65536)", whole(0));
  const examples = ["digits.knet", "digits.knet --bytes", "digits.knet --html digits.html"];
  withExample(withJson(command), ...examples.map((words) => `kilonet inspect ${words}`));
  command.action(async (path: string, options: InspectOptions) => {
    if (options.html !== undefined) return writePage(path, options.html, options);
    if (options.hex !== undefined) throw new UsageError("inspect: --hex is for --html");
    const report = reportTo(options);
    const content = await readBytes(path);
    const { file, bytes, ranges, parts, tensors } = await about(path, () => inspect(content));
    const { network, architecture, framed, metadata = [] } = file;
    const lines = [
      `${grouped(bytes)} bytes: network "${printable(network.name)}" ` +
        `(${architecture === 0 ? "described in the file" : `known architecture ${architecture}`})` +
        (framed ? ", each section with its own checksum" : ", one checksum for all"),
      "",
      table(
        ["part", "bytes"],
        parts.flatMap(({ name, bytes: size, fields }) => [
          [name, grouped(size)],
          ...fields.map((field) => [`  ${field.name}`, grouped(field.bytes)]),
        ]),
      ),
      "",
      table(
        ["tensor", "shape", "numbers", "not zero", "section", "method", "bits per number"],
        tensors.map(({ name, shape, count, nonzero, section, method, bitsPerNumber }) => [
          printable(name),
          shape.join(" x "),
          grouped(count),
          grouped(nonzero),
          String(section),
          method,
          bitsPerNumber.toFixed(3),
        ]),
      ),
    ];
    if (metadata.length > 0) {
      lines.push("", "metadata", list(metadata.map(([key, value]) => [`  ${key}`, printable(value)])));
    }
    if (options.bytes === true) {
      const rows = ranges.map(({ start, end, path: names, note }) => {
        const what = names.map(printable).join(" / ");
        return [what, String(start), String(end - 1), printable(note ?? "")];
      });
      lines.push("", table(["what", "first", "last", "value"], rows));
    }
    const result = { bytes, network: network.name, architecture, framed, metadata, parts, tensors, ranges };
    report.result(result, lines.join("\n"));
  });
}

async function writePage(path: string, page: string | true, options: InspectOptions): Promise<void> {
  if (options.bytes === true) throw new UsageError("inspect: --bytes lists what --html shows; choose one");
  if (page === true && options.json === true) throw new UsageError("inspect: --json needs a name for the --html page");
  // `kilonet inspect --html *.knet` would take the first file for the page.
  if (page !== true && page.endsWith(".knet")) throw new UsageError(`inspect: ${page} is no name for a page of HTML`);
  const content = await readBytes(path);
  const html = await about(path, () => inspectHtml(content, { hex: options.hex }));
  if (page === true) {
    process.stdout.write(html);
    return;
  }
  await writeFileSafely(page, html);
  const size = Buffer.byteLength(html);
  reportTo(options).result({ page, bytes: size }, `${page}: ${grouped(size)} bytes`);
}
