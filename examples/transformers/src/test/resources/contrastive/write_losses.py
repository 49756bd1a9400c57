"""Writes losses.json: losses of sentence-transformers and their gradients, by their formulas, in PyTorch's float64.

MultipleNegativesRankingLoss, MultipleNegativesSymmetricRankingLoss and MatryoshkaLoss, with hard negatives. Candidates of a
query's own group, other than its document, are left out. Embeddings are exact in float32.

    python3 write_losses.py
"""
import json
import pathlib

import torch
import torch.nn.functional as F

PAIRS, HIDDEN = 4, 5


def ranking(embeddings, groups, pairs, scale, symmetric):
    unit = F.normalize(embeddings, p=2, dim=1)
    scores = unit[:pairs] @ unit[pairs:].T * scale
    same = groups[:pairs, None] == groups[None, pairs:]
    own = torch.arange(pairs)
    same[own, own] = False
    scores = scores.masked_fill(same, float("-inf"))
    forward = F.cross_entropy(scores, own)
    return (forward + F.cross_entropy(scores[:, :pairs].T, own)) / 2 if symmetric else forward


def matryoshka(embeddings, groups, pairs, scale, symmetric, dimensions, weights):
    if not dimensions:
        return ranking(embeddings, groups, pairs, scale, symmetric)
    return sum(w * ranking(embeddings[:, :d], groups, pairs, scale, symmetric) for d, w in zip(dimensions, weights))


def case(hard, symmetric, duplicates, dimensions, weights, scale):
    rows = (2 + hard) * PAIRS
    embeddings = (torch.randn(rows, HIDDEN).double() * 64).round().div(64).requires_grad_()
    of_pairs = [1, 2, 1, 3] if duplicates else [1, 2, 3, 4]
    # The first hard negative of query 0 is the document of query 1.
    of_hard = [2 if duplicates and i == 0 else 100 + i for i in range(hard * PAIRS)]
    groups = of_pairs + of_pairs + of_hard
    loss = matryoshka(embeddings, torch.tensor(groups), PAIRS, scale, symmetric, dimensions, weights)
    loss.backward()
    return {"scale": scale, "hardNegatives": hard, "symmetric": symmetric, "dimensions": dimensions, "weights": weights,
            "groups": groups, "embeddings": embeddings.tolist(), "loss": loss.item(), "gradient": embeddings.grad.tolist()}


torch.manual_seed(7)
cases = [case(hard, symmetric, duplicates, dimensions, weights, scale)
         for hard in (0, 1, 3)
         for symmetric in (True, False)
         for duplicates, dimensions, weights, scale in
         ((False, [], [], 20.0), (True, [], [], 1 / 0.02), (True, [5, 3, 1], [1.0, 1.0, 1.0], 5.0),
          (False, [4, 2], [1.0, 0.25], 20.0))]
lines = ",\n".join(json.dumps(c) for c in cases)
pathlib.Path(__file__).with_name("losses.json").write_text("[" + lines + "]\n")
