export const adam: { rate: number; beta1: number; beta2: number; epsilon: number };
export function parameters(network: string): Record<string, { shape: number[]; data: Float32Array<ArrayBuffer> }>;
export function examples(batch: number): { images: Float32Array; labels: Int32Array };
export function factors(sizes: { m: number; k: number; n: number }): { a: Float32Array; b: Float32Array };
