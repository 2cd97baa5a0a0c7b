// Whose time it is: clocks around the calls of gpu.js and of Dawn, each counted without those that it makes in turn.

interface Shares {
  /** ms. What is in no call: the runtime and the backend. */
  ours: number;
  gpujs: number;
  /** Dawn and the driver under it, as far as they keep the caller waiting. */
  driver: number;
  /** Between a wish to read and its fulfilment, calls apart. */
  waiting: number;
  dispatches: number;
}

const none: Shares = { ours: 0, gpujs: 0, driver: 0, waiting: 0, dispatches: 0 };
let shares = { ...none };
type Owner = Exclude<keyof Shares, "dispatches">;
let owner: Owner = "ours";
let since = 0;

function turn(to: Owner): Owner {
  const now = performance.now();
  shares[owner] += now - since;
  since = now;
  const before = owner;
  owner = to;
  return before;
}

export const clock = {
  start(): void {
    shares = { ...none };
    owner = "ours";
    since = performance.now();
  },
  wait: (): void => void turn("waiting"),
  resume: (): void => void turn("ours"),
  stop(): Shares {
    turn("ours");
    return shares;
  },
};

type Methods = Record<string, (...from: unknown[]) => unknown>;
const undo: (() => void)[] = [];

function around(object: object, names: readonly string[], whose: Owner): void {
  const methods = object as Methods;
  for (const name of names) {
    const own = Object.getOwnPropertyDescriptor(methods, name);
    const plain = methods[name]!;
    methods[name] = function (this: unknown, ...from: unknown[]) {
      if (name === "dispatchWorkgroups") shares.dispatches += 1;
      const before = turn(whose);
      try {
        return plain.apply(this, from);
      } finally {
        turn(before);
      }
    };
    undo.push(() => {
      if (own === undefined) delete methods[name];
      else Object.defineProperty(methods, name, own);
    });
  }
}

/** Puts the clocks there. */
export function watch(gpujs: object, device: object): void {
  const { GPU } = gpujs as { GPU: new (settings: object) => { createKernel(...from: unknown[]): { kernel: object } } };
  const { kernel } = new GPU({ mode: "webgpu" }).createKernel("function () { return 1; }", { output: [1] });
  around(GPU.prototype as object, ["createKernel"], "gpujs");
  around(Object.getPrototypeOf(kernel) as object, ["build", "run"], "gpujs");
  const { queue, createCommandEncoder } = device as { queue: object; createCommandEncoder: () => object };
  const encoder = createCommandEncoder.call(device) as { beginComputePass(): { end(): void }; finish(): void };
  const pass = encoder.beginComputePass();
  pass.end();
  encoder.finish();
  around(Object.getPrototypeOf(encoder) as object, ["beginComputePass", "copyBufferToBuffer", "finish"], "driver");
  const commands = ["setPipeline", "setBindGroup", "dispatchWorkgroups", "end"];
  around(Object.getPrototypeOf(pass) as object, commands, "driver");
  around(queue, ["writeBuffer", "submit"], "driver");
  const makers = [
    "createBindGroup", "createBindGroupLayout", "createBuffer", "createCommandEncoder", "createComputePipeline",
    "createPipelineLayout", "createShaderModule", "popErrorScope", "pushErrorScope",
  ];
  around(device, makers, "driver");
}

/** Takes them away. */
export function restore(): void {
  for (const back of undo.splice(0).reverse()) back();
}
