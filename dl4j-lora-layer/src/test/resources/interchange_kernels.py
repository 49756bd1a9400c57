"""What PEFT computes for one adapted convolution or embedding, and adapters for them as PEFT writes them.

run   FOLDER BASE RESULT KIND   y of the layer "kernel1" with the adapter, and the weight that a merge adds
write FOLDER BASE RESULT KIND   an adapter of random values in FOLDER first, then the same

KIND is conv1d, conv2d, conv3d or embedding. BASE holds x, weight and perhaps bias in PyTorch's shapes, and for
convolutions stride and padding; RESULT gets y and delta. All is computed in float64, by the formulas of PEFT's
_ConvNd and Embedding.
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


def run(folder, base_file, kind):
    config, adapter = load(folder)
    base = load_file(base_file)
    x, weight, bias = base["x"], base["weight"], base.get("bias")
    if kind == "embedding":
        assert set(adapter) == {PREFIX + "lora_embedding_A", PREFIX + "lora_embedding_B"}, set(adapter)
        a, b = adapter[PREFIX + "lora_embedding_A"], adapter[PREFIX + "lora_embedding_B"]
        assert a.shape == (config["r"], weight.shape[0]) and b.shape == (weight.shape[1], config["r"])
        words = x.long()
        y = torch.nn.functional.embedding(words, weight)
        y = y + (torch.nn.functional.embedding(words, a.T) @ b.T) * scaling(config)
        return y, (b @ a).T * scaling(config)
    assert set(adapter) == {PREFIX + "lora_A.weight", PREFIX + "lora_B.weight"}, set(adapter)
    a, b = adapter[PREFIX + "lora_A.weight"], adapter[PREFIX + "lora_B.weight"]
    dimensions = weight.dim() - 2
    assert a.shape == (config["r"], *weight.shape[1:]), a.shape
    assert b.shape == (weight.shape[0], config["r"], *([1] * dimensions)), b.shape
    conv = getattr(torch.nn.functional, kind)
    geometry = {"stride": tuple(base["stride"].long().tolist()), "padding": tuple(base["padding"].long().tolist())}
    y = conv(x, weight, bias, **geometry) + conv(conv(x, a, None, **geometry), b) * scaling(config)
    return y, conv(a.transpose(0, 1), b).transpose(0, 1) * scaling(config)


def write(folder, base_file, kind):
    torch.manual_seed(7)
    weight = load_file(base_file)["weight"]
    r = 3
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "adapter_config.json"), "w") as file:
        json.dump({"peft_type": "LORA", "r": r, "lora_alpha": 6, "lora_dropout": 0.1, "target_modules": ["kernel1"],
                   "use_rslora": False, "use_dora": False, "bias": "none", "modules_to_save": None}, file)
    if kind == "embedding":
        tensors = {"lora_embedding_A": torch.randn(r, weight.shape[0]), "lora_embedding_B": torch.randn(weight.shape[1], r)}
    else:
        tensors = {"lora_A.weight": torch.randn(r, *weight.shape[1:]),
                   "lora_B.weight": torch.randn(weight.shape[0], r, *([1] * (weight.dim() - 2)))}
    save_file({PREFIX + key: value for key, value in tensors.items()}, os.path.join(folder, "adapter_model.safetensors"),
              metadata={"format": "pt"})


if __name__ == "__main__":
    command, adapter_folder, base_path, result, layer_kind = sys.argv[1:6]
    if command == "write":
        write(adapter_folder, base_path, layer_kind)
    output, delta = run(adapter_folder, base_path, layer_kind)
    save_file({"y": output.contiguous(), "delta": delta.contiguous()}, result)
