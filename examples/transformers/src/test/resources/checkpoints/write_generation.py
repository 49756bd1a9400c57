"""A tiny random GPT-2 in Hugging Face's format, with the texts that it writes, in plain PyTorch.

write_generation.py FOLDER    a checkpoint and an adapter, as write_checkpoints.py writes them, and
    generated.json    prompts; the likeliest tokens after each, computed in float64 from the whole text again for each token, by
                      the base and with the adapter; and the probabilities by which tokens are chosen at random, after
                      temperature, top-k and top-p as transformers' TemperatureLogitsWarper, TopKLogitsWarper and
                      TopPLogitsWarper compute them, in this order

Seeds are tried until every likeliest token is so by a logit of 1e-3 at least, so that no rounding chooses another.
"""
import json
import os
import sys

import torch

import write_checkpoints as tiny

tiny.POSITIONS = 40
PROMPTS = [[3], [7, 1, 18, 4], [18], [5, 5, 2, 9, 11, 0, 16, 3, 8, 12, 1], list(range(19)) * 2, [4] * 39]
CLEAR = 1e-3


def continued(m, prompt):
    """The likeliest tokens up to the last position; none if one of them is not clear."""
    ids = list(prompt)
    while len(ids) < tiny.POSITIONS:
        logits = tiny.decode(m, tiny.gpt2(m, torch.tensor([ids]), None), "gpt2")[0, -1]
        best = torch.topk(logits, 2).values
        if best[0] - best[1] < CLEAR:
            return None
        ids.append(int(torch.argmax(logits)))
    return ids[len(prompt):]


def probabilities(logits, temperature, top_k, top_p):
    scores = torch.tensor(logits, dtype=torch.float64)[None] / temperature
    if top_k:
        top_k = min(top_k, scores.size(-1))
        scores = scores.masked_fill(scores < torch.topk(scores, top_k)[0][..., -1, None], -float("inf"))
    if top_p < 1:
        ascending, places = torch.sort(scores, descending=False)
        remove = ascending.softmax(dim=-1).cumsum(dim=-1) <= 1 - top_p
        remove[..., -1:] = False
        scores = scores.masked_fill(remove.scatter(1, places, remove), -float("inf"))
    return torch.softmax(scores, -1)[0].tolist()


def sampling(generator):
    cases = []
    for temperature, top_k, top_p in [(1, 0, 1), (0.5, 0, 1), (2, 0, 1), (1, 3, 1), (1, 50, 1), (1, 0, 0.6), (1, 0, 0.01),
                                      (0.7, 5, 0.9), (1.5, 4, 0.5), (1, 1, 1), (1, 0, 0.999)]:
        logits = (torch.randn(12, generator=generator, dtype=torch.float64) * 2).tolist()
        cases.append({"logits": logits, "temperature": temperature, "top_k": top_k, "top_p": top_p,
                      "probabilities": probabilities(logits, temperature, top_k, top_p)})
    tied = [1.0, 3.0, 2.0, 2.0, 0.0, 2.0]
    cases.append({"logits": tied, "temperature": 1, "top_k": 2, "top_p": 1, "probabilities": probabilities(tied, 1, 2, 1)})
    return cases


def texts(folder):
    """Base and adapted, or none if a token is not clear."""
    from safetensors.torch import load_file
    with open(os.path.join(folder, "config.json")) as file:
        config = json.load(file)
    state = {key: value.double() for key, value in load_file(os.path.join(folder, "model.safetensors")).items()}
    lora = load_file(os.path.join(folder, "adapter", "adapter_model.safetensors"))
    adapter = {}
    for key in [key for key in lora if key.endswith(".lora_A.weight")]:
        name = key[len("base_model.model."):-len(".lora_A.weight")]
        adapter[name] = lora[key].double(), lora[key.replace("lora_A", "lora_B")].double()
    result = {}
    for which, parts in {"base": None, "adapted": adapter}.items():
        m = tiny.Model("transformer.", config, parts)
        m.state = state
        m.conv1d = {key[:-len(".weight")] for key in state if ".c_" in key and key.endswith(".weight")}
        result[which] = [continued(m, prompt) for prompt in PROMPTS]
    return result if None not in result["base"] + result["adapted"] else None


def main(folder):
    for seed in range(100):
        tiny.write(folder, "gpt2", "lm", [], seed)
        result = texts(folder)
        # Longer than a word repeated for ever.
        if result and all(len(set(result[which][0])) > 5 for which in result):
            break
    else:
        sys.exit("no seed gives clear texts")
    os.remove(os.path.join(folder, "expected.safetensors"))
    with open(os.path.join(folder, "generated.json"), "w") as file:
        json.dump({"seed": seed, "prompts": PROMPTS, **result, "sampling": sampling(torch.Generator().manual_seed(1))}, file)


if __name__ == "__main__":
    main(sys.argv[1])
