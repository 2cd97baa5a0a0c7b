// The mode of gpu.js that runs on a GPU in browsers without WebGPU. Numbers are textures of ours, which kernels are
// made to read and to write; all that is asked for goes to the driver at once and in order, and only reading waits.

import { DeviceError } from "../../errors.ts";
import { type Given, type GpuDevice, kernelOf, lengthOf, type Numbers, openGpu } from "./device.ts";
import type { GlArgument, Gpu, GpuJs, WebGlKernel } from "./gpujs.ts";
import type { Pass } from "./plan.ts";

/** Numbers in a texture. gpu.js tells arguments apart by their class. */
class TextureNumbers implements Numbers, GlArgument {
  readonly type = "ArrayTexture(1)";
  readonly length: number;
  readonly context: WebGL2RenderingContext;
  readonly texture: WebGLTexture;
  readonly size: readonly [number, number];
  readonly dimensions: readonly [length: number, 1, 1];
  readonly output: readonly [length: number];
  /** What was uploaded, if that must be looked at. */
  readonly watched: Float32Array | null;
  owners = 1;

  constructor(gl: WebGL2RenderingContext, texture: Texture, length: number, watched: Float32Array | null) {
    this.length = length;
    this.context = gl;
    this.texture = texture.texture;
    this.size = texture.size;
    this.dimensions = [length, 1, 1];
    this.output = [length];
    this.watched = watched;
  }

  /** What is written to has no other owner. */
  beforeMutate(): boolean {
    return false;
  }

  /** Textures are given back by their owners, not by kernels. */
  delete(): void {}
}

interface Texture {
  readonly texture: WebGLTexture;
  readonly size: readonly [number, number];
}

export class WebGlDevice implements GpuDevice {
  readonly mode = "webgl2";
  readonly description: string;
  readonly #gpujs: GpuJs;
  readonly #gpu: Gpu;
  readonly #gl: WebGL2RenderingContext;
  readonly #kernels = new Map<Pass, WebGlKernel["kernel"]>();
  /** Textures that nobody owns, by size. A step takes what the step before it gave back: memory does not grow. */
  readonly #free = new Map<string, Texture[]>();
  readonly #all = new Set<WebGLTexture>();
  readonly #reader: WebGLFramebuffer;
  /** Why nothing works any more, or null. */
  #failure: DeviceError | null = null;

  /** Throws DeviceError where there is no WebGL 2, as in Node, or gpu.js cannot run on it. */
  constructor(gpujs: GpuJs) {
    const canvas = typeof OffscreenCanvas === "undefined" ? null : new OffscreenCanvas(1, 1);
    if (canvas === null) throw new DeviceError("gpu: mode webgl2 needs a browser: there is no WebGL 2 here");
    const gl = canvas.getContext("webgl2", { alpha: false, depth: false, antialias: false });
    if (gl === null) throw new DeviceError("gpu: mode webgl2 finds no adapter: this browser has no WebGL 2");
    canvas.addEventListener("webglcontextlost", () => this.#lose());
    this.#gpujs = gpujs;
    this.#gl = gl;
    // gpu.js makes its canvas as large as the largest result; ours shows nothing and stays small.
    this.#gpu = openGpu(gpujs, { mode: this.mode, context: gl, canvas: { width: 1, height: 1 } });
    this.#reader = gl.createFramebuffer();
    this.description = `adapter ${adapterOf(gl)}`;
  }

  #lose(): void {
    const why = "the driver was reset, or a kernel ran for too long";
    this.#failure ??= new DeviceError(`gpu: the device was lost (WebGL 2): ${why}`);
  }

  get compiled(): number {
    return this.#kernels.size;
  }

  get buffers(): number {
    return this.#all.size;
  }

  upload(values: ArrayLike<number>, watched: boolean): Numbers {
    const gl = this.#gl;
    const copy = Float32Array.from(values);
    const numbers = this.#take("an upload", copy.length, watched ? copy : null);
    const [width, height] = numbers.size;
    const texels = new Float32Array(width * height);
    texels.set(copy);
    gl.bindTexture(gl.TEXTURE_2D, numbers.texture);
    gl.pixelStorei(gl.UNPACK_FLIP_Y_WEBGL, false);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, width, height, gl.RED, gl.FLOAT, texels);
    return numbers;
  }

  #take(name: string, length: number, watched: Float32Array | null): TextureNumbers {
    this.#check();
    const { 0: width, 1: height } = this.#gpujs.utils.closestSquareDimensions(length) as readonly [number, number];
    const texture = this.#free.get(`${width} ${height}`)?.pop() ?? this.#create(name, length, [width, height]);
    return new TextureNumbers(this.#gl, texture, length, watched);
  }

  #create(name: string, length: number, size: readonly [number, number]): Texture {
    const gl = this.#gl;
    const [width, height] = size;
    const limit = gl.getParameter(gl.MAX_TEXTURE_SIZE) as number;
    if (Math.max(width, height) > limit) {
      const found = `${length} numbers take a texture of ${width} x ${height}, and the adapter's limit is ${limit}`;
      throw new DeviceError(`gpu: mode ${this.mode} cannot do ${name}: ${found}`);
    }
    const texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    // Floats are not filtered everywhere: without these a texture would be taken for incomplete, and read as zeros.
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    gl.texStorage2D(gl.TEXTURE_2D, 1, gl.R32F, width, height);
    this.#all.add(texture);
    return { texture, size };
  }

  #check(): void {
    if (this.#failure !== null) throw this.#failure;
  }

  look(numbers: Numbers): Float32Array | null {
    return (numbers as TextureNumbers).watched;
  }

  async read(numbers: Numbers): Promise<Float32Array> {
    this.#check();
    const gl = this.#gl;
    const { texture, size: [width, height], length } = numbers as TextureNumbers;
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.#reader);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
    // The one format that every driver reads floats in: four of them per number.
    const texels = new Float32Array(4 * width * height);
    const buffer = gl.createBuffer();
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, buffer);
    gl.bufferData(gl.PIXEL_PACK_BUFFER, texels.byteLength, gl.STREAM_READ);
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.FLOAT, 0);
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null);
    await this.#finish();
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, buffer);
    gl.getBufferSubData(gl.PIXEL_PACK_BUFFER, 0, texels);
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null);
    gl.deleteBuffer(buffer);
    const error = gl.getError();
    if (gl.isContextLost()) this.#lose();
    this.#check();
    if (error !== gl.NO_ERROR) {
      throw (this.#failure = new DeviceError(`gpu: mode webgl2 stopped: WebGL error 0x${error.toString(16)}`));
    }
    return Float32Array.from({ length }, (_, i) => texels[4 * i]!);
  }

  /** Waits until the driver has done all that was asked for so far. */
  async #finish(): Promise<void> {
    const gl = this.#gl;
    const fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0)!;
    gl.flush();
    while (!gl.isContextLost() && gl.getSyncParameter(fence, gl.SYNC_STATUS) !== gl.SIGNALED) {
      await new Promise((resolve) => setTimeout(resolve));
    }
    gl.deleteSync(fence);
  }

  launch(name: string, pass: Pass, arrays: readonly Numbers[], given: Given): Numbers {
    this.#check();
    if (pass.onHost !== undefined) return this.upload(pass.onHost(given.values, lengthOf(pass)), false);
    const values = [...(arrays as readonly TextureNumbers[]), ...given.values];
    const numbers = this.#take(name, lengthOf(pass), null);
    const kernel = this.#kernels.get(pass) ?? this.#compile(name, pass, given, values, numbers);
    kernel.texture = numbers;
    kernel._textureSwitched = true;
    kernel.run(...values);
    return numbers;
  }

  #compile(
    name: string,
    pass: Pass,
    given: Given,
    values: readonly unknown[],
    output: TextureNumbers,
  ): WebGlKernel["kernel"] {
    try {
      if (pass.helpers !== undefined) throw new Error("it needs exact integers");
      const [source, settings] = kernelOf(folded(pass), given);
      const { kernel } = this.#gpu.createKernel(source, {
        ...settings,
        argumentTypes: settings.argumentTypes.map((type) => (type === "Input" ? "ArrayTexture(1)" : type)),
        pipeline: true,
        precision: "single",
        tactic: "precision",
        returnType: "Float",
      }) as unknown as WebGlKernel;
      if (!(kernel instanceof this.#gpujs.WebGL2Kernel)) throw new Error("another mode took over");
      // With a texture at hand gpu.js makes none of its own.
      kernel.texture = output;
      kernel.build(...values);
      if (kernel.fallbackRequested === true) throw new Error("another mode took over");
      this.#kernels.set(pass, kernel);
      return kernel;
    } catch (cause) {
      this.release(output);
      if (cause instanceof DeviceError) throw cause;
      throw new DeviceError(`gpu: mode webgl2 cannot do ${name}: ${String(cause)}`, { cause });
    }
  }

  flush(): void {
    this.#gl.flush();
  }

  keep(numbers: Numbers): void {
    (numbers as TextureNumbers).owners += 1;
  }

  /** What was ordered so far still reads the numbers: a texture's next use comes behind it. */
  release(numbers: Numbers): void {
    const own = numbers as TextureNumbers;
    own.owners -= 1;
    if (own.owners > 0 || !this.#all.has(own.texture)) return;
    const key = own.size.join(" ");
    const waiting = this.#free.get(key);
    if (waiting === undefined) this.#free.set(key, [own]);
    else waiting.push(own);
  }

  async close(): Promise<void> {
    this.#failure ??= new DeviceError("gpu: the device is closed");
    this.#kernels.clear();
    for (const texture of this.#all) this.#gl.deleteTexture(texture);
    this.#all.clear();
    this.#free.clear();
    await this.#gpu.destroy();
  }
}

/**
 * The same with rows along z. gpu.js gives a result with two axes a texture of that width and height, and any other one
 * the most square texture that holds it: so the texture follows from the number of elements alone, whatever made them,
 * and no side is longer than the adapter takes.
 */
function folded(pass: Pass): Pass {
  const { threads: [columns, rows, ...further], body } = pass;
  if (rows === undefined || further.length > 0) return pass;
  return { ...pass, threads: [columns!, 1, rows], body: body.replaceAll("this.thread.y", "this.thread.z") };
}

/** An adapter as people know it. */
function adapterOf(gl: WebGL2RenderingContext): string {
  const names = gl.getExtension("WEBGL_debug_renderer_info");
  return String(gl.getParameter(names === null ? gl.RENDERER : names.UNMASKED_RENDERER_WEBGL));
}
