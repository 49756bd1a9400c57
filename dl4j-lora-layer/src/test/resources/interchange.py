"""What PEFT computes from an adapter's two files, and adapters as PEFT writes them, in plain PyTorch.

run   FOLDER BASE RESULT         y of the network fc1 -> tanh -> fc2 -> tanh -> out -> softmax with the adapter
write FOLDER BASE RESULT DTYPE   an adapter of random values in FOLDER first, then the same

BASE holds x and PyTorch's state of the three layers; RESULT gets y. All is computed in float64.
"""
import json
import math
import os
import re
import sys

import torch
from safetensors.torch import load_file, save_file

PREFIX = "base_model.model."
LAYERS = ["fc1", "fc2", "out"]


def by_pattern(patterns, module, default):
    for key, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({key})$", module):
            return value
    return default


def is_named(names, module):
    return any(module == name or module.endswith("." + name) for name in names or [])


def run(folder, base_file):
    with open(os.path.join(folder, "adapter_config.json")) as file:
        config = json.load(file)
    assert config["peft_type"] == "LORA"
    adapter = {key: value.double() for key, value in load_file(os.path.join(folder, "adapter_model.safetensors")).items()}
    unused = set(adapter)
    base = {key: value.double() for key, value in load_file(base_file).items()}
    h = base["x"]
    for layer in LAYERS:
        state = {part: base.get(f"{layer}.{part}") for part in ("weight", "bias")}
        if is_named(config["modules_to_save"], layer):
            for part in state:
                key = f"{PREFIX}{layer}.{part}"
                if state[part] is not None:
                    assert adapter[key].shape == state[part].shape, (key, adapter[key].shape)
                    state[part] = adapter[key]
                    unused.remove(key)
        z = torch.nn.functional.linear(h, state["weight"], state["bias"])
        if is_named(config["target_modules"], layer):
            a = adapter[f"{PREFIX}{layer}.lora_A.weight"]
            b = adapter[f"{PREFIX}{layer}.lora_B.weight"]
            unused -= {f"{PREFIX}{layer}.lora_A.weight", f"{PREFIX}{layer}.lora_B.weight"}
            r = by_pattern(config["rank_pattern"], layer, config["r"])
            alpha = by_pattern(config["alpha_pattern"], layer, config["lora_alpha"])
            assert a.shape == (r, h.shape[1]) and b.shape == (z.shape[1], r), (layer, r, a.shape, b.shape)
            scaling = alpha / math.sqrt(r) if config["use_rslora"] else alpha / r
            z = z + torch.nn.functional.linear(torch.nn.functional.linear(h, a), b) * scaling
        h = torch.tanh(z) if layer != "out" else torch.softmax(z, dim=1)
    assert not unused, unused
    return h


def write(folder, base_file, dtype):
    torch.manual_seed(7)
    base = load_file(base_file)
    config = {
        "alora_invocation_tokens": None,
        "alpha_pattern": {"fc2": 3},
        "arrow_config": None,
        "auto_mapping": None,
        "base_model_name_or_path": "some/model",
        "bias": "none",
        "corda_config": None,
        "ensure_weight_tying": False,
        "eva_config": None,
        "exclude_modules": None,
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "layer_replication": None,
        "layers_pattern": None,
        "layers_to_transform": None,
        "loftq_config": {},
        "lora_alpha": 16,
        "lora_bias": False,
        "lora_dropout": 0.05,
        "megatron_config": None,
        "megatron_core": "megatron.core",
        "modules_to_save": ["out"],
        "peft_type": "LORA",
        "peft_version": "0.20.0",
        "qalora_group_size": 16,
        "r": 3,
        "rank_pattern": {"fc2": 2},
        "revision": None,
        "target_modules": ["fc2", "fc1"],
        "target_parameters": None,
        "task_type": None,
        "trainable_token_indices": None,
        "use_dora": False,
        "use_qalora": False,
        "use_rslora": False,
    }
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "adapter_config.json"), "w") as file:
        json.dump(config, file, indent=2, sort_keys=True)
    tensors = {}
    for layer, r in (("fc1", 3), ("fc2", 2)):
        n_out, n_in = base[f"{layer}.weight"].shape
        tensors[f"{PREFIX}{layer}.lora_A.weight"] = torch.randn(r, n_in).to(dtype)
        tensors[f"{PREFIX}{layer}.lora_B.weight"] = torch.randn(n_out, r).to(dtype)
    for part in ("bias", "weight"):
        if f"out.{part}" in base:
            tensors[f"{PREFIX}out.{part}"] = torch.randn_like(base[f"out.{part}"]).to(dtype)
    save_file(tensors, os.path.join(folder, "adapter_model.safetensors"), metadata={"format": "pt"})


if __name__ == "__main__":
    command, adapter_folder, base_path, result = sys.argv[1:5]
    if command == "write":
        write(adapter_folder, base_path, getattr(torch, sys.argv[5]))
    save_file({"y": run(adapter_folder, base_path).contiguous()}, result)
