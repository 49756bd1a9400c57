package io.github.dl4jlora.internal.onednn;

import io.github.dl4jlora.internal.blas.HostMemory;
import io.github.dl4jlora.internal.blas.Lie;
import org.bytedeco.dnnl.binary;
import org.bytedeco.dnnl.convolution_backward_data;
import org.bytedeco.dnnl.convolution_backward_weights;
import org.bytedeco.dnnl.convolution_forward;
import org.bytedeco.dnnl.global.dnnl;
import org.bytedeco.dnnl.matmul;
import org.bytedeco.dnnl.memory;
import org.bytedeco.dnnl.primitive_attr;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.lang.ref.Reference;
import java.util.Arrays;
import java.util.Optional;
import java.util.function.Supplier;
import java.util.stream.LongStream;

/**
 * Convolutions of FLOAT with weights of FLOAT or BF16, in the layouts that {@link ConvolutionShape} names. Weights that are not
 * packed are brought into oneDNN's layout for each call, in the thread's working memory: in training they are small beside the
 * numbers that they are multiplied with.
 */
public final class Convolutions {

    /** Below this many multiplications, a size that was not seen before takes much longer to compile than to compute. */
    private static final long LEAST = 1 << 20;
    /** The same of one example: what is rounded to bfloat16 must not depend on the examples beside it. */
    private static final long LEAST_OF_BF16 = 1 << 18;
    /** From so many places of all examples on, copying weights into another layout takes little of the time. */
    private static final long LEAST_PLACES = 512;
    /** From so many places of an example on, a kernel of one is a product that reads W where it lies, packed copy or not. */
    private static final long PLACES_OF_PRODUCTS = 64;

    /** Kinds of primitives. */
    private static final class Forward {
    }

    private static final class Multiply {
    }

    private static final class AddForward {
    }

    private static final class BackToData {
    }

    private static final class Scale {
    }

    private static final class BackToWeights {
    }

    private static final class Pack {
    }

    private Convolutions() {
    }

    /** Whether oneDNN computes a convolution, forward and backward, as far as is known before it is asked. */
    public static boolean take(ConvolutionShape shape, DataType type) {
        return type == DataType.FLOAT && take(shape.multiplications()) && shape.isComputedRight();
    }

    /** Whether W in bfloat16 is multiplied as it is, by its convolution of one example. */
    public static boolean takeBf16(ConvolutionShape ofOne) {
        return takeBf16(ofOne.multiplications()) && ofOne.isComputedRight();
    }

    /** As {@link #takeBf16(ConvolutionShape)}, for a convolution of one example with so many multiplications. */
    public static boolean takeBf16(long multiplications) {
        return OneDnn.takes(multiplications, LEAST_OF_BF16);
    }

    /** As {@link #take(ConvolutionShape, DataType)}, for a convolution of FLOAT with so many multiplications. */
    public static boolean take(long multiplications) {
        return OneDnn.takes(multiplications, LEAST);
    }

    /** Whether operands of FLOAT are better copied into oneDNN's own layouts, where oneDNN is there. */
    private static boolean gainsFromCopies(ConvolutionShape shape) {
        return gainsFromCopies(shape.minibatch() * shape.positions());
    }

    private static boolean gainsFromCopies(long places) {
        return !OneDnn.Cpu.READS_IN_PLACE && (OneDnn.takesAll() || places >= LEAST_PLACES);
    }

    /**
     * Whether a convolution uses a packed copy of W, as far as is known before oneDNN is asked.
     *
     * @param type         FLOAT or BF16
     * @param weights      numbers of W
     * @param mayBeProduct whether it may be a product that reads W where it lies: the forward pass of a kernel of one, of FLOAT
     * @param positions    in one example
     */
    public static boolean usePacked(Weights.Type type, long weights, boolean mayBeProduct, long minibatch, long positions) {
        return Packing.gains(type, weights, 1)
                && (!mayBeProduct || positions < PLACES_OF_PRODUCTS || gainsFromCopies(minibatch * positions));
    }

    /**
     * A packed copy of W for such convolutions, which is made when it is first needed. Its layout is the best one for the first
     * shape; other shapes that want another do not use it.
     *
     * @param backward whether it is for {@link #backToData}, otherwise for {@link #forward}
     * @param plain    of FLOAT or BF16, {@code [nIn·kernel, nOut]}, by column or by row, without gaps
     * @return null if there is none, or W is better read where it lies
     */
    public static @Nullable Weights packed(ConvolutionShape shape, boolean backward, PackedCopies copies, Weights plain) {
        if (!isWhole(plain) || !usePacked(plain.type(), plain.rows() * plain.columns(), !backward && mayBeProduct(shape, plain),
                shape.minibatch(), shape.positions())) {
            return null;
        }
        return copies.of(backward, () -> plain, from -> {
            long[] numbers = LongStream.concat(LongStream.of(backward ? 1 : 0), LongStream.of(numbers(shape, from))).toArray();
            return Packing.packed(Calls.find(OneDnn.threads(), Pack.class, numbers,
                    () -> Compiler.pack(shape, backward, from)), from, Working::own);
        });
    }

    /**
     * z = x ∗ W.
     *
     * @param w of FLOAT or BF16, {@code [nIn·kernel, nOut]}, by column or by row, without gaps; or a packed copy
     * @param z overwritten
     * @return whether that could be done; if not, nothing has been written
     */
    public static boolean forward(ConvolutionShape shape, INDArray x, @Nullable Weights w, INDArray z) {
        return forward(shape, x, w, Finish.NOTHING, z);
    }

    /**
     * z = x ∗ W, finished. With a kernel of one, W is read where it is, except where copies gain.
     *
     * @param z overwritten
     * @return as {@link #forward(ConvolutionShape, INDArray, Weights, INDArray)}
     */
    public static boolean forward(ConvolutionShape shape, INDArray x, @Nullable Weights w, Finish finish, INDArray z) {
        return w != null && OneDnn.isUsed() && isProduct(shape, w) ? multiply(shape, x, w, finish, z)
                : run(Forward.class, shape, x, w, z, finish);
    }

    /** Whether a kernel of one is a product that reads W where it lies. */
    private static boolean isProduct(ConvolutionShape shape, Weights w) {
        return mayBeProduct(shape, w) && !gainsFromCopies(shape);
    }

    private static boolean mayBeProduct(ConvolutionShape shape, Weights w) {
        return shape.isPointwise() && w.type() == Weights.Type.FLOAT && w.layout() == null && isByColumn(w);
    }

    /**
     * As {@link #forward(ConvolutionShape, INDArray, Weights, Finish, INDArray)}, from the convolution's windows: a product that
     * reads W where it is.
     *
     * @param windows {@code [minibatch, nIn·kernel, positions]}, 'c' order
     * @param w       of FLOAT
     */
    public static boolean multiply(ConvolutionShape shape, INDArray windows, @Nullable Weights w, Finish finish, INDArray z) {
        return run(Multiply.class, shape, windows, w, z, finish);
    }

    /**
     * y = x · scale + shift, channel by channel.
     *
     * @param x     {@code [minibatch, channels, …]} of FLOAT, 'c' order
     * @param scale {@code [channels]}, or a row
     * @param shift likewise
     * @param y     of x's shape, overwritten; may be x
     * @return whether that could be done; if not, nothing has been written
     */
    public static boolean scale(INDArray x, INDArray scale, INDArray shift, INDArray y) {
        // Where each channel is one number in more than two dimensions, oneDNN 3.11 adds the first channel's shift to all.
        long[] shape = x.length() == x.size(0) * x.size(1) ? new long[] {x.size(0), x.size(1)} : x.shape();
        Finish finish = new Finish(shift, false);
        if (!OneDnn.isUsed() || !Finish.isReadable(scale, x.size(1)) || !finish.isReadable(x.size(1)) || !areReadable(x, y)) {
            return false;
        }
        boolean done = Calls.run(Scale.class, shape, () -> Compiler.scale(finish, shape),
                finish.operands(x.data().addressPointer(), y.data().addressPointer(), scale.data().addressPointer()));
        Reference.reachabilityFence(x);
        Reference.reachabilityFence(y);
        Reference.reachabilityFence(scale);
        Reference.reachabilityFence(shift);
        return done;
    }

    private static boolean areReadable(INDArray x, INDArray z) {
        return HostMemory.holds(x, z) && Lie.isPlain(x) && Lie.isPlain(z) && x.dataType() == DataType.FLOAT
                && z.dataType() == DataType.FLOAT;
    }

    /**
     * z += x ∗ W.
     *
     * @param z added to
     * @return as {@link #forward}
     */
    public static boolean addForward(ConvolutionShape shape, INDArray x, @Nullable Weights w, INDArray z) {
        return run(AddForward.class, shape, x, w, z);
    }

    /**
     * dx = dL/dx, from dL/dz.
     *
     * @param dx overwritten
     * @return as {@link #forward}
     */
    public static boolean backToData(ConvolutionShape shape, INDArray dx, @Nullable Weights w, INDArray dz) {
        return run(BackToData.class, shape, dx, w, dz);
    }

    /**
     * dW = dL/dW, from x and dL/dz.
     *
     * @param dw of FLOAT, overwritten
     * @return as {@link #forward}
     */
    public static boolean backToWeights(ConvolutionShape shape, INDArray x, @Nullable Weights dw, INDArray dz) {
        return run(BackToWeights.class, shape, x, dw, dz);
    }

    private static boolean run(Class<?> kind, ConvolutionShape shape, INDArray x, @Nullable Weights w, INDArray z) {
        return run(kind, shape, x, w, z, Finish.NOTHING);
    }

    private static boolean run(Class<?> kind, ConvolutionShape shape, INDArray x, @Nullable Weights w, INDArray z,
                               Finish finish) {
        if (w == null || !areReadable(x, z) || !finish.isReadable(shape.nOut())
                || kind != Multiply.class && !shape.isComputedRight()) {
            return false;
        }
        if (w.layout() == null && !(kind == Multiply.class ? isByColumn(w) : isWhole(w))) {
            return false;
        }
        long[] numbers = LongStream.concat(LongStream.of(finish.parts()), LongStream.of(numbers(shape, w))).toArray();
        boolean done = Calls.run(kind, numbers, () -> Compiler.compile(kind, shape, w, finish),
                finish.operands(x.data().addressPointer(), w.values(), z.data().addressPointer()));
        Reference.reachabilityFence(finish);
        Reference.reachabilityFence(x);
        Reference.reachabilityFence(z);
        return done;
    }

    /** What a compiled primitive depends on. */
    private static long[] numbers(ConvolutionShape shape, Weights w) {
        long[] own = LongStream.concat(LongStream.of(w.type().ordinal(), isByColumn(w) ? 1 : 0), LongStream.of(shape.numbers()))
                .toArray();
        return w.layout() == null ? own : w.layout().after(own);
    }

    private static boolean isWhole(Weights w) {
        return isByColumn(w) || isWhole(w.columns(), w.stride(), w.rows(), w.rowStride());
    }

    private static boolean isByColumn(Weights w) {
        return isWhole(w.rows(), w.rowStride(), w.columns(), w.stride());
    }

    /** Whether lines lie one after the other without gaps. */
    private static boolean isWhole(long length, long stride, long lines, long lineStride) {
        return (stride == 1 || length == 1) && (lineStride == length || lines == 1);
    }

    /**
     * Apart, since classes are verified as a whole: to see that an object may be passed as a supertype's, the JVM loads its
     * class, and the class around this one must do without oneDNN.
     */
    private static final class Compiler {

        private Compiler() {
        }

        static Optional<Call> compile(Class<?> kind, ConvolutionShape shape, Weights weights, Finish finish) {
            return kind == Multiply.class ? multiply(shape, finish) : compile(kind, shape, weights, finish, false);
        }

        /** Copies W into the layout for such a convolution, and tells that layout. */
        static Optional<Call> pack(ConvolutionShape shape, boolean backward, Weights weights) {
            return compile(backward ? BackToData.class : Forward.class, shape, weights, Finish.NOTHING, true);
        }

        /** @param packs whether to give what packs the weights, in place of the convolution */
        private static Optional<Call> compile(Class<?> kind, ConvolutionShape shape, Weights weights, Finish finish,
                                              boolean packs) {
            boolean narrow = weights.type() == Weights.Type.BF16;
            boolean isForward = kind == Forward.class || kind == AddForward.class;
            boolean isPacked = packs || weights.layout() != null;
            boolean anyLayout = narrow || shape.groups() > 1 || kind != AddForward.class && (gainsFromCopies(shape)
                    || isPacked && !OneDnn.Cpu.READS_IN_PLACE);
            // What backward passes are told of the forward pass has operands alone: a result of FLOAT would misguide their
            // choice.
            try (Tensor x = Tensor.ofNumbers(shape.x(), narrow, anyLayout);
                 Tensor w = Tensor.ofWeights(shape, weights);
                 Tensor z = Tensor.ofNumbers(shape.z(), narrow && !isForward, anyLayout);
                 memory.desc bias = finish.shift() != null ? OneDnn.Cpu.floats(new long[] {shape.nOut()}, new long[] {1})
                         : new memory.desc();
                 primitive_attr attributes = kind == AddForward.class ? OneDnn.Cpu.attributes(true)
                         : isPacked && isForward && shape.isPointwise() && !anyLayout && !finish.rectifies()
                         ? OneDnn.Cpu.attributesOfConvolution() : OneDnn.Cpu.attributes(finish, false, shape.z());
                 convolution_forward.primitive_desc forward = new convolution_forward.primitive_desc(OneDnn.Cpu.ENGINE,
                         dnnl.prop_kind.forward_training, dnnl.algorithm.convolution_direct, x.wanted, w.wanted, bias, z.wanted,
                         shape.stride(), shape.gaps(), shape.padding(), shape.paddingAfter(), attributes, true)) {
                if (!forward.asBoolean()) {
                    return Optional.empty();
                }
                if (isForward) {
                    return !OneDnn.Cpu.isFast(forward) ? Optional.empty()
                            : w.using(forward.weights_desc(), packs, () -> forward(forward, x, w, z, finish));
                }
                if (kind == BackToWeights.class) {
                    return backToWeights(shape, x, w, z, forward, attributes);
                }
                try (Tensor dx = Tensor.ofNumbers(shape.x(), false, anyLayout)) {
                    return backToData(shape, dx, w, z, forward, attributes, packs);
                }
            }
        }

        private static Call forward(convolution_forward.primitive_desc chosen, Tensor x, Tensor w, Tensor z, Finish finish) {
            Call call = new Call(new convolution_forward(chosen), chosen)
                    .with(dnnl.DNNL_ARG_SRC, x.given, chosen.src_desc(), false)
                    .with(dnnl.DNNL_ARG_WEIGHTS, w.given, chosen.weights_desc(), false)
                    .with(dnnl.DNNL_ARG_DST, z.given, chosen.dst_desc(), true);
            return finish.shift() == null ? call
                    : call.with(dnnl.DNNL_ARG_BIAS, chosen.bias_desc(), chosen.bias_desc(), false);
        }

        /** zᵀ = Wᵀ·xᵀ for each example, by row. In three dimensions oneDNN can finish each row by itself. */
        private static Optional<Call> multiply(ConvolutionShape shape, Finish finish) {
            long[] ofW = {1, shape.nOut(), shape.windowSize()};
            long[] ofX = {shape.minibatch(), shape.windowSize(), shape.positions()};
            long[] ofZ = {shape.minibatch(), shape.nOut(), shape.positions()};
            try (memory.desc w = OneDnn.Cpu.floats(ofW, OneDnn.Cpu.plain(ofW));
                 memory.desc x = OneDnn.Cpu.floats(ofX, OneDnn.Cpu.plain(ofX));
                 memory.desc z = OneDnn.Cpu.floats(ofZ, OneDnn.Cpu.plain(ofZ));
                 primitive_attr attributes = OneDnn.Cpu.attributes(finish, true, ofZ);
                 matmul.primitive_desc chosen = new matmul.primitive_desc(OneDnn.Cpu.ENGINE, w, x, z, attributes, true)) {
                return OneDnn.Cpu.isFast(chosen) ? Optional.of(new Call(new matmul(chosen), chosen)
                        .with(dnnl.DNNL_ARG_WEIGHTS, x, x, false).with(dnnl.DNNL_ARG_SRC, w, w, false)
                        .with(dnnl.DNNL_ARG_DST, z, z, true).finished(finish, ofZ)) : Optional.empty();
            }
        }

        static Optional<Call> scale(Finish finish, long[] shape) {
            try (memory.desc x = OneDnn.Cpu.floats(shape, OneDnn.Cpu.plain(shape));
                 memory.desc channels = OneDnn.Cpu.channels(shape);
                 primitive_attr attributes = OneDnn.Cpu.attributes(finish, true, shape);
                 binary.primitive_desc chosen = new binary.primitive_desc(OneDnn.Cpu.ENGINE, dnnl.algorithm.binary_mul, x,
                         channels, x, attributes, true)) {
                return OneDnn.Cpu.isFast(chosen) ? Optional.of(new Call(new binary(chosen), chosen)
                        .with(dnnl.DNNL_ARG_SRC_0, x, x, false).with(dnnl.DNNL_ARG_DST, x, x, true)
                        .with(dnnl.DNNL_ARG_SRC_1, channels, channels, false).finished(finish, shape)) : Optional.empty();
            }
        }

        private static Optional<Call> backToData(ConvolutionShape shape, Tensor x, Tensor w, Tensor z,
                                                 convolution_forward.primitive_desc forward, primitive_attr attributes,
                                                 boolean packs) {
            try (convolution_backward_data.primitive_desc chosen = new convolution_backward_data.primitive_desc(OneDnn.Cpu.ENGINE,
                    dnnl.algorithm.convolution_direct, x.wanted, w.wanted, z.wanted, shape.stride(), shape.gaps(),
                    shape.padding(), shape.paddingAfter(), forward, attributes, true)) {
                return !OneDnn.Cpu.isFast(chosen) ? Optional.empty() : w.using(chosen.weights_desc(), packs,
                        () -> new Call(new convolution_backward_data(chosen), chosen)
                                .with(dnnl.DNNL_ARG_DIFF_SRC, x.given, chosen.diff_src_desc(), true)
                                .with(dnnl.DNNL_ARG_WEIGHTS, w.given, chosen.weights_desc(), false)
                                .with(dnnl.DNNL_ARG_DIFF_DST, z.given, chosen.diff_dst_desc(), false));
            }
        }

        private static Optional<Call> backToWeights(ConvolutionShape shape, Tensor x, Tensor w, Tensor z,
                                                    convolution_forward.primitive_desc forward, primitive_attr attributes) {
            try (convolution_backward_weights.primitive_desc chosen = new convolution_backward_weights.primitive_desc(
                    OneDnn.Cpu.ENGINE, dnnl.algorithm.convolution_direct, x.wanted, w.wanted, z.wanted, shape.stride(),
                    shape.gaps(), shape.padding(), shape.paddingAfter(), forward, attributes, true)) {
                return OneDnn.Cpu.isFast(chosen) ? Optional.of(new Call(new convolution_backward_weights(chosen), chosen)
                        .with(dnnl.DNNL_ARG_SRC, x.given, chosen.src_desc(), false)
                        .with(dnnl.DNNL_ARG_DIFF_WEIGHTS, w.given, chosen.diff_weights_desc(), true)
                        .with(dnnl.DNNL_ARG_DIFF_DST, z.given, chosen.diff_dst_desc(), false)) : Optional.empty();
            }
        }
    }

    /** How the caller has an operand, and how oneDNN may have it. */
    private static final class Tensor implements AutoCloseable {

        private final memory.desc given;
        private final memory.desc wanted;
        private final @Nullable Layout layout;

        /** @param layout of packed weights; null for others */
        private Tensor(memory.desc given, memory.desc wanted, @Nullable Layout layout) {
            this.given = given;
            this.wanted = wanted;
            this.layout = layout;
        }

        /**
         * What uses weights in a layout that oneDNN chose; or what packs them into that layout.
         *
         * @return empty if they are packed in another
         */
        Optional<Call> using(memory.desc chosen, boolean packs, Supplier<Call> call) {
            if (packs) {
                return Packing.Compiler.into(chosen, given);
            }
            return layout != null && !layout.isThat(chosen) ? Optional.empty() : Optional.of(call.get());
        }

        /** oneDNN chooses the layout of weights. By column outputs are outermost in memory, otherwise they are innermost. */
        static Tensor ofWeights(ConvolutionShape shape, Weights weights) {
            memory.data_type type = weights.type() == Weights.Type.BF16 ? memory.data_type.bf16 : memory.data_type.f32;
            long[] sizes = shape.w();
            Layout packed = weights.layout();
            if (packed != null) {
                return new Tensor(new memory.desc(packed.description()),
                        new memory.desc(sizes, type, memory.format_tag.any, false), packed);
            }
            long[] strides = OneDnn.Cpu.plain(sizes);
            if (!isByColumn(weights)) {
                long rows = ConvolutionShape.product(sizes) / shape.nOut();
                int outputs = shape.groups() == 1 ? 1 : 2;
                Arrays.setAll(strides, i -> i < outputs ? strides[i] / rows : strides[i] * shape.nOut());
            }
            return new Tensor(new memory.desc(sizes, type, strides, false),
                    new memory.desc(sizes, type, memory.format_tag.any, false), null);
        }

        /**
         * What the caller has in FLOAT.
         *
         * @param narrow    whether it is rounded to bfloat16; a result stays FLOAT
         * @param anyLayout whether oneDNN chooses the layout, without which it gains nothing from bfloat16 or groups, and without
         *                  AVX-512 copies windows
         */
        static Tensor ofNumbers(long[] shape, boolean narrow, boolean anyLayout) {
            memory.desc given = OneDnn.Cpu.floats(shape, OneDnn.Cpu.plain(shape));
            return new Tensor(given, !anyLayout ? new memory.desc(given) : new memory.desc(shape,
                    narrow ? memory.data_type.bf16 : memory.data_type.f32, memory.format_tag.any, false), null);
        }

        @Override
        public void close() {
            wanted.close();
            given.close();
        }
    }
}
