import { meanings } from "./fieldMeanings.ts";

/** Each colour in two shades, for light screens and for dark ones. */
export function style(): string {
  const shades = (lightness: readonly [number, number], saturation: number): string =>
    Object.entries(meanings)
      .flatMap(([name, { hue }]) => {
        const colour = (i: 0 | 1): string => `hsl(${hue ?? 0} ${hue === null ? 0 : saturation}% ${lightness[i]}%)`;
        return [`--${name}: ${colour(0)};`, `--${name}-odd: ${colour(1)};`];
      })
      .join("\n");
  const classes = Object.keys(meanings).map(
    (name) => `.${name} { background: var(--${name}); }\n.${name}.odd { background: var(--${name}-odd); }`,
  );
  const light = "--page: #fff; --ink: #1c1e21; --soft: #666b73; --line: #dfe2e6; --mark: #d0006f;";
  const dark = "--page: #15171a; --ink: #e8eaed; --soft: #9aa0a8; --line: #33373d; --mark: #ff6ab3;";
  return [
    `:root {\n${light}\n${shades([89, 81], 78)}\n}`,
    `@media (prefers-color-scheme: dark) {\n:root {\n${dark}\n${shades([25, 33], 48)}\n}\n}`,
    ...classes,
    rules,
  ].join("\n");
}

const rules = `* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem; max-width: 110rem;
  background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif;
}
h1 { font-size: 1.6rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 1.6rem 0 0.5rem; }
p { margin: 0.2rem 0; color: var(--soft); }
a { color: inherit; text-decoration: none; }
a:hover { outline: 2px solid var(--ink); outline-offset: -1px; }
a:target, a:has(:target), tr:target td { outline: 2px solid var(--mark); outline-offset: -1px; }
table { border-collapse: collapse; }
th, td { text-align: left; vertical-align: top; padding: 0.15rem 0.7rem 0.15rem 0; overflow-wrap: anywhere; }
th, td { border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); white-space: nowrap; }
td.size { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.bar { display: flex; height: 1.2rem; border: 1px solid var(--line); }
ul { display: flex; flex-wrap: wrap; gap: 0.2rem 1.6rem; list-style: none; padding: 0; margin: 0.5rem 0; }
li b { display: inline-block; width: 1em; height: 1em; margin-right: 0.45em; vertical-align: -0.12em; }
li b { border: 1px solid var(--line); }
.columns { display: flex; gap: 1.2rem; width: max-content; }
pre, .bits { margin: 0; font: 13px/1.55 ui-monospace, "DejaVu Sans Mono", Consolas, monospace; }
.offsets, .bits, .fields i { color: var(--soft); }
.offsets { user-select: none; }
.bits { white-space: nowrap; }
.fields table { width: 100%; }
.fields td.size { padding-left: 0.7rem; }
.fields td:last-child { width: 45%; }
.fields td:first-child { padding-left: 0.5rem; white-space: nowrap; font-variant-numeric: tabular-nums; }
@media (min-width: 75rem) {
  main { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 2.5rem; align-items: start; }
  .dump { position: sticky; top: 0; max-height: 100vh; overflow: auto; padding-right: 1rem; }
}
@media (max-width: 75rem) {
  .dump, .fields { overflow-x: auto; }
}
`;
