/** The process of a campaign: `process.ts <seconds> <seed> <diary>`, started by `supervise`. */
import { campaign, type Findings } from "./campaign.ts";
import { openDiary, type Told } from "./supervise.ts";

const [seconds, seed, path] = process.argv.slice(2);
/** Waited for: words leave the process only while it does nothing else. */
const tell = (told: Told): Promise<void> =>
  new Promise((resolve) => process.send!(told, undefined, undefined, () => resolve()));

const diary = openDiary(path!);
let end = Infinity;
let next = 0;
// Where a refusal was made, which takes longer to find than the refusal, is of no interest: there are millions.
Error.stackTraceLimit = 0;
const findings = await campaign({
  seed: Number(seed),
  about: (kind, bytes) => diary.write(kind, bytes),
  found: (violation) => tell({ violation }),
  goOn: async (current: () => Findings) => {
    const now = performance.now();
    // The time is for inputs: what it takes to be ready for them depends on the computer.
    if (end === Infinity) end = now + 1000 * Number(seconds);
    if (now >= next) {
      next = now + 250;
      await tell({ findings: current(), done: false });
    }
    return now < end;
  },
});
diary.close();
await tell({ findings, done: true });
process.disconnect();
