"""Writes images.h5 and characters.h5 beside itself: small models with random weights, as Keras 2.3 saves them.

Needs h5py and NumPy (Debian: python3-h5py), not Keras.
"""
import json
import os

import h5py
import numpy as np

RANDOM = np.random.RandomState(5)


def layer(kind, name, inputs=None, **config):
    entry = {"class_name": kind, "config": {"name": name, "trainable": True, **config}}
    if inputs is not None:
        entry["name"] = name
        entry["inbound_nodes"] = [[[source, 0, 0, {}] for source in inputs]] if inputs else []
    return entry


def initializers(*names):
    return {f"{name}_initializer": {"class_name": "Zeros", "config": {}} for name in names} | {
        f"{name}_{rule}": None for name in names for rule in ("regularizer", "constraint")}


def dense(name, units, activation, inputs=None):
    return layer("Dense", name, inputs, units=units, activation=activation, use_bias=True, activity_regularizer=None,
                 **initializers("kernel", "bias"))


def conv(name, filters, inputs):
    return layer("Conv2D", name, inputs, filters=filters, kernel_size=[3, 3], strides=[1, 1], padding="same",
                 data_format="channels_last", dilation_rate=[1, 1], activation="relu", use_bias=True,
                 activity_regularizer=None, **initializers("kernel", "bias"))


def values(*shape, scale=None):
    return (RANDOM.standard_normal(shape) * (scale or 1 / np.sqrt(np.prod(shape[:-1])))).astype("float32")


def write(file, kind, config, weights, loss):
    version = {"keras_version": np.bytes_("2.3.1"), "backend": np.bytes_("tensorflow")}
    with h5py.File(os.path.join(os.path.dirname(os.path.abspath(__file__)), file), "w") as h5:
        h5.attrs.update(version)
        h5.attrs["model_config"] = np.bytes_(json.dumps({"class_name": kind, "config": config}))
        h5.attrs["training_config"] = np.bytes_(json.dumps({
            "loss": loss, "metrics": ["accuracy"], "sample_weight_mode": None, "loss_weights": None,
            "optimizer_config": {"class_name": "Adam", "config": {
                "learning_rate": 0.001, "lr": 0.001, "beta_1": 0.9, "beta_2": 0.999, "decay": 0.0, "epsilon": 1e-7,
                "amsgrad": False}}}))
        root = h5.create_group("model_weights")
        root.attrs.update(version)
        root.attrs["layer_names"] = np.array([name.encode() for name in weights])
        for name, tensors in weights.items():
            group = root.create_group(name)
            group.attrs["weight_names"] = np.array([f"{name}/{key}:0".encode() for key in tensors])
            for key, tensor in tensors.items():
                group.create_dataset(f"{name}/{key}:0", data=tensor)


def images():
    """Functional: two convolutions, one of them in a residual, batch normalisation, two dense layers."""
    layers = [
        layer("InputLayer", "image", [], batch_input_shape=[None, 8, 8, 1], dtype="float32", sparse=False),
        conv("conv1", 4, ["image"]),
        layer("BatchNormalization", "norm", ["conv1"], axis=3, momentum=0.99, epsilon=0.001, center=True, scale=True,
              **initializers("beta", "gamma", "moving_mean", "moving_variance")),
        conv("conv2", 4, ["norm"]),
        layer("Add", "sum", ["norm", "conv2"]),
        layer("MaxPooling2D", "pool", ["sum"], pool_size=[2, 2], strides=[2, 2], padding="valid",
              data_format="channels_last"),
        layer("Flatten", "flat", ["pool"], data_format="channels_last"),
        dense("hidden", 12, "relu", ["flat"]),
        dense("digit", 5, "softmax", ["hidden"]),
    ]
    weights = {
        "image": {},
        "conv1": {"kernel": values(3, 3, 1, 4), "bias": values(4, scale=0.1)},
        "norm": {"gamma": 1 + values(4, scale=0.1), "beta": values(4, scale=0.1), "moving_mean": values(4, scale=0.1),
                 "moving_variance": 1 + np.abs(values(4, scale=0.2))},
        "conv2": {"kernel": values(3, 3, 4, 4), "bias": values(4, scale=0.1)},
        "sum": {}, "pool": {}, "flat": {},
        "hidden": {"kernel": values(64, 12), "bias": values(12, scale=0.1)},
        "digit": {"kernel": values(12, 5), "bias": values(5, scale=0.1)},
    }
    config = {"name": "images", "layers": layers, "input_layers": [["image", 0, 0]], "output_layers": [["digit", 0, 0]]}
    write("images.h5", "Model", config, weights, "categorical_crossentropy")


def characters():
    """Sequential: embedding, LSTM, two dense layers."""
    layers = [
        layer("Embedding", "letters", input_dim=11, output_dim=6, batch_input_shape=[None, 7], input_length=7,
              mask_zero=False, activity_regularizer=None, dtype="float32", **initializers("embeddings")),
        layer("LSTM", "memory", units=8, activation="tanh", recurrent_activation="sigmoid", use_bias=True,
              unit_forget_bias=True, return_sequences=False, return_state=False, go_backwards=False, stateful=False,
              unroll=False, implementation=2, dropout=0.0, recurrent_dropout=0.0, activity_regularizer=None,
              **initializers("kernel", "recurrent", "bias")),
        dense("hidden", 10, "tanh"),
        dense("next", 11, "softmax"),
    ]
    weights = {
        "letters": {"embeddings": values(11, 6, scale=0.5)},
        "memory": {"kernel": values(6, 32), "recurrent_kernel": values(8, 32), "bias": values(32, scale=0.1)},
        "hidden": {"kernel": values(8, 10), "bias": values(10, scale=0.1)},
        "next": {"kernel": values(10, 11), "bias": values(11, scale=0.1)},
    }
    write("characters.h5", "Sequential", {"name": "characters", "layers": layers}, weights, "categorical_crossentropy")


if __name__ == "__main__":
    images()
    characters()
