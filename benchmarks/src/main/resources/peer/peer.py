"""Times a PyTorch training step: the same chain of linear layers, loss and optimizer as the Java sides.

usage: peer.py check | peer.py (lora|full) ROWS WIDTHS RANK OPTIMIZER
"""
import statistics
import sys
import time


def check():
    try:
        import torch
    except ImportError:
        return "absent"
    torch.randn(64, 64) @ torch.randn(64, 64)
    maps = open("/proc/self/maps").read()
    fast = "openblas" in maps or "libmkl" in maps
    return f"{torch.__version__} " + ("ok" if fast else "reference-blas")


def main(mode, rows, widths, rank, optimizer):
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(1)

    class LoRALinear(nn.Module):
        def __init__(self, base, r):
            super().__init__()
            self.base = base
            for p in base.parameters():
                p.requires_grad_(False)
            self.lora_a = nn.Parameter(torch.empty(r, base.in_features))
            self.lora_b = nn.Parameter(torch.zeros(base.out_features, r))
            nn.init.kaiming_uniform_(self.lora_a, a=5 ** 0.5)
            self.scaling = 1.0

        def forward(self, x):
            return self.base(x) + (x @ self.lora_a.T @ self.lora_b.T) * self.scaling

    layers = []
    for i in range(len(widths) - 1):
        linear = nn.Linear(widths[i], widths[i + 1])
        layers += [LoRALinear(linear, rank) if mode == "lora" else linear, nn.ReLU()]
    net = nn.Sequential(*layers)
    trained = [p for p in net.parameters() if p.requires_grad]
    opt = torch.optim.SGD(trained, lr=1e-4) if optimizer == "SGD" else torch.optim.Adam(trained, lr=1e-4)
    x, y = torch.randn(rows, widths[0]), torch.randn(rows, widths[-1])
    loss_fn = nn.MSELoss()

    def step():
        opt.zero_grad(set_to_none=True)
        loss_fn(net(x), y).backward()
        opt.step()

    def run(seconds, fewest):
        times, begin = [], time.perf_counter()
        while len(times) < fewest or (time.perf_counter() - begin < seconds and len(times) < 5000):
            t = time.perf_counter()
            step()
            times.append((time.perf_counter() - t) * 1e3)
        return times

    run(1.5, 15)
    return statistics.median(run(3.0, 15))


if __name__ == "__main__":
    if sys.argv[1] == "check":
        print("RESULT", check())
    else:
        print("RESULT", main(sys.argv[1], int(sys.argv[2]), [int(w) for w in sys.argv[3].split(",")],
                             int(sys.argv[4]), sys.argv[5]))
