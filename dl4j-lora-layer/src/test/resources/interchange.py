"""What PEFT computes from an adapter's two files, and adapters as PEFT writes them, in plain PyTorch.

run   FOLDER BASE RESULT         y of the network fc1 -> tanh -> fc2 -> tanh -> out -> softmax with the adapter
write FOLDER BASE RESULT DTYPE   an adapter of random values in FOLDER first, then the same
grad  FOLDER BASE RESULT         y, and by autograd the gradients of the summed cross entropy by the adapter's tensors

BASE holds x, labels and PyTorch's state of the three layers. All is computed in float64. Starts that were taken from W
(PiSSA, OLoRA) are computed from W here, by the papers' formulas, not read from the file.
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


def start_of(init, weight, r, scaling):
    """A [r, in] and B [out, r] as they start from W [out, in]; none for other starts."""
    if init == "pissa":
        u, s, vh = torch.linalg.svd(weight, full_matrices=False)
        root = torch.diag(torch.sqrt(s[:r] / scaling))
        return root @ vh[:r], u[:, :r] @ root
    if init == "olora":
        q, rest = torch.linalg.qr(weight)
        return rest[:r], q[:, :r]
    return None


def run(folder, base_file):
    with open(os.path.join(folder, "adapter_config.json")) as file:
        config = json.load(file)
    assert config["peft_type"] == "LORA"
    adapter = {key: value.double() for key, value in load_file(os.path.join(folder, "adapter_model.safetensors")).items()}
    unused = set(adapter)
    for value in adapter.values():
        value.requires_grad_()
    base = {key: value.double() for key, value in load_file(base_file).items()}
    h = base["x"]
    for layer in LAYERS:
        state = {part: base.get(f"{layer}.{part}") for part in ("weight", "bias")}
        if any((PREFIX + layer).endswith(entry) for entry in config["modules_to_save"] or []):
            for part in state:
                key = f"{PREFIX}{layer}.{part}"
                if state[part] is not None:
                    assert adapter[key].shape == state[part].shape, (key, adapter[key].shape)
                    state[part] = adapter[key]
                    unused.remove(key)
        bias_key = f"{PREFIX}{layer}.base_layer.bias"
        if bias_key in adapter:
            assert config["bias"] in ("lora_only", "all"), config["bias"]
            state["bias"] = adapter[bias_key]
            unused.remove(bias_key)
        weight = state["weight"]
        if is_named(config["target_modules"], layer):
            a = adapter[f"{PREFIX}{layer}.lora_A.weight"]
            b = adapter[f"{PREFIX}{layer}.lora_B.weight"]
            unused -= {f"{PREFIX}{layer}.lora_A.weight", f"{PREFIX}{layer}.lora_B.weight"}
            r = by_pattern(config["rank_pattern"], layer, config["r"])
            alpha = by_pattern(config["alpha_pattern"], layer, config["lora_alpha"])
            assert a.shape == (r, h.shape[1]) and b.shape == (weight.shape[0], r), (layer, r, a.shape, b.shape)
            scaling = alpha / math.sqrt(r) if config["use_rslora"] else alpha / r
            start = start_of(config["init_lora_weights"], weight, r, scaling)
            if start is not None:
                weight = weight - scaling * start[1] @ start[0]
                ours = [adapter[f"{PREFIX}{layer}.initial_{part}.weight"] for part in "AB"]
                assert torch.allclose(ours[1] @ ours[0], start[1] @ start[0], atol=1e-10), layer
                if config["init_lora_weights"] == "olora":
                    assert all(torch.allclose(one, other, atol=1e-10) for one, other in zip(ours, start)), layer
                unused -= {f"{PREFIX}{layer}.initial_{part}.weight" for part in "AB"}
            weight = weight + scaling * b @ a
            if config["use_dora"]:
                magnitude = f"{PREFIX}{layer}.lora_magnitude_vector"
                norm = torch.linalg.norm(weight, dim=1).detach()
                weight = (adapter[magnitude] / norm).view(-1, 1) * weight
                unused.remove(magnitude)
        z = torch.nn.functional.linear(h, weight, state["bias"])
        h = torch.tanh(z) if layer != "out" else torch.softmax(z, dim=1)
    assert not unused, unused
    return h, adapter, base


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
    y, tensors, state = run(adapter_folder, base_path)
    results = {"y": y.detach().contiguous()}
    if command == "grad":
        (-(state["labels"] * torch.log(y)).sum()).backward()
        results.update({key: value.grad.contiguous() for key, value in tensors.items() if value.grad is not None})
    save_file(results, result)
