"""Times a training step and a forward pass of convolutions or LSTMs with LoRA in PyTorch: the networks of PeerTask, with an
output layer of ten classes that is trained too.

usage: layers.py (convolution|lstm) WIDTH EXTENT BATCH RANK ALPHA (plain|tuned) THREADS [FOLDER]
       WIDTH: channels or units. EXTENT: width and height of the images, or steps
       tuned: images in channels_last, LSTMs without oneDNN
       THREADS: a number, or "default"
       FOLDER: written by PeerChild. Prints instead how far loss and gradients there are from PyTorch's, relative to their size
"""
import os
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

CLASSES = 10


class LoRAConvolution(nn.Module):
    """As PEFT has it: A is a convolution to RANK channels, B one of 1x1."""

    def __init__(self, width, rank, scaling):
        super().__init__()
        self.base = nn.Conv2d(width, width, 3, padding=1).requires_grad_(False)
        self.lora_a = nn.Conv2d(width, rank, 3, padding=1, bias=False)
        self.lora_b = nn.Conv2d(rank, width, 1, bias=False)
        nn.init.zeros_(self.lora_b.weight)
        self.scaling = scaling

    def forward(self, x):
        return self.base(x) + self.lora_b(self.lora_a(x)) * self.scaling


class Convolutions(nn.Module):
    """Images [batch, channels, height, width] to logits [batch, CLASSES]."""

    HEAD = 4  # the layer's number in DL4J, where pooling is a layer

    def __init__(self, width, rank, scaling):
        super().__init__()
        self.layers = nn.ModuleList(LoRAConvolution(width, rank, scaling) for _ in range(3))
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x):
        for layer in self.layers:
            x = F.relu(layer(x))
        return self.head(x.mean((2, 3)))

    def load(self, read):
        for i, layer in enumerate(self.layers):
            layer.base.weight.data, layer.base.bias.data = read(f"{i}_W"), read(f"{i}_b").flatten()
            layer.lora_a.weight.data, layer.lora_b.weight.data = self.a(read(f"{i}_W.A")), self.b(read(f"{i}_W.B"))

    def gradients(self, read):
        for i, layer in enumerate(self.layers):
            yield layer.lora_a.weight.grad, self.a(read(f"gradient_{i}_W.A"))
            yield layer.lora_b.weight.grad, self.b(read(f"gradient_{i}_W.B"))

    def a(self, here):
        return here.T.reshape(self.layers[0].lora_a.weight.shape)

    def b(self, here):
        return here.T.reshape(self.layers[0].lora_b.weight.shape)


class Lstms(nn.Module):
    """Sequences [steps, batch, width] to logits [steps, batch, CLASSES]; W + s*B*A is formed in each step."""

    HEAD = 2

    def __init__(self, width, rank, scaling):
        super().__init__()
        self.lstm = nn.LSTM(width, width, 2).requires_grad_(False)
        self.names = [f"weight_{of}_l{i}" for i in (0, 1) for of in ("ih", "hh")]
        self.lora_a = nn.ParameterList(torch.empty(rank, width) for _ in self.names)
        self.lora_b = nn.ParameterList(torch.zeros(4 * width, rank) for _ in self.names)
        for a in self.lora_a:
            nn.init.kaiming_uniform_(a, a=5 ** 0.5)
        self.head = nn.Linear(width, CLASSES)
        self.scaling = scaling

    def forward(self, x):
        weights = {name: getattr(self.lstm, name) + self.scaling * (b @ a)
                   for name, a, b in zip(self.names, self.lora_a, self.lora_b)}
        return self.head(torch.func.functional_call(self.lstm, weights, (x,))[0])

    def load(self, read):
        for i in (0, 1):
            getattr(self.lstm, f"weight_ih_l{i}").data = self.gates(read(f"{i}_W"))
            getattr(self.lstm, f"weight_hh_l{i}").data = self.gates(read(f"{i}_RW"))
            getattr(self.lstm, f"bias_ih_l{i}").data = self.gates(read(f"{i}_b")).flatten()
            getattr(self.lstm, f"bias_hh_l{i}").data.zero_()
        for a, b, here in self.adapters():
            a.data, b.data = read(f"{here}.A").T.contiguous(), self.gates(read(f"{here}.B"))

    def gradients(self, read):
        for a, b, here in self.adapters():
            yield a.grad, read(f"gradient_{here}.A").T
            yield b.grad, self.gates(read(f"gradient_{here}.B"))

    def adapters(self):
        return zip(self.lora_a, self.lora_b, ("0_W", "0_RW", "1_W", "1_RW"))

    @staticmethod
    def gates(here):
        """DL4J has columns of candidate, forget, output and input gate; PyTorch rows of input, forget, candidate, output."""
        candidate, forget, output, gate = here.reshape(-1, here.shape[-1]).T.chunk(4)
        return torch.cat((gate, forget, candidate, output)).contiguous()


def main(kind, width, extent, batch, rank, alpha, way, threads, folder=None):
    if threads != "default":
        torch.set_num_threads(int(threads))
    torch.manual_seed(1)
    net = (Convolutions if kind == "convolution" else Lstms)(width, rank, alpha / rank)
    if kind == "convolution":
        x, labels = torch.rand(batch, width, extent, extent), torch.arange(batch) % CLASSES
    else:
        x, labels = torch.rand(extent, batch, width), (torch.arange(extent)[:, None] + torch.arange(batch)) % CLASSES
    if way == "tuned" and kind == "convolution":
        net, x = net.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    elif way == "tuned":
        torch.backends.mkldnn.set_flags(False)

    def loss():
        return F.cross_entropy(net(x).flatten(0, -2), labels.flatten(), reduction="sum") / batch

    if folder:
        import numpy

        def read(name):
            return torch.from_numpy(numpy.load(os.path.join(folder, name + ".npy")))

        features = read("features")
        x = features if kind == "convolution" else features.permute(2, 0, 1).contiguous()
        net.load(read)
        net.head.weight.data, net.head.bias.data = read(f"{net.HEAD}_W").T.contiguous(), read(f"{net.HEAD}_b").flatten()
        found, expected = loss(), read("loss").item()
        found.backward()
        pairs = [*net.gradients(read), (net.head.weight.grad, read(f"gradient_{net.HEAD}_W").T),
                 (net.head.bias.grad, read(f"gradient_{net.HEAD}_b").flatten())]
        return f"{abs(found.item() / expected - 1)} {max(((g - h).norm() / g.norm()).item() for g, h in pairs)}"

    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=1e-4)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        optimizer.step()

    def forward():
        with torch.no_grad():
            net(x)

    def timed(run, seconds, fewest):
        times, begin = [], time.perf_counter()
        while len(times) < fewest or (time.perf_counter() - begin < seconds and len(times) < 5000):
            t = time.perf_counter()
            run()
            times.append((time.perf_counter() - t) * 1e3)
        return times

    def median(run):
        timed(run, 1.5, 5)
        return statistics.median(timed(run, 3.0, 15))

    return f"{median(step)} {median(forward)}"


if __name__ == "__main__":
    print("RESULT", main(sys.argv[1], *(int(a) for a in sys.argv[2:7]), *sys.argv[7:]))
