package io.github.dl4jlora.internal.kernel;

import io.github.dl4jlora.internal.blas.Blas;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Arrays;

/**
 * The slopes dy/dz of a layer's activation, kept from the training forward pass to the backward pass.
 *
 * @param shape of z
 * @param order of z in memory
 */
public record KeptSlopes(PackedSlopes activation, INDArray packed, long[] shape, char order) {

    /**
     * Activates a layer's output.
     *
     * @param z without gaps, overwritten with y
     * @return its slopes, in the workspace of activations
     */
    public static KeptSlopes of(PackedSlopes activation, INDArray z, LayerWorkspaceMgr workspaces) {
        INDArray packed = workspaces.createUninitialized(ArrayType.ACTIVATIONS, DataType.INT, (z.length() + 1) / 2);
        activation.activate(z, packed);
        return new KeptSlopes(activation, packed, z.shape(), z.ordering());
    }

    /**
     * {@return dL/dz}
     *
     * @param epsilon dL/dy, left as it is
     * @throws IllegalStateException if epsilon has another shape; ND4J's activations throw the same
     */
    public INDArray gradient(INDArray epsilon, LayerWorkspaceMgr workspaces) {
        if (!Arrays.equals(shape, epsilon.shape())) {
            throw new IllegalStateException("Shapes must be equal: a layer's output has " + Arrays.toString(shape)
                    + ", its errors have " + Arrays.toString(epsilon.shape()) + " (activation " + activation + ")");
        }
        INDArray alike = Blas.inOrder(epsilon, order, workspaces);
        if (alike.ordering() != order || alike.elementWiseStride() != 1) {
            alike = workspaces.dup(ArrayType.BP_WORKING_MEM, epsilon, order);
        }
        INDArray delta = alike != epsilon ? alike
                : workspaces.createUninitialized(ArrayType.BP_WORKING_MEM, epsilon.dataType(), epsilon.shape(), order);
        activation.backprop(packed, alike, delta);
        return delta;
    }
}
