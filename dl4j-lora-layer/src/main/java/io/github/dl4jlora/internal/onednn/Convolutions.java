package io.github.dl4jlora.internal.onednn;

import io.github.dl4jlora.internal.blas.HostMemory;
import org.bytedeco.dnnl.convolution_backward_data;
import org.bytedeco.dnnl.convolution_backward_weights;
import org.bytedeco.dnnl.convolution_forward;
import org.bytedeco.dnnl.global.dnnl;
import org.bytedeco.dnnl.memory;
import org.bytedeco.dnnl.primitive_attr;
import org.bytedeco.javacpp.FloatPointer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.shape.Shape;

import java.lang.ref.Reference;
import java.util.Arrays;
import java.util.Optional;

/**
 * Convolutions of FLOAT, in the layouts that {@link ConvolutionShape} names. Weights are brought into oneDNN's layout for each
 * call, in the thread's working memory: they are small beside the numbers that they are multiplied with.
 */
public final class Convolutions {

    /** Below this many multiplications, a size that was not seen before takes much longer to compile than to compute. */
    private static final long LEAST = 1 << 20;

    /** Kinds of primitives. */
    private static final class Forward {
    }

    private static final class BackToData {
    }

    private static final class BackToWeights {
    }

    private Convolutions() {
    }

    /** Whether oneDNN computes a convolution, forward and backward, as far as is known before it is asked. */
    public static boolean take(ConvolutionShape shape, DataType type) {
        return type == DataType.FLOAT && OneDnn.takes(shape.multiplications(), LEAST);
    }

    /**
     * z = x ∗ W.
     *
     * @param w {@code [nIn·kernel, nOut]}, by column, without gaps
     * @param z overwritten
     * @return whether that could be done; if not, nothing has been written
     */
    public static boolean forward(ConvolutionShape shape, INDArray x, INDArray w, INDArray z) {
        return run(Forward.class, shape, x, w, z);
    }

    /**
     * dx = dL/dx, from dL/dz.
     *
     * @param dx overwritten
     * @return as {@link #forward}
     */
    public static boolean backToData(ConvolutionShape shape, INDArray dx, INDArray w, INDArray dz) {
        return run(BackToData.class, shape, dx, w, dz);
    }

    /**
     * dW = dL/dW, from x and dL/dz.
     *
     * @param dw overwritten
     * @return as {@link #forward}
     */
    public static boolean backToWeights(ConvolutionShape shape, INDArray x, INDArray dw, INDArray dz) {
        return run(BackToWeights.class, shape, x, dw, dz);
    }

    private static boolean run(Class<?> kind, ConvolutionShape shape, INDArray x, INDArray w, INDArray z) {
        if (!HostMemory.holds(x, w, z) || !isPlain(x) || !isPlain(z) || !liesByColumn(w) || x.dataType() != DataType.FLOAT
                || w.dataType() != DataType.FLOAT || z.dataType() != DataType.FLOAT) {
            return false;
        }
        boolean done = Calls.run(kind, shape.numbers(), () -> compile(kind, shape),
                (FloatPointer) x.data().addressPointer(), (FloatPointer) w.data().addressPointer(),
                (FloatPointer) z.data().addressPointer());
        Reference.reachabilityFence(x);
        Reference.reachabilityFence(w);
        Reference.reachabilityFence(z);
        return done;
    }

    private static boolean isPlain(INDArray array) {
        return array.ordering() == 'c' && Shape.hasDefaultStridesForShape(array);
    }

    private static boolean liesByColumn(INDArray matrix) {
        return (matrix.size(0) == 1 || matrix.stride(0) == 1) && (matrix.size(1) == 1 || matrix.stride(1) == matrix.size(0));
    }

    private static Optional<Call> compile(Class<?> kind, ConvolutionShape shape) {
        try (memory.desc x = plain(shape.x());
             memory.desc w = plain(shape.w());
             memory.desc anyW = OneDnn.Cpu.floatsInAnyLayout(shape.w());
             memory.desc z = plain(shape.z());
             primitive_attr attributes = OneDnn.Cpu.attributes();
             convolution_forward.primitive_desc forward = new convolution_forward.primitive_desc(OneDnn.Cpu.ENGINE,
                     dnnl.prop_kind.forward_training, dnnl.algorithm.convolution_direct, x, anyW, z, shape.stride(), shape.gaps(),
                     shape.padding(), shape.paddingAfter(), attributes, true)) {
            if (!forward.asBoolean()) {
                return Optional.empty();
            }
            if (kind == Forward.class) {
                return OneDnn.Cpu.isFast(forward) ? Optional.of(new Call(new convolution_forward(forward), forward)
                        .with(dnnl.DNNL_ARG_SRC, x, x, false).with(dnnl.DNNL_ARG_WEIGHTS, w, forward.weights_desc(), false)
                        .with(dnnl.DNNL_ARG_DST, z, z, true)) : Optional.empty();
            }
            return kind == BackToData.class ? backToData(shape, x, w, anyW, z, forward, attributes)
                    : backToWeights(shape, x, w, anyW, z, forward, attributes);
        }
    }

    private static Optional<Call> backToData(ConvolutionShape shape, memory.desc x, memory.desc w, memory.desc anyW,
                                             memory.desc z, convolution_forward.primitive_desc forward,
                                             primitive_attr attributes) {
        try (convolution_backward_data.primitive_desc chosen = new convolution_backward_data.primitive_desc(OneDnn.Cpu.ENGINE,
                dnnl.algorithm.convolution_direct, x, anyW, z, shape.stride(), shape.gaps(), shape.padding(),
                shape.paddingAfter(), forward, attributes, true)) {
            return OneDnn.Cpu.isFast(chosen) ? Optional.of(new Call(new convolution_backward_data(chosen), chosen)
                    .with(dnnl.DNNL_ARG_DIFF_SRC, x, x, true).with(dnnl.DNNL_ARG_WEIGHTS, w, chosen.weights_desc(), false)
                    .with(dnnl.DNNL_ARG_DIFF_DST, z, z, false)) : Optional.empty();
        }
    }

    private static Optional<Call> backToWeights(ConvolutionShape shape, memory.desc x, memory.desc w, memory.desc anyW,
                                                memory.desc z, convolution_forward.primitive_desc forward,
                                                primitive_attr attributes) {
        try (convolution_backward_weights.primitive_desc chosen = new convolution_backward_weights.primitive_desc(
                OneDnn.Cpu.ENGINE, dnnl.algorithm.convolution_direct, x, anyW, z, shape.stride(), shape.gaps(), shape.padding(),
                shape.paddingAfter(), forward, attributes, true)) {
            return OneDnn.Cpu.isFast(chosen) ? Optional.of(new Call(new convolution_backward_weights(chosen), chosen)
                    .with(dnnl.DNNL_ARG_SRC, x, x, false).with(dnnl.DNNL_ARG_DIFF_WEIGHTS, w, chosen.diff_weights_desc(), true)
                    .with(dnnl.DNNL_ARG_DIFF_DST, z, z, false)) : Optional.empty();
        }
    }

    private static memory.desc plain(long[] shape) {
        long[] strides = new long[shape.length];
        Arrays.fill(strides, 1);
        for (int i = shape.length - 2; i >= 0; i--) {
            strides[i] = strides[i + 1] * shape[i + 1];
        }
        return OneDnn.Cpu.floats(shape, strides);
    }
}
