"""The works of bench/gpu.ts in PyTorch on a GPU: one line of JSON, or one line with the reason why not, and status 1."""

import json
import sys
import time

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    sys.exit(print("python3 has no torch") or 1)
if not torch.cuda.is_available():
    sys.exit(print(f"torch {torch.__version__} finds no GPU") or 1)

device = torch.device("cuda")
torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False


def lenet5():
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 20, 5), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(20, 50, 5), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Flatten(), torch.nn.Linear(800, 500), torch.nn.ReLU(), torch.nn.Linear(500, 10),
    ).to(device)


def lenet300():
    return torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(784, 300), torch.nn.ReLU(),
        torch.nn.Linear(300, 100), torch.nn.ReLU(), torch.nn.Linear(100, 10),
    ).to(device)


def product(n):
    a, b = torch.rand(n, n, device=device), torch.rand(n, n, device=device)
    return lambda: a @ b


def step(network, batch):
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, foreach=True)
    x = torch.rand(batch, 1, 28, 28, device=device)
    y = torch.arange(batch, device=device) % 10

    def run():
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()

    return run


def inference(batch):
    model = lenet5()
    x = torch.rand(batch, 1, 28, 28)

    def run():
        with torch.inference_mode():
            return model(x.to(device)).cpu()

    return run


works = {
    **{f"matmul-{n}": (product, n) for n in (512, 1024, 2048)},
    **{f"lenet300-step-{n}": (step, lenet300, n) for n in (64, 256)},
    **{f"lenet5-step-{n}": (step, lenet5, n) for n in (64, 256)},
    **{f"lenet5-inference-{n}": (inference, n) for n in (1, 256)},
}
milliseconds = {}
for name, (prepare, *sizes) in works.items():
    run = prepare(*sizes)
    for _ in range(20):
        run()
    torch.cuda.synchronize()
    rounds = []
    for _ in range(7):
        start = time.perf_counter()
        for _ in range(50):
            run()
        torch.cuda.synchronize()
        rounds.append((time.perf_counter() - start) / 50 * 1000)
    milliseconds[name] = sorted(rounds)[3]
about = f"torch {torch.__version__} on {torch.cuda.get_device_name()}, float32 without TF32"
print(json.dumps({"about": about, "milliseconds": milliseconds}))
