import type { Command } from "commander";
import { inspect } from "../../codecs/index.ts";
import { about, readBytes } from "../node/about.ts";
import { type CommonOptions, withExample, withJson } from "../options.ts";
import { reportTo } from "../report.ts";
import { grouped, list, table } from "../table.ts";

/** `kilonet inspect file.knet`: what every byte of a file is for. */
export function register(program: Command): void {
  const command = program
    .command("inspect")
    .argument("<file>", "a .knet file")
    .description("say what every byte of a file is for, per section and per tensor")
    .option("--bytes", "list every run of bytes");
  withExample(withJson(command), "kilonet inspect digits.knet", "kilonet inspect digits.knet --bytes");
  command.action(async (path: string, options: CommonOptions & { bytes?: true }) => {
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

/** Text of a file is somebody else's: control characters, which a terminal would obey, are spelled out. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`);
}
