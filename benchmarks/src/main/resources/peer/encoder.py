"""Times a BERT encoder in PyTorch: the architecture of all-MiniLM-L6-v2 (6 layers) or BGE-small (12) with random weights, mean
pooling, a classifier, and LoRA on query and value, as EncoderChild has it in Deeplearning4j.

usage: encoder.py (lora|forward|base-forward) TEXTS TOKENS RANK LAYERS THREADS [sdpa|eager]
       THREADS: a number, or "default"
       sdpa, eager: the sizes of BERT-base, with that attention; also tells the bytes that the runs took beyond what was
       resident before, and the most that was resident
"""
import sys

import turns

VOCABULARY, POSITIONS, HIDDEN, INTERMEDIATE, HEADS, CLASSES = 30522, 512, 384, 1536, 12, 2


def status(field):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024


def main(mode, texts, tokens, rank, layers, threads, attention):
    global HIDDEN, INTERMEDIATE
    if attention:
        HIDDEN, INTERMEDIATE = 768, 3072
    import torch
    from torch import nn
    from torch.nn import functional as F

    if threads != "default":
        torch.set_num_threads(int(threads))
    torch.manual_seed(1)

    class LoRALinear(nn.Module):
        def __init__(self, size):
            super().__init__()
            self.base = nn.Linear(size, size)
            self.lora_a = nn.Parameter(torch.empty(rank, size))
            self.lora_b = nn.Parameter(torch.zeros(size, rank))
            nn.init.kaiming_uniform_(self.lora_a, a=5 ** 0.5)

        def forward(self, x):
            return self.base(x) + x @ self.lora_a.T @ self.lora_b.T

    def eager(q, k, v, mask):
        return torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5 + mask, -1) @ v

    attend = eager if attention == "eager" else F.scaled_dot_product_attention

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            adapted = (lambda: nn.Linear(HIDDEN, HIDDEN)) if mode == "base-forward" else (lambda: LoRALinear(HIDDEN))
            self.query, self.key, self.value = adapted(), nn.Linear(HIDDEN, HIDDEN), adapted()
            self.mix = nn.Linear(HIDDEN, HIDDEN)
            self.mix_norm = nn.LayerNorm(HIDDEN, eps=1e-12)
            self.widen, self.narrow = nn.Linear(HIDDEN, INTERMEDIATE), nn.Linear(INTERMEDIATE, HIDDEN)
            self.norm = nn.LayerNorm(HIDDEN, eps=1e-12)

        def heads(self, x):
            return x.view(texts, tokens, HEADS, HIDDEN // HEADS).transpose(1, 2)

        def forward(self, x, mask):
            o = attend(self.heads(self.query(x)), self.heads(self.key(x)), self.heads(self.value(x)), mask)
            x = self.mix_norm(x + self.mix(o.transpose(1, 2).reshape(texts, tokens, HIDDEN)))
            return self.norm(x + self.narrow(F.gelu(self.widen(x))))

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.positions = nn.Embedding(VOCABULARY, HIDDEN), nn.Embedding(POSITIONS, HIDDEN)
            self.types = nn.Embedding(2, HIDDEN)
            self.norm = nn.LayerNorm(HIDDEN, eps=1e-12)
            self.layers = nn.ModuleList(Layer() for _ in range(layers))
            self.classifier = nn.Linear(HIDDEN, CLASSES)

        def forward(self, ids):
            kept = ids != 0
            mask = torch.zeros(texts, 1, 1, tokens).masked_fill(~kept[:, None, None, :], float("-inf"))
            x = self.norm(self.words(ids) + self.positions.weight[:tokens] + self.types.weight[0])
            for layer in self.layers:
                x = layer(x, mask)
            weights = kept[:, :, None].float()
            return self.classifier((x * weights).sum(1) / weights.sum(1))

    net = Encoder()
    for name, parameter in net.named_parameters():
        parameter.requires_grad_("lora_" in name or "classifier" in name)
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=1e-4)
    ids = torch.randint(1, VOCABULARY, (texts, tokens))
    labels = torch.arange(texts) % CLASSES

    def step():
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(net(ids), labels).backward()
        optimizer.step()

    def forward():
        with torch.no_grad():
            net(ids)

    run = step if mode == "lora" else forward

    if not attention:
        turns.take(run)
        return
    before = status("VmRSS:")
    with open("/proc/self/clear_refs", "w") as peak:
        peak.write("5")
    turns.take(run, facts=lambda: [status("VmHWM:") - before, status("VmHWM:")])


if __name__ == "__main__":
    main(sys.argv[1], *(int(a) for a in sys.argv[2:6]), *(sys.argv[6:] + [None])[:2])
