/** Data that cannot be used: a damaged or foreign file, an empty set, labels that do not fit. */
export class DataError extends Error {
  override readonly name = "DataError";
  /** For programs: stays the same when the wording of the message changes. */
  readonly code: string;
  /** The byte at which it was noticed, of the decompressed data once that is at hand; undefined where there is none. */
  readonly offset: number | undefined;

  constructor(code: string, message: string, offset?: number) {
    super(offset === undefined ? message : `${message} (at byte ${offset})`);
    this.code = code;
    this.offset = offset;
  }
}
