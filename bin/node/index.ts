/** What touches files: data sets, network files, safe writing. */
export { type DataSource, findMnist, openData } from "./data.ts";
export { loadNetwork, type LoadedNetwork, metadataFrom, metadataOf, saveNetwork } from "./networkFile.ts";
export { writeFileSafely } from "./writeFileSafely.ts";
