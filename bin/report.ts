/** Where a command's words go: text for people, or one JSON object per line, the last one the result. */
export interface Report {
  readonly json: boolean;
  /** Something that happened on the way. The text is for people, the object for programs. */
  event(event: Readonly<Record<string, unknown>>, text?: string): void;
  /** What the command was for. Called once, at the end. */
  result(result: Readonly<Record<string, unknown>>, text: string): void;
}

export function reportTo({ json = false }: { readonly json?: boolean | undefined }): Report {
  const print = (text: string): void => console.log(text);
  return {
    json,
    event: (event, text) => {
      if (json) print(JSON.stringify(event));
      else if (text !== undefined) print(text);
    },
    result: (result, text) => print(json ? JSON.stringify(result) : text),
  };
}
