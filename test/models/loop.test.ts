import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { pace, runSteps } from "../../models/index.ts";

suite("runSteps", () => {
  const quiet = pace({ clock: () => 0 });

  test("runs what is left, in order, and pauses where it must and after the last step", async () => {
    const steps: number[] = [];
    const pauses: number[] = [];
    const done = await runSteps({
      done: 2,
      steps: 9,
      step: (number) => void steps.push(number),
      mustPause: (done) => done % 4 === 0,
      pause: async (done) => void pauses.push(done),
      pace: quiet,
    });
    assert.equal(done, 9);
    assert.deepEqual(steps, [2, 3, 4, 5, 6, 7, 8]);
    assert.deepEqual(pauses, [4, 8, 9]);
  });

  test("pauses by the clock too", async () => {
    let time = 0;
    const pauses: number[] = [];
    await runSteps({
      done: 0,
      steps: 6,
      step: () => void (time += 100),
      mustPause: () => false,
      pause: async (done) => void pauses.push(done),
      pace: pace({ interval: 200, clock: () => time }),
    });
    assert.deepEqual(pauses, [2, 4, 6]);
  });

  test("ends after the step under way when the signal comes, and the program is heard in between", async () => {
    const controller = new AbortController();
    const options = { done: 0, steps: 1000, mustPause: () => false, pause: async () => {}, signal: controller.signal };
    assert.equal(
      await runSteps({ ...options, step: (number) => number === 3 && controller.abort(), pace: quiet }),
      4,
    );
    const timed = new AbortController();
    setTimeout(() => timed.abort(), 0);
    // Only a loop that lets timers run can be told to end.
    const heard = { ...options, steps: 1e5, signal: timed.signal, pace: pace({ interval: 0 }) };
    const done = await runSteps({ ...heard, step: () => {} });
    assert.ok(done > 0 && done < 1e5, `${done} steps`);
  });

  test("has nothing to do when all is done", async () => {
    const never = (): never => assert.fail();
    const done = await runSteps({ done: 5, steps: 5, step: never, mustPause: never, pause: never, pace: quiet });
    assert.equal(done, 5);
  });
});
