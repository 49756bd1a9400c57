package io.github.dl4jlora.conf;

import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Arrays;

/**
 * A parameter of a layer, and its counterpart in PyTorch.
 *
 * <pre>{@code
 * TorchParameter weight = new TorchParameter("fc1", "W", "encoder.dense.weight", new long[] {256, 784}, true);
 * INDArray asInTorch = weight.oriented(base.getParam("fc1_W"));    // [256, 784]
 * System.out.println(weight.module());                             // encoder.dense
 * }</pre>
 *
 * @param layer      the name of the layer that holds it
 * @param key        of the parameter there
 * @param tensor     PyTorch's name, the module's before the last dot: {@code encoder.layer.0.output.dense.weight}
 * @param shape      PyTorch's
 * @param transposed whether DL4J has the matrix the other way round
 */
public record TorchParameter(String layer, String key, String tensor, long[] shape, boolean transposed) {

    /**
     * A parameter, checked.
     *
     * @param layer      the name of the layer that holds it
     * @param key        of the parameter there
     * @param tensor     PyTorch's name: the module's, a dot and the parameter's
     * @param shape      PyTorch's
     * @param transposed whether DL4J has the matrix the other way round
     * @throws IllegalArgumentException if the tensor's name is not made so
     */
    public TorchParameter {
        int dot = tensor.lastIndexOf('.');
        if (dot < 1 || dot == tensor.length() - 1) {
            throw new IllegalArgumentException("TorchParameter: tensor is \"" + tensor + "\", but must be a module's name, a dot "
                    + "and a parameter's name, such as \"fc.weight\"");
        }
    }

    /**
     * The array as PyTorch has it.
     *
     * @param parameter as DL4J has it
     * @return a view of {@link #shape}
     */
    public INDArray oriented(INDArray parameter) {
        // Vectors are rows in DL4J. An array that has the shape already is not reshaped: that would copy an 'f' array.
        return transposed ? parameter.transpose() : shape.length == 1 ? parameter.reshape(shape) : parameter;
    }

    /**
     * The array as DL4J has it.
     *
     * @param value as PyTorch has it
     * @param like  the parameter that it is for
     * @return the value in the shape of the parameter, in part a view
     * @throws IllegalArgumentException if the value does not have {@link #shape}
     */
    public INDArray restored(INDArray value, INDArray like) {
        if (!Arrays.equals(shape, value.shape())) {
            throw new IllegalArgumentException(tensor + " has shape " + Arrays.toString(value.shape())
                    + ", but the network's layer needs " + Arrays.toString(shape));
        }
        return transposed ? value.transpose() : value.reshape(like.shape());
    }

    /** {@return the name of the PyTorch module that has the tensor} */
    public String module() {
        return tensor.substring(0, tensor.lastIndexOf('.'));
    }
}
