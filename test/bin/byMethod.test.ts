import assert from "node:assert/strict";
import { test } from "node:test";
import { compressByMethod } from "../../bin/byMethod.ts";
import type { Job } from "../../bin/job.ts";
import { progressDisplay } from "../../bin/progress.ts";
import { reportTo } from "../../bin/report.ts";
import { pack, type Section, toWeights } from "../../codecs/index.ts";
import { createRuntime } from "../../lib/index.ts";
import { glyphs, initialise, lenet300 as network } from "../../models/index.ts";

const metadata = [["data", "glyphs"]] as const;

async function withJob(body: (job: Job) => Promise<void>): Promise<void> {
  const runtime = await createRuntime({ threads: 1 });
  const sizeOf = (sections: readonly Section[]): number => pack({ network, sections, metadata }).length;
  await body({
    network,
    weights: initialise(network, 1),
    chain: { runtime, network, training: glyphs({ count: 400, seed: 1 }), seed: 1 },
    report: reportTo({ json: true }),
    display: progressDisplay(),
    sizeOf,
    checkpoint: undefined,
  });
  await runtime.close();
}

test("compress by MIRACLE: the whole file, metadata included, keeps to its bytes", () =>
  withJob(async (job) => {
    const recipe = { bits: 10, training: 20, refit: 0, batch: 40 };
    const { sections } = await compressByMethod(job, { codec: "miracle", bytes: 500, live: [8, 6], recipe });
    const size = job.sizeOf(sections);
    assert.ok(size <= 500 && size > 495, `${size}`);
    const first = toWeights({ network, sections })[0]!;
    assert.ok(first.values.every((value, i) => (value !== 0) === i % 300 < 8));
  }));

test("compress by squeeze: the same", () =>
  withJob(async (job) => {
    const recipe = { training: 60, batch: 40 };
    const { sections } = await compressByMethod(job, { codec: "squeeze", bytes: 500, live: [8, 6], recipe });
    assert.ok(job.sizeOf(sections) <= 500);
    assert.deepEqual(sections.map(({ coded }) => coded.method), ["levels"]);
  }));
