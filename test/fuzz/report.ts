import { grouped, table } from "../../bin/table.ts";
import type { Findings } from "./campaign.ts";

/** What a campaign found, for people. */
export function reportOf(findings: Findings, seconds: number): string {
  const { inputs, bytes, kinds, verdicts, reached, missing, slowest, largest, violations } = findings;
  const rows = (counts: Readonly<Record<string, number>>): string[][] =>
    Object.entries(counts)
      .sort(([, a], [, b]) => b - a)
      .map(([name, count]) => [name, grouped(count)]);
  const of = ({ kind, bytes }: { readonly kind: string; readonly bytes: number }): string =>
    `by ${grouped(bytes)} bytes (${kind})`;
  return [
    `${grouped(inputs)} inputs of ${grouped(bytes)} bytes in ${grouped(seconds)} s`,
    "",
    table(
      ["kind", "inputs", "accepted"],
      Object.entries(kinds)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([kind, count]) => [kind, grouped(count.inputs), grouped(count.accepted)]),
    ),
    "",
    table(["verdict", "inputs"], rows(verdicts)),
    "",
    table(["in accepted files", "sections"], rows(reached)),
    "",
    `codes of stored vectors that were not met: ${missing.join(", ") || "none"}`,
    `slowest: ${slowest.value.toFixed(2)} ms of ${grouped(slowest.allowed)} allowed, ${of(slowest)}`,
    `most memory: ${grouped(largest.value)} bytes of ${grouped(largest.allowed)} allowed, ${of(largest)}`,
    `violations: ${violations === 0 ? "none" : grouped(violations)}`,
  ].join("\n");
}
