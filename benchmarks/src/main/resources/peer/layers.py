"""Times a training step and a forward pass of convolutions, LSTMs, an embedding or attention with LoRA in PyTorch: the networks
of PeerTask, with an output layer of ten classes that is trained too.

usage: layers.py (convolution|recurrent|embedding|attention) WIDTH EXTENT BATCH RANK ALPHA (plain|tuned) THREADS [FOLDER]
       WIDTH: channels, units or values of a word. EXTENT: width and height of the images, or steps
       tuned: images in channels_last, LSTMs without oneDNN, an embedding's A with a word's values side by side, attention of
       plain products
       THREADS: a number, or "default"
       FOLDER: written by PeerChild. Prints instead how far loss and gradients there are from PyTorch's, relative to their size
"""
import os
import sys

import torch
import turns
from torch import nn
from torch.nn import functional as F

CLASSES = 10
WORDS = 20000
HEADS = 8


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

    @staticmethod
    def sample(batch, extent, width):
        return torch.rand(batch, width, extent, extent)

    @staticmethod
    def arranged(features):
        return features

    def tune(self, x):
        self.to(memory_format=torch.channels_last)
        return x.contiguous(memory_format=torch.channels_last)

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

    @staticmethod
    def sample(batch, extent, width):
        return torch.rand(extent, batch, width)

    @staticmethod
    def arranged(features):
        return features.permute(2, 0, 1).contiguous()

    @staticmethod
    def tune(x):
        torch.backends.mkldnn.set_flags(False)
        return x

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


class Embedding(nn.Module):
    """Words [batch, steps] to logits [batch, CLASSES]. As PEFT has it: A is stored as [rank, WORDS], and looked up transposed."""

    HEAD = 2

    def __init__(self, width, rank, scaling):
        super().__init__()
        self.base = nn.Embedding(WORDS, width).requires_grad_(False)
        self.lora_a = nn.Parameter(torch.zeros(rank, WORDS))
        self.lora_b = nn.Parameter(torch.randn(width, rank))
        self.head = nn.Linear(width, CLASSES)
        self.scaling = scaling
        self.by_word = False

    def forward(self, x):
        rows = F.embedding(x, self.lora_a if self.by_word else self.lora_a.T)
        return self.head((self.base(x) + rows @ self.lora_b.T * self.scaling).mean(1))

    @staticmethod
    def sample(batch, extent, width):
        return torch.randint(WORDS, (batch, extent))

    @staticmethod
    def arranged(features):
        return features.long()

    def tune(self, x):
        self.lora_a, self.by_word = nn.Parameter(self.lora_a.data.T.contiguous()), True
        return x

    def load(self, read):
        self.base.weight.data = read("0_W")
        self.lora_a.data, self.lora_b.data = read("0_W.A").T.contiguous(), read("0_W.B").T.contiguous()

    def gradients(self, read):
        yield self.lora_a.grad, read("gradient_0_W.A").T
        yield self.lora_b.grad, read("gradient_0_W.B").T


class LoRALinear(nn.Module):

    def __init__(self, width, rank, scaling):
        super().__init__()
        self.base = nn.Linear(width, width, bias=False).requires_grad_(False)
        self.lora_a = nn.Linear(width, rank, bias=False)
        self.lora_b = nn.Linear(rank, width, bias=False)
        nn.init.zeros_(self.lora_b.weight)
        self.scaling = scaling

    def forward(self, x):
        return self.base(x) + self.lora_b(self.lora_a(x)) * self.scaling


class Attention(nn.Module):
    """Sequences [batch, steps, width] to logits [batch, CLASSES]. DL4J's layer has no biases."""

    HEAD = 2

    def __init__(self, width, rank, scaling):
        super().__init__()
        self.projections = nn.ModuleDict((name, LoRALinear(width, rank, scaling)) for name in ("Wq", "Wk", "Wv", "Wo"))
        self.head = nn.Linear(width, CLASSES)
        self.attend = F.scaled_dot_product_attention

    def forward(self, x):
        q, k, v = (self.projections[name](x).unflatten(-1, (HEADS, -1)).transpose(1, 2) for name in ("Wq", "Wk", "Wv"))
        return self.head(self.projections["Wo"](self.attend(q, k, v).transpose(1, 2).flatten(2)).mean(1))

    @staticmethod
    def sample(batch, extent, width):
        return torch.randn(batch, extent, width)

    @staticmethod
    def arranged(features):
        return features.transpose(1, 2).contiguous()

    def tune(self, x):
        self.attend = lambda q, k, v: F.softmax(q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5, -1) @ v
        return x

    def load(self, read):
        for name, layer in self.projections.items():
            # DL4J has Wq, Wk and Wv as [heads, size, inputs], Wo as [heads * size, outputs].
            w = read(f"0_{name}")
            layer.base.weight.data = w.T.contiguous() if name == "Wo" else w.flatten(0, 1)
            layer.lora_a.weight.data = read(f"0_{name}.A").T.contiguous()
            layer.lora_b.weight.data = read(f"0_{name}.B").T.contiguous()

    def gradients(self, read):
        for name, layer in self.projections.items():
            yield layer.lora_a.weight.grad, read(f"gradient_0_{name}.A").T
            yield layer.lora_b.weight.grad, read(f"gradient_0_{name}.B").T


NETWORKS = {"convolution": Convolutions, "recurrent": Lstms, "embedding": Embedding, "attention": Attention}


def main(kind, width, extent, batch, rank, alpha, way, threads, folder=None):
    if threads != "default":
        torch.set_num_threads(int(threads))
    torch.manual_seed(1)
    net = NETWORKS[kind](width, rank, alpha / rank)
    x, labels = net.sample(batch, extent, width), torch.arange(batch) % CLASSES
    if kind == "recurrent":
        labels = (torch.arange(extent)[:, None] + torch.arange(batch)) % CLASSES
    if way == "tuned":
        x = net.tune(x)

    def loss():
        return F.cross_entropy(net(x).flatten(0, -2), labels.flatten(), reduction="sum") / batch

    if folder:
        import numpy

        def read(name):
            return torch.from_numpy(numpy.load(os.path.join(folder, name + ".npy")))

        x = net.arranged(read("features"))
        net.load(read)
        net.head.weight.data, net.head.bias.data = read(f"{net.HEAD}_W").T.contiguous(), read(f"{net.HEAD}_b").flatten()
        found, expected = loss(), read("loss").item()
        found.backward()
        pairs = [*net.gradients(read), (net.head.weight.grad, read(f"gradient_{net.HEAD}_W").T),
                 (net.head.bias.grad, read(f"gradient_{net.HEAD}_b").flatten())]
        print("RESULT", abs(found.item() / expected - 1), max(((g - h).norm() / g.norm()).item() for g, h in pairs))
        return

    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=1e-4)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        optimizer.step()

    def forward():
        with torch.no_grad():
            net(x)

    turns.take(step, forward)


if __name__ == "__main__":
    main(sys.argv[1], *(int(a) for a in sys.argv[2:7]), *sys.argv[7:])
