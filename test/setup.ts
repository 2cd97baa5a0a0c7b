import fc from "fast-check";

// A run that others wait for says the same every time. To look for what this seed does not find:
//   KILONET_TEST_SEED=$RANDOM npm test
const seed = Number(process.env.KILONET_TEST_SEED ?? 1);
if (!Number.isSafeInteger(seed)) throw new RangeError(`KILONET_TEST_SEED must be a whole number, got ${seed}`);
fc.configureGlobal({ seed });
