import type { Command } from "commander";
import { FormatError, pack, printable, toWeights, unpack, type Unpacked } from "../../codecs/index.ts";
import { readBytes } from "../node/about.ts";
import { type CommonOptions, withExample, withJson } from "../options.ts";
import { reportTo } from "../report.ts";
import { codecsOf, countNumbers } from "../sizes.ts";
import { grouped } from "../table.ts";

/** What was found of one file: that it is one and what it holds, or the first rule that it breaks and where. */
type Verdict =
  | {
      readonly file: string;
      readonly ok: true;
      readonly bytes: number;
      readonly network: string;
      readonly architecture: number;
      readonly sections: number;
      readonly codec: string;
      readonly parameters: number;
      readonly framed: boolean;
    }
  | {
      readonly file: string;
      readonly ok: false;
      readonly bytes: number;
      readonly code: string;
      readonly offset: number;
      readonly message: string;
    };

/** `kilonet verify file.knet ...`: reads files by every rule of the format, and says where the first one is broken. */
export function register(program: Command): void {
  const command = program
    .command("verify")
    .argument("<file...>", ".knet files")
    .description("check files by every rule of the format, and say where the first one is broken");
  withExample(withJson(command), "kilonet verify digits.knet", "kilonet verify a.knet b.knet --json");
  command.action(async (paths: readonly string[], options: CommonOptions) => {
    const report = reportTo(options);
    let refused = 0;
    for (const path of paths) {
      const verdict = verify(path, await readBytes(path));
      if (!verdict.ok) refused += 1;
      report.event({ event: "file", ...verdict }, `${path}: ${sentence(verdict)}`);
    }
    const files = paths.length === 1 ? "file" : "files";
    if (refused > 0) throw new Error(`verify: ${refused} of ${paths.length} ${files} refused`);
    report.result({ files: paths.length, refused }, `${paths.length} ${files}, none refused`);
  });
}

function verify(path: string, bytes: Uint8Array): Verdict {
  let file: Unpacked;
  try {
    file = unpack(bytes);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    const { code, offset, message } = error;
    return { file: path, ok: false, bytes: bytes.length, code, offset, message };
  }
  // What is read is written as the same bytes. A file for which that fails shows a mistake of ours, not of the file.
  const again = pack(file);
  const place = again.findIndex((byte, i) => byte !== bytes[i]);
  if (place !== -1 || again.length !== bytes.length) {
    const at = place === -1 ? bytes.length : place;
    throw new Error(`${path}: was accepted, but is written differently from byte ${at} on: a mistake in kilonet`);
  }
  const { network, architecture, sections, framed } = file;
  const { parameters } = countNumbers(toWeights(file));
  const codec = codecsOf(sections);
  const counts = { sections: sections.length, codec, parameters, framed };
  return { file: path, ok: true, bytes: bytes.length, network: network.name, architecture, ...counts };
}

function sentence(verdict: Verdict): string {
  if (!verdict.ok) return printable(`refused, ${verdict.code}: ${verdict.message}`);
  const { bytes, network, architecture, sections, codec, parameters } = verdict;
  const described = architecture === 0 ? "described in the file" : `known architecture ${architecture}`;
  return (
    `ok, ${grouped(bytes)} bytes, network "${printable(network)}" (${described}), ` +
    `${sections} ${sections === 1 ? "section" : "sections"} (${codec}), ${grouped(parameters)} numbers`
  );
}
