"""What PEFT computes for one adapted convolution or embedding, and adapters for them as PEFT writes them.

run   FOLDER BASE RESULT KIND        y of the layer "kernel1" with the adapter, the weight that a merge adds, and by autograd
                                     the gradients of sum(y * dy) by the adapter's tensors
write FOLDER BASE RESULT KIND DORA   an adapter of random values in FOLDER first, with magnitudes if DORA is "dora"; then
                                     the same

KIND is conv1d, conv2d, conv3d or embedding. BASE holds x, dy, weight and perhaps bias in PyTorch's shapes, and for
convolutions stride and padding; RESULT gets y, delta and the gradients. All is computed in float64, by the formulas of
PEFT's _ConvNd, Embedding, _DoraConvNdLayer and DoraEmbeddingLayer.
"""
import json
import os
import sys

import torch
from safetensors.torch import load_file, save_file

PREFIX = "base_model.model.kernel1."


def load(folder):
    with open(os.path.join(folder, "adapter_config.json")) as file:
        config = json.load(file)
    assert config["peft_type"] == "LORA" and config["target_modules"] == ["kernel1"], config
    tensors = load_file(os.path.join(folder, "adapter_model.safetensors"))
    return config, {key: value.double() for key, value in tensors.items()}


def scaling(config):
    return config["lora_alpha"] / (config["r"] ** 0.5 if config["use_rslora"] else config["r"])


def tensors_of(adapter, *names):
    """Of the layer; the file has these and no others."""
    assert set(adapter) == {PREFIX + name for name in names}, set(adapter)
    return [adapter[PREFIX + name] for name in names]


def run_embedding(config, adapter, base):
    x, weight = base["x"].long(), base["weight"]
    magnitude = ["lora_magnitude_vector"] if config["use_dora"] else []
    a, b, *m = tensors_of(adapter, "lora_embedding_A", "lora_embedding_B", *magnitude)
    assert a.shape == (config["r"], weight.shape[0]) and b.shape == (weight.shape[1], config["r"])
    s = scaling(config)
    result = torch.nn.functional.embedding(x, weight)
    delta = (b @ a).T * s
    lora = torch.nn.functional.embedding(x, a.T) @ b.T
    if not m:
        return result + lora * s, delta
    assert m[0].shape == (weight.shape[1],), m[0].shape
    norm = torch.linalg.norm(weight.T + s * (a.T @ b.T).T.detach(), dim=1).detach()
    scale = m[0] / norm
    return scale * result + scale * lora * s, scale.view(1, -1) * (weight + delta) - weight


def run_convolution(config, adapter, base, kind):
    x, weight, bias = base["x"], base["weight"], base.get("bias")
    magnitude = ["lora_magnitude_vector"] if config["use_dora"] else []
    a, b, *m = tensors_of(adapter, "lora_A.weight", "lora_B.weight", *magnitude)
    ones = [1] * (weight.dim() - 2)
    r = config["r"]
    assert a.shape == (r, *weight.shape[1:]), a.shape
    assert b.shape == (weight.shape[0], r, *ones), b.shape
    conv = getattr(torch.nn.functional, kind)
    geometry = {"stride": tuple(base["stride"].long().tolist()), "padding": tuple(base["padding"].long().tolist())}
    s = scaling(config)
    result = conv(x, weight, bias, **geometry)
    lora = conv(conv(x, a, None, **geometry), b)
    delta = conv(a.transpose(0, 1), b).transpose(0, 1) * s
    if not m:
        return result + lora * s, delta
    assert m[0].shape == (1, weight.shape[0], *ones), m[0].shape
    lora_weight = torch.mm(b.reshape(-1, r), a.reshape(r, -1)).reshape(weight.shape).detach()
    norm = (weight + s * lora_weight).norm(p=2, dim=tuple(range(1, weight.dim())), keepdim=True).transpose(1, 0).detach()
    scale = m[0] / norm
    base_result = result if bias is None else result - bias.view(1, -1, *ones)
    return (result + (scale - 1) * base_result + scale * lora * s,
            scale.view(-1, 1, *ones) * (weight + delta) - weight)


def run(folder, base_file, kind):
    config, adapter = load(folder)
    base = load_file(base_file)
    for value in adapter.values():
        value.requires_grad_()
    y, delta = (run_embedding(config, adapter, base) if kind == "embedding"
                else run_convolution(config, adapter, base, kind))
    (y * base["dy"]).sum().backward()
    gradients = {"gradient of " + key[len(PREFIX):]: value.grad.contiguous() for key, value in adapter.items()}
    return {"y": y.detach().contiguous(), "delta": delta.detach().contiguous(), **gradients}


def write(folder, base_file, kind, dora):
    torch.manual_seed(7)
    weight = load_file(base_file)["weight"]
    r = 3
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "adapter_config.json"), "w") as file:
        json.dump({"peft_type": "LORA", "r": r, "lora_alpha": 6, "lora_dropout": 0.1, "target_modules": ["kernel1"],
                   "use_rslora": False, "use_dora": dora, "bias": "none", "modules_to_save": None}, file)
    if kind == "embedding":
        tensors = {"lora_embedding_A": torch.randn(r, weight.shape[0]), "lora_embedding_B": torch.randn(weight.shape[1], r)}
    else:
        tensors = {"lora_A.weight": torch.randn(r, *weight.shape[1:]),
                   "lora_B.weight": torch.randn(weight.shape[0], r, *([1] * (weight.dim() - 2)))}
    if dora:
        n_out = weight.shape[1] if kind == "embedding" else weight.shape[0]
        shape = (n_out,) if kind == "embedding" else (1, n_out, *([1] * (weight.dim() - 2)))
        tensors["lora_magnitude_vector"] = torch.randn(shape)
    save_file({PREFIX + key: value for key, value in tensors.items()}, os.path.join(folder, "adapter_model.safetensors"),
              metadata={"format": "pt"})


if __name__ == "__main__":
    command, adapter_folder, base_path, result, layer_kind = sys.argv[1:6]
    if command == "write":
        write(adapter_folder, base_path, layer_kind, sys.argv[6] == "dora")
    save_file(run(adapter_folder, base_path, layer_kind), result)
