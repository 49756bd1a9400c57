package io.github.dl4jlora.internal.kernel;

import io.github.dl4jlora.internal.blas.Blas;
import io.github.dl4jlora.internal.blas.Lie;
import io.github.dl4jlora.internal.onednn.Copies;
import io.github.dl4jlora.internal.onednn.Products;
import org.deeplearning4j.exception.DL4JInvalidInputException;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.activations.impl.ActivationReLU;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Arrays;

/** What this library's layers compute, by the fastest of ND4J's ways to compute it; figures in docs/benchmarks.md. */
public final class DenseArithmetic {

    private static final ActivationReLU PLAIN = new ActivationReLU();

    private DenseArithmetic() {
    }

    /**
     * Checks the input of a product with W: the product reads as much memory as W's shape says.
     *
     * @param layerId the end of each message
     * @return the input in the given type
     * @throws DL4JInvalidInputException if it is no matrix of W's height
     */
    public static INDArray checkedInput(INDArray input, FrozenMatrix w, DataType type, String layerId) {
        if (input.rank() != 2) {
            throw new DL4JInvalidInputException("Input that is not a matrix; expected matrix (rank 2), got rank " + input.rank()
                    + " array with shape " + Arrays.toString(input.shape()) + ". Missing preprocessor or wrong input type? "
                    + layerId);
        }
        if (input.size(1) != w.rows()) {
            throw new DL4JInvalidInputException("Input size (" + input.size(1) + " columns; shape = "
                    + Arrays.toString(input.shape()) + ") is invalid: does not match layer input size (layer # inputs = "
                    + w.rows() + ") " + layerId);
        }
        return input.castTo(type);
    }

    /**
     * The order for the result of a product with W. OpenBLAS is faster with a column-major result when the result has far fewer
     * rows than columns, and with a row-major result otherwise.
     */
    public static char resultOrder(long rows, long columns) {
        return 4 * rows <= columns ? 'f' : 'c';
    }

    /**
     * y = activation(z), in an array of the activations' workspace.
     *
     * @param z left as it is
     */
    public static INDArray activated(IActivation activation, INDArray z, LayerWorkspaceMgr workspaces) {
        return activated(activation, z, null, workspaces);
    }

    /**
     * As {@link #activated(IActivation, INDArray, LayerWorkspaceMgr)}, in a training forward pass.
     *
     * @param place for y; null for the activations' workspace
     */
    public static INDArray activated(IActivation activation, INDArray z, @Nullable PassingOutput place,
            LayerWorkspaceMgr workspaces) {
        INDArray y = PassingOutput.create(place, z.rank() == 2, workspaces, z.dataType(), z.shape(), z.ordering());
        if (isPlainReLU(activation) && Rectifier.takes(z, y)) {
            Rectifier.forward(z, y);
            return y;
        }
        return activation.getActivation(y.assign(z), true);
    }

    /** z = max(0, z), in place; NaN stays. */
    public static void rectify(INDArray z) {
        activate(PLAIN, z, false);
    }

    /** y = activation(z), in place of z where the activation can do that. */
    public static INDArray activate(IActivation activation, INDArray z, boolean training) {
        if (isPlainReLU(activation) && Rectifier.takes(z, z)) {
            Rectifier.forward(z, z);
            return z;
        }
        return activation.getActivation(z, training);
    }

    /**
     * dL/dz from dL/dy, where y = activation(z). ReLU's is computed in one pass; ND4J's operation for it takes ten times as long,
     * as all of its operations do where two orders meet.
     *
     * @param z       may be overwritten
     * @param epsilon dL/dy; may be overwritten
     */
    public static INDArray activationGradient(IActivation activation, INDArray z, INDArray epsilon,
            LayerWorkspaceMgr workspaces) {
        INDArray alike = inOrderOf(z, epsilon, workspaces);
        if (isPlainReLU(activation)) {
            if (Rectifier.takes(z, alike)) {
                Rectifier.backward(z, alike);
                return z;
            }
            if (z.dataType() == DataType.BFLOAT16) {
                // ND4J's own operation refuses this type. Every number of this type is also one of the wider type.
                return activationGradient(activation, z.castTo(DataType.FLOAT), alike.castTo(DataType.FLOAT), workspaces)
                        .castTo(DataType.BFLOAT16);
            }
        }
        return activation.backprop(z, alike).getFirst();
    }

    /** Of images with channels last, say, epsilon is a view of an array that has them first. */
    private static INDArray inOrderOf(INDArray z, INDArray epsilon, LayerWorkspaceMgr workspaces) {
        if (z.rank() == 2) {
            return Blas.inOrder(epsilon, z.ordering(), workspaces);
        }
        return Lie.isPlainAndC(z) ? Copies.asPlain(epsilon, workspaces, ArrayType.BP_WORKING_MEM) : epsilon;
    }

    /**
     * sum += a·b, all column-major. By oneDNN where it is used: OpenBLAS's threads would spin on after it, on cores that oneDNN's
     * next product or convolution needs.
     */
    public static void addProduct(INDArray a, INDArray b, INDArray sum) {
        if (!Products.add(b.transpose(), a.transpose(), sum.transpose())) {
            Blas.gemm(a, b, sum, false, false, 1, 1);
        }
    }

    /** Adds a bias to each row of a product, in place. */
    public static void addBias(INDArray product, INDArray bias) {
        Blas.addRow(product, bias);
    }

    /** Whether y = max(0, z). */
    public static boolean isPlainReLU(IActivation activation) {
        return activation instanceof ActivationReLU relu && activation.getClass() == ActivationReLU.class && relu.getMax() == null
                && relu.getThreshold() == null && relu.getNegativeSlope() == null;
    }
}
