"""Starts from data by the formulas of their papers, in plain PyTorch.

eva  BATCHES BASE RESULT RANK BUDGET   principal components of each layer's inputs, batch by batch, and ranks by what they explain
ga   BATCHES BASE RESULT RANK          singular vectors of the gradient of the summed cross entropy, A and B

BASE holds x, labels and PyTorch's state of the network of interchange.py; BATCHES says how many rows each batch has: 3,2,2. All
is computed in float64. PEFT's EVA (IncrementalPCA) is the same but for a randomised decomposition, its LoRA-GA another scale.
"""
import math
import sys

import torch
from safetensors.torch import load_file, save_file

LAYERS = ["fc1", "fc2", "out"]
GAMMA = 16


def with_sign(rows):
    """Each row with a positive largest entry."""
    largest = rows.gather(1, rows.abs().argmax(1, keepdim=True))
    return rows * largest.sign()


def components(batches, k):
    """Ross et al. 2008, section 3.1: mean, singular values and right singular vectors of what came stand for it."""
    seen, values, vectors, mean = 0, None, None, None
    for x in batches:
        batch_mean = x.mean(0)
        rows = x - batch_mean
        if seen:
            correction = math.sqrt(seen * len(x) / (seen + len(x))) * (mean - batch_mean)
            rows = torch.cat([values[:, None] * vectors, rows, correction[None]])
            mean = (seen * mean + len(x) * batch_mean) / (seen + len(x))
        else:
            mean = batch_mean
        seen += len(x)
        _, values, vectors = torch.linalg.svd(rows, full_matrices=False)
        values, vectors = values[:k], vectors[:k]
    everything = torch.cat(batches)
    return with_sign(vectors), values ** 2 / ((everything - everything.mean(0)) ** 2).sum()


def forward(base, x):
    inputs = {}
    for layer in LAYERS:
        inputs[layer] = x
        z = torch.nn.functional.linear(x, base[f"{layer}.weight"], base[f"{layer}.bias"])
        x = torch.tanh(z) if layer != "out" else z
    return inputs, x


def eva(base, sizes, rank, budget):
    batches = [forward(base, x)[0] for x in torch.split(base["x"], sizes)]
    result, explained = {}, []
    for position, layer in enumerate(LAYERS):
        inputs = [batch[layer] for batch in batches]
        result[f"{layer}.A"] = components(inputs, rank)[0]
        most = min(2 * rank, inputs[0].shape[1])
        explained += [(-float(share), position) for share in components(inputs, most)[1]]
    given = [position for _, position in sorted(explained)[:budget]]
    result["ranks"] = torch.tensor([given.count(position) for position in range(len(LAYERS))], dtype=torch.float64)
    return result


def ga(base, rank):
    weights = [base[f"{layer}.weight"].requires_grad_() for layer in LAYERS]
    _, z = forward(base, base["x"])
    loss = -(base["labels"] * torch.log_softmax(z, 1)).sum()
    result = {}
    for layer, gradient in zip(LAYERS, torch.autograd.grad(loss, weights)):
        u, _, vh = torch.linalg.svd(gradient, full_matrices=False)
        scale = gradient.shape[0] ** 0.25 / math.sqrt(GAMMA)
        last = min(2 * rank, len(vh))
        result[f"{layer}.A"] = with_sign(vh[:rank]) * scale
        result[f"{layer}.B"] = with_sign(u[:, last - rank:last].T) * scale
    return result


def main(command, batches, base_file, result_file, rank, budget="0"):
    base = {key: value.double() for key, value in load_file(base_file).items()}
    sizes = [int(size) for size in batches.split(",")]
    result = eva(base, sizes, int(rank), int(budget)) if command == "eva" else ga(base, int(rank))
    save_file({key: value.detach().contiguous() for key, value in result.items()}, result_file)


if __name__ == "__main__":
    main(*sys.argv[1:])
