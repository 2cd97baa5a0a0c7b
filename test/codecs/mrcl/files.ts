import { existsSync } from "node:fs";
import { join } from "node:path";
import { BitWriter } from "../../../codecs/bits.ts";
import { ByteWriter } from "../../../codecs/bytes.ts";
import type { MrclContent } from "../../../codecs/mrcl/readMrcl.ts";

/** What a legacy file would be: scales and indices, the highest bit first. */
export function mrclFile({ bits, logScales, indices }: MrclContent): Uint8Array {
  const to = new ByteWriter();
  const writer = new BitWriter(to);
  for (const word of new Uint32Array(logScales.buffer, logScales.byteOffset, logScales.length)) writer.bits(word, 32);
  for (const index of indices) writer.bits(index, bits);
  writer.finish();
  return to.finish();
}

/**
 * Where the published files are: $KILONET_MRCL, else reference/mrcl beside $KILONET_DATA. Nobody has stated a licence
 * for them, so that this project holds neither the files nor what they decode to.
 */
export function publishedFolder(): string | undefined {
  const { KILONET_MRCL, KILONET_DATA } = process.env;
  const folder = KILONET_MRCL ?? (KILONET_DATA ? join(KILONET_DATA, "..", "reference", "mrcl") : undefined);
  return folder !== undefined && existsSync(folder) ? folder : undefined;
}

/** Why tests of the published files are skipped, or false. */
export const noPublished =
  publishedFolder() === undefined &&
  "the published .mrcl files are not here: KILONET_MRCL names their folder (else $KILONET_DATA/../reference/mrcl)";
