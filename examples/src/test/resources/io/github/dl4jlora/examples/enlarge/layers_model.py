"""Evaluates a TensorFlow.js layers model in PyTorch, layer by layer of its JSON:
FOLDER INPUT OUTPUT HEIGHT WIDTH, float32 files.
"""
import json
import sys

import numpy as np
import torch
import torch.nn.functional as F

folder, source, target, height, width = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
model = json.load(open(folder + "/model.json"))
weights = {}
for group in model["weightsManifest"]:
    data = b"".join(open(folder + "/" + path, "rb").read() for path in group["paths"])
    at = 0
    for weight in group["weights"]:
        count = int(np.prod(weight["shape"]))
        weights[weight["name"]] = torch.tensor(np.frombuffer(data, "<f4", count, at).reshape(weight["shape"]).copy())
        at += 4 * count

values = {}
for layer in model["modelTopology"]["model_config"]["config"]["layers"]:
    name, kind, config = layer["name"], layer["class_name"], layer["config"]
    inputs = [values[node[0]] for node in layer["inbound_nodes"][0]] if layer["inbound_nodes"] else []
    if kind == "InputLayer":
        values[name] = torch.tensor(np.fromfile(source, "<f4").reshape(1, -1, height, width))
    elif kind == "Conv2D":
        kernel = weights[name + "/kernel"].permute(3, 2, 0, 1)
        values[name] = F.conv2d(inputs[0], kernel, weights[name + "/bias"], padding=config["padding"])
    elif kind == "Activation":
        values[name] = F.relu(inputs[0])
    elif kind == "Concatenate":
        values[name] = torch.cat(inputs, 1)
    elif kind == "Add":
        values[name] = sum(inputs)
    elif kind == "UpSampling2D":
        values[name] = F.interpolate(inputs[0], scale_factor=config["size"][0], mode="nearest")
    else:
        raise ValueError(kind)
values[name].numpy().astype("<f4").tofile(target)
