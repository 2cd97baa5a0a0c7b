// A browser without a window, on graphics adapters that are programs.

import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The program's path or name: what `CHROMIUM` says, or what is installed. `null` where there is none. */
export function findChromium(): string | null {
  const { CHROMIUM } = process.env;
  const names = CHROMIUM === undefined ? ["chromium", "chromium-browser", "google-chrome"] : [CHROMIUM];
  return names.find((name) => spawnSync(name, ["--version"]).status === 0) ?? null;
}

const flags = [
  "--headless",
  // Containers give little of that memory.
  "--disable-dev-shm-usage",
  "--no-first-run",
  "--disable-extensions",
  "--disable-background-networking",
  // WebGPU and WebGL 2 on SwiftShader, which computes on the processor.
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--enable-unsafe-swiftshader",
];

/**
 * Opens a page, and hands over `ended`, which settles when the browser ends by itself: with what it printed, for those
 * who still wait for it. `end` ends it and removes what it wrote.
 */
export function openChromium(program: string, address: string): { ended: Promise<string>; end: () => Promise<void> } {
  const folder = mkdtempSync(join(tmpdir(), "kilonet-chromium-"));
  // Its sandbox refuses to run for root.
  const sandbox = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  const browser = spawn(program, [...flags, ...sandbox, `--user-data-dir=${folder}`, address], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let printed = "";
  browser.stderr.setEncoding("utf8").on("data", (text: string) => (printed = (printed + text).slice(-4000)));
  const ended = new Promise<string>((resolve) => {
    browser.on("error", (error) => resolve(String(error)));
    browser.on("close", (code) => resolve(`exit code ${code}: ${printed}`));
  });
  const end = async (): Promise<void> => {
    browser.kill();
    await ended;
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  return { ended, end };
}
