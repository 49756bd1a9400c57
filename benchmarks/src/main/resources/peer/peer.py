"""Times a PyTorch training step: the same chain of linear layers, loss and optimizer as the Java sides.

usage: peer.py check | peer.py about | peer.py (lora|full) THREADS ROWS WIDTHS RANK OPTIMIZER
       THREADS: a number, or "default"
"""
import sys

import turns


def loaded(name):
    """The libraries of this process whose file has the name in it."""
    return sorted({line.split()[-1] for line in open("/proc/self/maps") if name in line.split()[-1].rsplit("/", 1)[-1]})


def check():
    try:
        import torch
    except ImportError:
        return "absent"
    torch.randn(64, 64) @ torch.randn(64, 64)
    fast = loaded("openblas") or loaded("libmkl")
    return f"{torch.__version__} " + ("ok" if fast else "reference-blas")


def about():
    """Name=value pairs, apart by tabs."""
    import ctypes
    import re
    import torch

    torch.randn(64, 64) @ torch.randn(64, 64)
    blas = []
    for file in loaded("openblas"):
        library = ctypes.CDLL(file)
        library.openblas_get_config.restype = ctypes.c_char_p
        blas.append(library.openblas_get_config().decode().strip())
    settings = " ".join(re.findall(r"\b(?:BLAS_INFO|LAPACK_INFO|USE_MKL|USE_MKLDNN|USE_OPENMP)=\w+", torch.__config__.show()))
    parallel = "; ".join(line.strip() for line in torch.__config__.parallel_info().splitlines()
                         if re.search(r"get_num_threads|parallel backend", line))
    capability = torch.backends.cpu.get_cpu_capability()
    return "\t".join([f"PyTorch={torch.__version__}, {capability}, {settings}",
                      "PyTorch's BLAS=" + (", ".join(blas) or " ".join(loaded("libmkl")) or "unknown"),
                      f"PyTorch's threads={parallel}"])


def main(mode, threads, rows, widths, rank, optimizer):
    import torch
    from torch import nn

    if threads != "default":
        torch.set_num_threads(int(threads))
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

    turns.take(step)


if __name__ == "__main__":
    if sys.argv[1] == "check":
        print("RESULT", check())
    elif sys.argv[1] == "about":
        print("RESULT", about())
    else:
        main(sys.argv[1], sys.argv[2], int(sys.argv[3]), [int(w) for w in sys.argv[4].split(",")], int(sys.argv[5]), sys.argv[6])
