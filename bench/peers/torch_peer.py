"""PyTorch, speaking the protocol that serve.mjs describes: one JSON request per line in, one answer per line out."""

import json
import math
import os
import pathlib
import sys
import time

threads = int(sys.argv[sys.argv.index("--threads") + 1]) if "--threads" in sys.argv else 1


def processor_flags():
    try:
        return pathlib.Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return []


# OpenBLAS picks its kernels by the processor's model number, and for one younger than itself it falls back to SSE3:
# measured 37 instead of 194 GFLOP/s. So it is told what the processor can do. This must stand before torch loads.
if "avx512bw" in processor_flags():
    os.environ.setdefault("OPENBLAS_CORETYPE", "SKYLAKEX")
elif "avx2" in processor_flags():
    os.environ.setdefault("OPENBLAS_CORETYPE", "HASWELL")
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = str(threads)

import numpy  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

torch.set_num_threads(threads)

described = json.loads(pathlib.Path(__file__).with_name("works.json").read_text())
adam = described["adam"]


def uniform(seed, count, low, high):
    """The generator of works.mjs (mulberry32), all numbers at once."""
    with numpy.errstate(over="ignore"):
        state = numpy.uint32(seed) + numpy.arange(1, count + 1, dtype=numpy.uint32) * numpy.uint32(0x6D2B79F5)
        t = (state ^ (state >> 15)) * (state | 1)
        t ^= t + (t ^ (t >> 7)) * (t | 61)
    return low + (high - low) * (t ^ (t >> 14)).astype(numpy.float64) / 2**32


def tensor(numbers, *shape):
    return torch.from_numpy(numbers.astype(numpy.float32)).reshape(shape)


def parameters(network):
    """Parameters in PyTorch's own order: dense weights as `[out, in]`."""
    made = {}
    for i, (name, shape) in enumerate(described["networks"][network].items()):
        fan_in = numpy.prod(shape[1:]) if len(shape) == 4 else shape[0]
        bound = 0 if name.endswith("Bias") else (6 / fan_in) ** 0.5
        value = tensor(uniform(1000 * (i + 1), numpy.prod(shape), -bound, bound), *shape)
        made[name] = (value.t().contiguous() if len(shape) == 2 else value).requires_grad_()
    return made


def images(batch):
    return uniform(77, batch * 784, 0, 1).astype(numpy.float32)


def labels(batch):
    return torch.from_numpy(uniform(78, batch, 0, 10).astype(numpy.float32).astype(numpy.int64))


def lenet5(p, x):
    x = x.reshape(-1, 1, 28, 28)
    x = F.max_pool2d(F.relu(F.conv2d(x, p["conv1Weight"], p["conv1Bias"])), 2)
    x = F.max_pool2d(F.relu(F.conv2d(x, p["conv2Weight"], p["conv2Bias"])), 2)
    x = F.relu(F.linear(x.flatten(1), p["dense1Weight"], p["dense1Bias"]))
    return F.linear(x, p["dense2Weight"], p["dense2Bias"])


def lenet300(p, x):
    x = F.relu(F.linear(x.reshape(-1, 784), p["dense1Weight"], p["dense1Bias"]))
    x = F.relu(F.linear(x, p["dense2Weight"], p["dense2Bias"]))
    return F.linear(x, p["dense3Weight"], p["dense3Bias"])


networks = {"lenet5": lenet5, "lenet300": lenet300}


def multiplication(work):
    m, k, n = work["m"], work["k"], work["n"]
    a, b = tensor(uniform(1, m * k, -1, 1), m, k), tensor(uniform(2, k * n, -1, 1), k, n)
    places = [(i + 1) * m * n // 8 - 1 for i in range(8)]
    return lambda: a @ b, lambda run: run().flatten()[places].tolist()


def trainer(work):
    p = parameters(work["network"])
    x, y = torch.from_numpy(images(work["batch"])), labels(work["batch"])
    optimizer = torch.optim.Adam(
        p.values(), lr=adam["rate"], betas=(adam["beta1"], adam["beta2"]), eps=adam["epsilon"], foreach=True
    )

    def run():
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(networks[work["network"]](p, x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return run, lambda run: [run(), run(), run()]


def inference(work):
    p = {name: value.detach() for name, value in parameters(work["network"]).items()}
    x = images(work["batch"])

    def run():
        with torch.inference_mode():
            return networks[work["network"]](p, torch.from_numpy(x)).numpy()

    return run, lambda run: [*run()[0].tolist(), *run()[-1].tolist()]


def version():
    """With the BLAS behind it, because a `libblas` without kernels for this processor is a different peer."""
    try:
        maps = pathlib.Path("/proc/self/maps").read_text()
    except OSError:
        return torch.__version__
    found = [name for name in ("openblas", "mkl", "blis", "atlas") if f"lib{name}" in maps or f"{name}-" in maps]
    return f"{torch.__version__} ({', '.join(found) or 'reference BLAS: slow'})"


prepare = {"gemm": multiplication, "step": trainer, "inference": inference}
ready = {}


def measure(run, repetitions, warmup):
    for _ in range(warmup):
        run()
    milliseconds = []
    usage, begin = time.process_time(), time.perf_counter()  # process_time counts all threads
    for _ in range(repetitions):
        start = time.perf_counter()
        result = run()
        milliseconds.append((time.perf_counter() - start) * 1000)
    cores = (time.process_time() - usage) / (time.perf_counter() - begin)
    return result, {"milliseconds": milliseconds, "cores": cores}


def finite(number):
    """JSON has no other numbers."""
    return number if math.isfinite(number) else None


for line in sys.stdin:
    request = json.loads(line)
    name = request["work"]
    work = described["works"][name]
    usage = time.process_time()
    answer = {"peer": "pytorch", "version": version(), "work": name, "threads": threads}
    try:
        if name not in ready:
            ready[name], evidence = prepare[work["kind"]](work)
            answer["evidence"] = [finite(number) for number in evidence(ready[name])]
        result, times = measure(ready[name], request.get("repetitions", 10), request.get("warmup", 1))
        answer.update(times)
        if work["kind"] == "step":
            answer["loss"] = finite(result)
    except Exception as error:  # the driver reports it and asks on
        answer["failed"] = str(error)
    answer["processor"] = (time.process_time() - usage) * 1000
    print(json.dumps(answer), flush=True)
