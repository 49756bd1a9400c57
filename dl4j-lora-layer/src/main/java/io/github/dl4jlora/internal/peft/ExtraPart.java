package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.internal.content.Delta;
import io.github.dl4jlora.internal.content.TensorLayout;
import io.github.dl4jlora.internal.untrusted.Safetensors;
import io.github.dl4jlora.variant.DoRA;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.IOException;
import java.util.Arrays;
import java.util.List;

/** What an adapter holds of a layer beside A and B, as a file names and orients it. */
public enum ExtraPart {

    /** DoRA's m, in the file {@code [nOut]}, of a convolution {@code [1, nOut, 1…]}, with use_dora. */
    MAGNITUDE(DoRA.MAGNITUDE, ".lora_magnitude_vector", true),

    /** A trained b, in the file {@code [nOut]}, with bias "lora_only" or "all". */
    BIAS(DefaultParamInitializer.BIAS_KEY, ".base_layer.bias", true),

    /** What PEFT's lora_B adds to b, in the file {@code [nOut]}, with lora_bias. */
    LORA_BIAS(Delta.LORA_BIAS, ".lora_B.bias", true),

    /** The base's own W. */
    BASE_WEIGHT(Delta.BASE_WEIGHT, ".base_layer.weight", false),

    /** A0, in the file {@code [rank, nIn]}. PEFT does not know it: it ignores it, and computes the start again. */
    START_A(Variant.START_A, ".initial_A.weight", false),

    /** B0, in the file {@code [nOut, rank]}; like A0. */
    START_B(Variant.START_B, ".initial_B.weight", false);

    private final String key;
    private final String suffix;
    private final boolean vector;

    ExtraPart(String key, String suffix, boolean vector) {
        this.key = key;
        this.suffix = suffix;
        this.vector = vector;
    }

    /** The key in {@link Delta#more}. */
    public String key() {
        return key;
    }

    /** What follows the layer's name in the tensor's. */
    public String suffix() {
        return suffix;
    }

    /** That, and what else a file may have in its place: a module of PEFT since 0.9 holds DoRA's m as its weight. */
    List<String> suffixes() {
        return this == MAGNITUDE ? List.of(suffix, suffix + ".weight") : List.of(suffix);
    }

    public static ExtraPart ofKey(String key) {
        return Arrays.stream(values()).filter(part -> part.key.equals(key)).findFirst().orElseThrow(() ->
                new IllegalArgumentException("An adapter's file cannot hold the part \"" + key + "\": it can hold A, B and "
                        + Arrays.stream(values()).map(ExtraPart::key).toList()));
    }

    /**
     * The value as the file has it.
     *
     * @param layout of the layer that it is a part of
     */
    public INDArray toFile(INDArray value, TensorLayout layout) {
        return this == MAGNITUDE ? layout.fileMagnitude(value)
                : vector ? value.reshape(value.length()) : value.transpose();
    }

    /**
     * The value of a tensor.
     *
     * @return a vector as {@code [1, length]}, a matrix as the network has it
     * @throws AdapterFormatException for a tensor of another rank
     */
    public INDArray read(Safetensors tensors, String name) throws IOException {
        long[] shape = tensors.shape(name);
        if (shape.length != (vector ? 1 : 2) && !(this == MAGNITUDE && TensorLayout.isFileMagnitude(shape))) {
            throw new AdapterFormatException("Tensor \"" + name + "\" has the shape " + Arrays.toString(shape)
                    + ", but must be a " + (vector ? "vector" : "matrix"));
        }
        INDArray value = tensors.read(name);
        return vector ? value.reshape(1, value.length()) : value.transpose();
    }
}
