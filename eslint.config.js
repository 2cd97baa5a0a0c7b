import { readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { dirname, join, relative, sep } from "node:path";
import js from "@eslint/js";
import tseslint from "typescript-eslint";

const root = import.meta.dirname;
const { dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/** What a codec may know of the runtime: data and exact arithmetic, nothing that computes on tensors. */
const plain = ["architectures", "errors", "math", "network", "random", "shape", "weights"].map(
  (name) => `lib/${name}.ts`,
);

/** The codecs that choose and lose, and may use the whole runtime for it. Every other one works on bytes. */
const methods = ["gpfq", "gtc", "lump", "miracle", "prune", "quantize", "reduce", "sensitivity", "squeeze"].map(
  (name) => `codecs/${name}.ts`,
);

/** Of the packages, the only ones that the runtime may load, and when a GPU is asked for. */
const gpuPackages = ["gpu.js", "webgpu"];

const isBytes = (path) => path.startsWith("codecs/") && path !== "codecs/index.ts" && !isMethod(path);
// A method that outgrows its file becomes a folder of its name.
const isMethod = (path) => methods.some((method) => path === method || path.startsWith(method.replace(".ts", "/")));

/**
 * Why `file` must not import `target` (a path in the repository, a package or a built-in module), or undefined. Paths
 * are relative to the root. Files and folders not named here, such as test and bench, import what they like.
 */
function objection(file, target, { isFile, isLazy }) {
  const [room] = file.split("/");
  const inRoom = (...rooms) => isFile && rooms.some((name) => target.startsWith(`${name}/`));
  switch (room) {
    case "lib":
      if (plain.includes(file) && !plain.includes(target)) return "a plain part of lib imports only plain parts";
      if (inRoom("lib")) return undefined;
      if (isLazy && file.startsWith("lib/backends/") && isBuiltin(target)) return undefined;
      if (isLazy && file.startsWith("lib/backends/gpu/") && gpuPackages.includes(target)) return undefined;
      return "lib knows nobody; its backends may load a built-in module lazily, and lib/backends/gpu gpu.js";
    case "codecs":
      if (isBytes(file) && !isBytes(target) && !plain.includes(target)) {
        return "a byte module imports only its like and plain parts of lib (eslint.config.js lists the methods)";
      }
      return inRoom("lib", "codecs") ? undefined : "codecs import only lib and codecs";
    case "models":
      return inRoom("lib", "models") ? undefined : "models import only lib and models";
    case "bin":
      if (inRoom("lib", "codecs", "models", "bin") || isBuiltin(target) || target in dependencies) return undefined;
      return "bin imports the four rooms, built-in modules and the dependencies of package.json";
    default:
      return undefined;
  }
}

const imports = {
  create(context) {
    const file = relative(root, context.filename).split(sep).join("/");
    const check = (source, isLazy) => {
      if (source?.type !== "Literal") return;
      const isFile = source.value.startsWith(".");
      const target = isFile ? join(dirname(file), source.value).split(sep).join("/") : source.value;
      const message = objection(file, target, { isFile, isLazy });
      if (message !== undefined) context.report({ node: source, message: `${target}: ${message}` });
    };
    return {
      ImportDeclaration: ({ source }) => check(source, false),
      ExportNamedDeclaration: ({ source }) => check(source, false),
      ExportAllDeclaration: ({ source }) => check(source, false),
      ImportExpression: ({ source }) => check(source, true),
      // No more than a lazy import does a type reach the program that runs.
      TSImportType: ({ source }) => check(source, true),
    };
  },
};

const width = {
  create(context) {
    return {
      Program() {
        for (const [index, line] of context.sourceCode.lines.entries()) {
          const loc = { line: index + 1, column: 120 };
          if (line.length > 120) context.report({ loc, message: `a line of ${line.length}, at most 120` });
        }
      },
    };
  },
};

const noRandom = { object: "Math", property: "random", message: "Draws come from lib/random.ts, by seed." };

/** May differ between engines in the last bit (lib/math.ts has ours). `**` is Math.pow: exact for whole powers of 2. */
const inexact = [
  ["acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "cos", "cosh", "exp", "expm1", "hypot"],
  ["log", "log10", "log1p", "log2", "pow", "sin", "sinh", "tan", "tanh"],
].flat();
const exactly = "Engines differ in its last bit: lib/math.ts has an exact one.";
const noInexact = inexact.map((property) => ({ object: "Math", property, message: exactly }));
const noPower = {
  selector: ":matches(BinaryExpression[operator='**'], AssignmentExpression[operator='**=']):not([left.value=2])",
  message: `${exactly} Only whole powers of 2 are the same everywhere.`,
};

/** What a browser does not have, and what would make the same call give something else. */
const restricted = (names, message) => names.map((name) => ({ name, message }));
const node = restricted(
  ["process", "Buffer", "require", "module", "global", "__dirname", "__filename", "setImmediate", "clearImmediate"],
  "This runs in a browser unchanged: Node's own names live in bin.",
);
const network = restricted(["fetch", "XMLHttpRequest", "WebSocket"], "Bytes in, bytes out: the network lives in bin.");
const clock = restricted(["Date", "performance", "Intl"], "A codec knows neither clock nor locale.");

export default tseslint.config(
  { ignores: ["dist/", "bench/peers/", ".cache/"] },
  js.configs.recommended,
  tseslint.configs.recommended,
  {
    linterOptions: { reportUnusedDisableDirectives: "error" },
    plugins: { kilonet: { rules: { imports, width } } },
    rules: {
      eqeqeq: "error",
      "kilonet/imports": "error",
      "kilonet/width": "error",
      // Text from files is checked for them.
      "no-control-regex": "off",
      "no-restricted-properties": ["error", noRandom],
      "no-var": "error",
      "object-shorthand": "error",
      "prefer-const": "error",
    },
  },
  {
    files: ["**/*.js"],
    languageOptions: { globals: { console: "readonly", process: "readonly", URL: "readonly" } },
  },
  {
    // The launcher loads tsx in a clone and the build once installed.
    files: ["bin/kilonet.js"],
    rules: { "kilonet/imports": "off" },
  },
  {
    files: ["**/*.ts"],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: root } },
    rules: {
      "@typescript-eslint/await-thenable": "error",
      "@typescript-eslint/no-floating-promises": [
        "error",
        { allowForKnownSafeCalls: [{ from: "package", package: "node:test", name: ["suite", "test"] }] },
      ],
      "@typescript-eslint/no-misused-promises": "error",
      "@typescript-eslint/only-throw-error": "error",
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
    },
  },
  {
    files: ["lib/**/*.ts", "codecs/**/*.ts", "models/**/*.ts"],
    rules: {
      "no-console": "error",
      "no-restricted-globals": ["error", ...node, ...network],
      "no-restricted-properties": ["error", noRandom, ...noInexact],
      "no-restricted-syntax": ["error", noPower],
    },
  },
  {
    // A backend looks where it runs before it starts threads.
    files: ["lib/backends/**/*.ts"],
    rules: { "no-restricted-globals": ["error", ...node.filter(({ name }) => name !== "process"), ...network] },
  },
  {
    files: ["codecs/**/*.ts"],
    rules: { "no-restricted-globals": ["error", ...node, ...network, ...clock] },
  },
  {
    files: ["codecs/**/*.ts"],
    ignores: methods.flatMap((method) => [method, method.replace(".ts", "/**")]),
    rules: {
      "no-restricted-properties": [
        "error",
        noRandom,
        ...noInexact,
        { object: "Math", property: "sqrt", message: "No root in a decoder: integers and + - * / only." },
        { property: "localeCompare", message: "A codec knows no locale." },
        { property: "toLocaleString", message: "A codec knows no locale." },
      ],
    },
  },
);
