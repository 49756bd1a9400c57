package io.github.dl4jlora.internal.onednn;

import io.github.dl4jlora.internal.blas.Blas;
import io.github.dl4jlora.internal.blas.HostMemory;
import io.github.dl4jlora.internal.blas.Lie;
import org.bytedeco.dnnl.global.dnnl;
import org.bytedeco.dnnl.layer_normalization_backward;
import org.bytedeco.dnnl.layer_normalization_forward;
import org.bytedeco.dnnl.memory;
import org.bytedeco.dnnl.primitive_attr;
import org.bytedeco.dnnl.softmax_backward;
import org.bytedeco.dnnl.softmax_forward;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.Pointer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.lang.ref.Reference;
import java.util.Optional;

/**
 * Softmax and layer normalisation of rows, of FLOAT, where they lie. HotSpot vectorises neither sums nor maxima of floats, so
 * loops in Java take longer. The caller's thread computes alone, since to wake others would take as long as they save.
 *
 * <p>Each method returns whether it could be done; if not, nothing has been written.
 */
public final class Rows {

    /** Below this many values, calling oneDNN takes longer than it saves. */
    private static final long LEAST = 1 << 13;

    private static final ThreadLocal<Statistics> STATISTICS = ThreadLocal.withInitial(Statistics::new);

    /** A thread's memory for mean and variance of each row. */
    private static final class Statistics {

        private FloatPointer values = new FloatPointer();

        FloatPointer room(long rows) {
            values = HostMemory.room(values, 2 * rows);
            return values;
        }
    }

    /** What is computed. */
    private enum Operation {

        SOFTMAX, SOFTMAX_GRADIENT, NORMALIZATION, NORMALIZATION_GRADIENT;

        /** Runs it on this thread alone. */
        boolean run(long rows, long columns, double epsilon, Pointer... addresses) {
            long[] numbers = {ordinal(), rows, columns, Double.doubleToLongBits(epsilon)};
            return Calls.run(1, Rows.class, numbers, () -> Compiler.compile(this, rows, columns, (float) epsilon), addresses);
        }
    }

    private Rows() {
    }

    /**
     * Turns rows into their softmax. Not if there is NaN or infinity among the values: oneDNN would make zero of NaN, and so hide
     * it.
     *
     * @param values begins with the rows, one after the other
     */
    public static boolean softmax(INDArray values, long rows, long columns) {
        if (!takes(rows * columns, values) || !Blas.areNumbers(values, rows * columns)) {
            return false;
        }
        Pointer address = values.data().addressPointer();
        boolean done = Operation.SOFTMAX.run(rows, columns, 0, address, address);
        Reference.reachabilityFence(values);
        return done;
    }

    /**
     * Turns a gradient with respect to softmax p into one with respect to what it is the softmax of:
     * {@code p ⊙ (gradient - sum(p ⊙ gradient))}, row by row.
     *
     * @param p        begins with the rows, one after the other
     * @param gradient the same; overwritten
     */
    public static boolean softmaxGradient(INDArray p, INDArray gradient, long rows, long columns) {
        if (!takes(rows * columns, p, gradient)) {
            return false;
        }
        Pointer errors = gradient.data().addressPointer();
        boolean done = Operation.SOFTMAX_GRADIENT.run(rows, columns, 0, p.data().addressPointer(), errors, errors);
        Reference.reachabilityFence(p);
        Reference.reachabilityFence(gradient);
        return done;
    }

    /** {@code y = gain · (x - mean) / √(variance + epsilon) + shift}, mean and variance those of each row. */
    public static boolean normalize(INDArray x, INDArray gain, INDArray shift, INDArray y, double epsilon) {
        if (!takes(x.length(), x, gain, shift, y)) {
            return false;
        }
        boolean done = normalize(x, gain, shift, y, epsilon, STATISTICS.get().room(x.size(0)));
        Reference.reachabilityFence(x);
        Reference.reachabilityFence(gain);
        Reference.reachabilityFence(shift);
        Reference.reachabilityFence(y);
        return done;
    }

    /** @param statistics gets the mean of each row, then the variance of each */
    private static boolean normalize(INDArray x, INDArray gain, INDArray shift, INDArray y, double epsilon,
                                     FloatPointer statistics) {
        return Operation.NORMALIZATION.run(x.size(0), x.size(1), epsilon, x.data().addressPointer(), statistics,
                statistics.getPointer(x.size(0)), gain.data().addressPointer(), shift.data().addressPointer(),
                y.data().addressPointer());
    }

    /**
     * Gradients of {@link #normalize}. If they could not be computed, dx may hold anything.
     *
     * @param dy     with respect to its result
     * @param dx     with respect to x; overwritten, as the next two are, so it must not share memory with x or dy
     * @param dGain  with respect to the gain
     * @param dShift with respect to the shift
     */
    public static boolean normalizeGradient(INDArray x, INDArray gain, INDArray dy, INDArray dx, INDArray dGain,
                                            INDArray dShift, double epsilon) {
        if (!takes(x.length(), x, gain, dy, dx, dGain, dShift)) {
            return false;
        }
        FloatPointer statistics = STATISTICS.get().room(x.size(0));
        // Mean and variance again, with dx as a place for what nobody needs: keeping them would save a fifth of the time.
        boolean done = normalize(x, gain, gain, dx, epsilon, statistics) && Operation.NORMALIZATION_GRADIENT.run(x.size(0),
                x.size(1), epsilon, x.data().addressPointer(), statistics, statistics.getPointer(x.size(0)),
                gain.data().addressPointer(), dy.data().addressPointer(), dx.data().addressPointer(),
                dGain.data().addressPointer(), dShift.data().addressPointer());
        Reference.reachabilityFence(x);
        Reference.reachabilityFence(gain);
        Reference.reachabilityFence(dy);
        Reference.reachabilityFence(dx);
        Reference.reachabilityFence(dGain);
        Reference.reachabilityFence(dShift);
        return done;
    }

    private static boolean takes(long values, INDArray... arrays) {
        if (!OneDnn.takes(values, LEAST)) {
            return false;
        }
        for (INDArray array : arrays) {
            if (array.dataType() != DataType.FLOAT || !Lie.isPlain(array)) {
                return false;
            }
        }
        return HostMemory.holds(arrays);
    }

    /** Apart from the class around it, as in {@link Products}. */
    private static final class Compiler {

        private static final int GAIN_AND_SHIFT = dnnl.normalization_flags.use_scale.value
                | dnnl.normalization_flags.use_shift.value;

        private Compiler() {
        }

        static Optional<Call> compile(Operation operation, long rows, long columns, float epsilon) {
            try (memory.desc all = OneDnn.Cpu.floats(new long[] {rows, columns}, new long[] {columns, 1});
                 memory.desc perRow = OneDnn.Cpu.floats(new long[] {rows}, new long[] {1});
                 memory.desc perColumn = OneDnn.Cpu.floats(new long[] {columns}, new long[] {1});
                 primitive_attr attributes = OneDnn.Cpu.attributes(false)) {
                return switch (operation) {
                    case SOFTMAX -> softmax(all, attributes);
                    case SOFTMAX_GRADIENT -> softmaxGradient(all, attributes);
                    case NORMALIZATION -> normalization(all, perRow, perColumn, epsilon, attributes);
                    case NORMALIZATION_GRADIENT -> normalizationGradient(all, perRow, perColumn, epsilon, attributes);
                };
            }
        }

        private static softmax_forward.primitive_desc describedSoftmax(memory.desc all, primitive_attr attributes) {
            return new softmax_forward.primitive_desc(OneDnn.Cpu.ENGINE, dnnl.prop_kind.forward_training,
                    dnnl.algorithm.softmax_accurate, all, all, 1, attributes, true);
        }

        private static Optional<Call> softmax(memory.desc all, primitive_attr attributes) {
            try (softmax_forward.primitive_desc chosen = describedSoftmax(all, attributes)) {
                return !OneDnn.Cpu.isFast(chosen) ? Optional.empty() : Optional.of(
                        new Call(new softmax_forward(chosen), chosen).with(dnnl.DNNL_ARG_SRC, all, all, false)
                                .with(dnnl.DNNL_ARG_DST, all, all, true));
            }
        }

        private static Optional<Call> softmaxGradient(memory.desc all, primitive_attr attributes) {
            try (softmax_forward.primitive_desc forward = describedSoftmax(all, attributes);
                 softmax_backward.primitive_desc chosen = new softmax_backward.primitive_desc(OneDnn.Cpu.ENGINE,
                         dnnl.algorithm.softmax_accurate, all, all, all, 1, forward, attributes, true)) {
                return !OneDnn.Cpu.isFast(chosen) ? Optional.empty() : Optional.of(
                        new Call(new softmax_backward(chosen), chosen).with(dnnl.DNNL_ARG_DST, all, all, false)
                                .with(dnnl.DNNL_ARG_DIFF_DST, all, all, false).with(dnnl.DNNL_ARG_DIFF_SRC, all, all, true));
            }
        }

        private static layer_normalization_forward.primitive_desc describedNormalization(memory.desc all, memory.desc perRow,
                float epsilon, primitive_attr attributes) {
            return new layer_normalization_forward.primitive_desc(OneDnn.Cpu.ENGINE, dnnl.prop_kind.forward_training.value, all,
                    all, perRow, epsilon, GAIN_AND_SHIFT, attributes, true);
        }

        private static Optional<Call> normalization(memory.desc all, memory.desc perRow, memory.desc perColumn, float epsilon,
                primitive_attr attributes) {
            try (layer_normalization_forward.primitive_desc chosen = describedNormalization(all, perRow, epsilon, attributes)) {
                return !OneDnn.Cpu.isFast(chosen) ? Optional.empty() : Optional.of(
                        new Call(new layer_normalization_forward(chosen), chosen).with(dnnl.DNNL_ARG_SRC, all, all, false)
                                .with(dnnl.DNNL_ARG_MEAN, perRow, perRow, true)
                                .with(dnnl.DNNL_ARG_VARIANCE, perRow, perRow, true)
                                .with(dnnl.DNNL_ARG_SCALE, perColumn, perColumn, false)
                                .with(dnnl.DNNL_ARG_SHIFT, perColumn, perColumn, false)
                                .with(dnnl.DNNL_ARG_DST, all, all, true));
            }
        }

        private static Optional<Call> normalizationGradient(memory.desc all, memory.desc perRow, memory.desc perColumn,
                float epsilon, primitive_attr attributes) {
            try (layer_normalization_forward.primitive_desc forward = describedNormalization(all, perRow, epsilon, attributes);
                 layer_normalization_backward.primitive_desc chosen = new layer_normalization_backward.primitive_desc(
                         OneDnn.Cpu.ENGINE, dnnl.prop_kind.backward.value, all, all, all, perRow, epsilon, GAIN_AND_SHIFT,
                         forward, attributes, true)) {
                return !OneDnn.Cpu.isFast(chosen) ? Optional.empty() : Optional.of(
                        new Call(new layer_normalization_backward(chosen), chosen).with(dnnl.DNNL_ARG_SRC, all, all, false)
                                .with(dnnl.DNNL_ARG_MEAN, perRow, perRow, false)
                                .with(dnnl.DNNL_ARG_VARIANCE, perRow, perRow, false)
                                .with(dnnl.DNNL_ARG_SCALE, perColumn, perColumn, false)
                                .with(dnnl.DNNL_ARG_DIFF_DST, all, all, false).with(dnnl.DNNL_ARG_DIFF_SRC, all, all, true)
                                .with(dnnl.DNNL_ARG_DIFF_SCALE, perColumn, perColumn, true)
                                .with(dnnl.DNNL_ARG_DIFF_SHIFT, perColumn, perColumn, true));
            }
        }
    }
}
