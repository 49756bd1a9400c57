"""Trains a small convolutional model on upright digits, and writes it as Keras 2.3 saves models: digits.h5 of the program
AdaptAKerasModelsConvolutions.

Needs h5py and NumPy (Debian: python3-h5py), not Keras. From the root of the project:

    python3 examples/write-keras-digits.py
"""
import gzip
import os
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../dl4j-lora-layer/src/test/resources/keras"))
from write_models import conv, dense, layer, write  # noqa: E402

RESOURCES = os.path.join(HERE, "src/main/resources/io/github/dl4jlora/examples")
RANDOM = np.random.RandomState(7)
TRAINED_ON = 43 * 32
BATCH = 32
EPOCHS = 12
RATE = 2e-3
CHANNELS = (12, 24)


def patches(images):
    """[n, h, w, c] to [n, h, w, 9 c]: what a 3x3 kernel sees at each place, with zeros around the image."""
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return np.concatenate([padded[:, row:row + height, column:column + width] for row in range(3) for column in range(3)], 3)


def unpatched(gradients):
    """The adjoint of patches."""
    count, height, width, channels = gradients.shape
    padded = np.zeros((count, height + 2, width + 2, channels // 9), gradients.dtype)
    for place, part in enumerate(np.split(gradients, 9, 3)):
        padded[:, place // 3:place // 3 + height, place % 3:place % 3 + width] += part
    return padded[:, 1:-1, 1:-1]


def start(inputs, outputs):
    return [(RANDOM.standard_normal((inputs, outputs)) * np.sqrt(2 / inputs)).astype("float32"),
            np.zeros(outputs, "float32")]


def forward(parameters, images):
    """What every layer sees and gives, the logits last."""
    w1, b1, w2, b2, w3, b3 = parameters
    seen1 = patches(images)
    first = np.maximum(seen1 @ w1 + b1, 0)
    seen2 = patches(first)
    second = np.maximum(seen2 @ w2 + b2, 0)
    windows = second.reshape(len(images), 4, 2, 4, 2, -1)
    pooled = windows.max((2, 4))
    flat = pooled.reshape(len(images), -1)
    return seen1, first, seen2, second, windows, pooled, flat, flat @ w3 + b3


def gradients(parameters, images, labels):
    seen1, first, seen2, second, windows, pooled, flat, logits = forward(parameters, images)
    chances = np.exp(logits - logits.max(1, keepdims=True))
    dlogits = chances / chances.sum(1, keepdims=True)
    dlogits[np.arange(len(labels)), labels] -= 1
    dlogits /= len(labels)
    dpooled = (dlogits @ parameters[4].T).reshape(pooled.shape)
    dsecond = ((windows == pooled[:, :, None, :, None]) * dpooled[:, :, None, :, None]).reshape(second.shape) * (second > 0)
    dfirst = unpatched(dsecond @ parameters[2].T) * (first > 0)

    def weights(seen, dout):
        return seen.reshape(-1, seen.shape[-1]).T @ dout.reshape(-1, dout.shape[-1])

    return [weights(seen1, dfirst), dfirst.sum((0, 1, 2)), weights(seen2, dsecond), dsecond.sum((0, 1, 2)),
            flat.T @ dlogits, dlogits.sum(0)]


def trained(images, labels):
    parameters = start(9, CHANNELS[0]) + start(9 * CHANNELS[0], CHANNELS[1]) + start(16 * CHANNELS[1], 10)
    means = [np.zeros_like(values) for values in parameters]
    squares = [np.zeros_like(values) for values in parameters]
    step = 0
    for _ in range(EPOCHS):
        order = RANDOM.permutation(len(images))
        for at in range(0, len(images), BATCH):
            step += 1
            batch = order[at:at + BATCH]
            for values, mean, square, gradient in zip(parameters, means, squares,
                                                      gradients(parameters, images[batch], labels[batch])):
                mean += 0.1 * (gradient - mean)
                square += 0.001 * (gradient ** 2 - square)
                values -= RATE * (mean / (1 - 0.9 ** step)) / (np.sqrt(square / (1 - 0.999 ** step)) + 1e-7)
    return parameters


def main():
    with gzip.open(os.path.join(RESOURCES, "digits.csv.gz"), "rt") as file:
        lines = np.array([[int(number) for number in line.split(",")] for line in file])
    images = (lines[:, :64] / 16).astype("float32").reshape(-1, 8, 8, 1)
    labels = lines[:, 64]
    parameters = trained(images[:TRAINED_ON], labels[:TRAINED_ON])
    right = forward(parameters, images[TRAINED_ON:])[-1].argmax(1) == labels[TRAINED_ON:]
    print(f"{100 * right.mean():.1f} % of {len(right)} other digits are read")

    layers = [
        layer("InputLayer", "image", [], batch_input_shape=[None, 8, 8, 1], dtype="float32", sparse=False),
        conv("conv1", CHANNELS[0], ["image"]),
        conv("conv2", CHANNELS[1], ["conv1"]),
        layer("MaxPooling2D", "pool", ["conv2"], pool_size=[2, 2], strides=[2, 2], padding="valid",
              data_format="channels_last"),
        layer("Flatten", "flat", ["pool"], data_format="channels_last"),
        dense("digit", 10, "softmax", ["flat"]),
    ]
    w1, b1, w2, b2, w3, b3 = parameters
    weights = {
        "image": {},
        "conv1": {"kernel": w1.reshape(3, 3, 1, CHANNELS[0]), "bias": b1},
        "conv2": {"kernel": w2.reshape(3, 3, CHANNELS[0], CHANNELS[1]), "bias": b2},
        "pool": {}, "flat": {},
        "digit": {"kernel": w3, "bias": b3},
    }
    config = {"name": "digits", "layers": layers, "input_layers": [["image", 0, 0]], "output_layers": [["digit", 0, 0]]}
    write(os.path.join(RESOURCES, "tasks/digits.h5"), "Model", config, weights, "categorical_crossentropy")


if __name__ == "__main__":
    main()
