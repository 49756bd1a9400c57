package io.github.dl4jlora.internal.onednn;

import io.github.dl4jlora.internal.processor.NativeLibraries;
import org.bytedeco.dnnl.engine;
import org.bytedeco.dnnl.global.dnnl;
import org.bytedeco.dnnl.memory;
import org.bytedeco.dnnl.post_ops;
import org.bytedeco.dnnl.primitive_attr;
import org.bytedeco.dnnl.primitive_desc_base;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.nativeblas.NativeOps;
import org.nd4j.nativeblas.NativeOpsHolder;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.Arrays;
import java.util.function.Supplier;

/**
 * oneDNN, if its jars are on the class path and it works on this machine. It computes on as many threads as BLAS has, but small
 * products on one, whatever ND4J's own loops have.
 */
public final class OneDnn {

    /** The system property that says where oneDNN computes: {@code false} for nowhere, {@code always} for wherever it can. */
    public static final String PROPERTY = "dl4jlora.onednn";

    /** Where oneDNN computes, if it is there. */
    public enum Use {

        /** Nowhere. */
        NEVER,
        /** Where it is faster than others. */
        WHERE_IT_GAINS,
        /** Wherever it can. */
        ALWAYS;

        private static Use ofProperty() {
            String value = System.getProperty(PROPERTY, "");
            return switch (value) {
                case "false" -> NEVER;
                case "always" -> ALWAYS;
                default -> WHERE_IT_GAINS;
            };
        }
    }

    private static final Logger LOG = LoggerFactory.getLogger(OneDnn.class);
    /** Of the whole process. oneDNN's own bound is 1,024 compiled primitives, of up to some 100 KB each. */
    private static final int MOST_PRIMITIVES = 256;
    /** Older versions have another API. */
    private static final int LEAST_VERSION = 3;

    /**
     * With fewer multiplications, several threads wait for each other longer than they compute. With two threads, a step of LSTMs
     * took up to twice as long with all products on both as with its products of 32 × 256 × 1,024 on one.
     */
    private static final long WORTH_THREADS = 1 << 24;

    private static volatile Use use = Use.ofProperty();

    private OneDnn() {
    }

    /** Looked for at the first product. */
    private static final class Search {

        static final boolean SUCCEEDED = search();

        private static boolean search() {
            if (!Nd4j.getBackend().getEnvironment().isCPU() || !NativeLibraries.has("org.bytedeco.dnnl.global.dnnl")) {
                return false;
            }
            try {
                return Cpu.works();
            } catch (LinkageError | RuntimeException e) {
                LOG.debug("oneDNN is on the class path, but does not load: OpenBLAS computes in its place", e);
                return false;
            }
        }
    }

    /** What only exists where oneDNN does. */
    static final class Cpu {

        static final engine ENGINE = new engine(engine.kind.cpu, 0);

        /** Whether the processor multiplies bfloat16: otherwise oneDNN takes longer for it than for FLOAT. */
        static final boolean MULTIPLIES_BF16 = has(dnnl.dnnl_cpu_isa_avx512_core_bf16);

        /** Whether the processor multiplies tiles of bfloat16 and of eight bits. */
        static final boolean MULTIPLIES_TILES = has(dnnl.dnnl_cpu_isa_avx512_core_amx);

        /** Whether oneDNN is fast with FLOAT as callers have it: on narrower vectors it is with its own layouts alone. */
        static final boolean READS_IN_PLACE = has(dnnl.dnnl_cpu_isa_avx512_core);

        private Cpu() {
        }

        private static boolean has(int instructions) {
            return (dnnl.dnnl_get_effective_cpu_isa() & instructions) == instructions;
        }

        static boolean works() {
            if (dnnl.dnnl_version().major() < LEAST_VERSION || ENGINE.isNull()) {
                return false;
            }
            dnnl.set_primitive_cache_capacity(MOST_PRIMITIVES);
            return true;
        }

        static String description() {
            // What native code returns is another object than the constant, and without its name.
            return dnnl.dnnl_version().major() + "." + dnnl.dnnl_version().minor() + ", "
                    + dnnl.get_effective_cpu_isa().intern().name();
        }

        /**
         * Attributes of a primitive whose working memory is the calling thread's.
         *
         * @param adds whether its result is added to what is there
         */
        static primitive_attr attributes(boolean adds) {
            try (post_ops after = new post_ops()) {
                if (adds) {
                    after.append_sum();
                }
                return attributes(after);
            }
        }

        /**
         * Attributes of a primitive with such a finish. max(0, z) is computed as z · min(1, max(0, c · z)) with the largest c
         * there is: oneDNN's own ReLU makes zero of NaN, and so would hide it. This one makes NaN of -∞.
         *
         * @param shifts   whether the shift is an operand, as {@link Call#finished} adds it
         * @param ofResult the result's shape; its second dimension is that of channels
         */
        static primitive_attr attributes(Finish finish, boolean shifts, long[] ofResult) {
            try (post_ops after = new post_ops(); memory.desc channels = channels(ofResult)) {
                if (shifts && finish.shift() != null) {
                    after.append_binary(dnnl.algorithm.binary_add, channels);
                }
                if (finish.rectifies()) {
                    after.append_eltwise(dnnl.algorithm.eltwise_hardswish, Float.MAX_VALUE, 0);
                }
                return attributes(after);
            }
        }

        /**
         * Attributes of a convolution that nothing follows but z · 1. With a kernel of one and nothing behind it, oneDNN would
         * compute a product that is half as fast where an example has few places.
         */
        static primitive_attr attributesOfConvolution() {
            try (post_ops after = new post_ops()) {
                after.append_eltwise(dnnl.algorithm.eltwise_linear, 1, 0);
                return attributes(after);
            }
        }

        /** A number for each channel, in as many dimensions as a result has. */
        static memory.desc channels(long[] ofResult) {
            long[] shape = new long[ofResult.length];
            Arrays.fill(shape, 1);
            shape[1] = ofResult[1];
            return floats(shape, plain(shape));
        }

        /** Strides of a 'c' array without gaps. */
        static long[] plain(long[] shape) {
            long[] strides = new long[shape.length];
            Arrays.fill(strides, 1);
            for (int i = shape.length - 2; i >= 0; i--) {
                strides[i] = strides[i + 1] * shape[i + 1];
            }
            return strides;
        }

        private static primitive_attr attributes(post_ops after) {
            primitive_attr attributes = new primitive_attr();
            attributes.set_scratchpad_mode(dnnl.scratchpad_mode.user);
            attributes.set_post_ops(after);
            return attributes;
        }

        /** Whether oneDNN has an implementation for a primitive, and not only the one for reference, a thousand times slower. */
        static boolean isFast(primitive_desc_base chosen) {
            return chosen.asBoolean() && !chosen.impl_info_str().getString().startsWith("ref");
        }

        static memory.desc floats(long[] shape, long[] strides) {
            return new memory.desc(shape, memory.data_type.f32, strides, false);
        }
    }

    /** Whether oneDNN is there. */
    public static boolean isPresent() {
        return Search.SUCCEEDED;
    }

    /** Says where oneDNN computes from now on; for tests and measurements. */
    public static void use(Use now) {
        use = now;
    }

    /** Whether oneDNN computes something of so many multiplications, where it gains from {@code least} on. */
    static boolean takes(long multiplications, long least) {
        Use now = use;
        return now != Use.NEVER && (multiplications >= least || now == Use.ALWAYS) && isPresent();
    }

    /** Whether oneDNN is there and may compute. */
    public static boolean isUsed() {
        return use != Use.NEVER && isPresent();
    }

    /** Whether oneDNN may compute, and the processor multiplies bfloat16. */
    public static boolean multipliesBf16() {
        return isUsed() && Cpu.MULTIPLIES_BF16;
    }

    /** Whether oneDNN computes what others compute faster, too. */
    static boolean takesAll() {
        return use == Use.ALWAYS && isPresent();
    }

    /** The version and the widest instructions that it uses here; or that it is not used, and why. */
    public static String description() {
        return !isPresent() ? "not on the class path, or not for this machine" : use == Use.NEVER ? "switched off"
                : Cpu.description();
    }

    /** The number of threads that oneDNN gets: BLAS's. */
    static int threads() {
        return Nd4j.factory().blas().getMaxThreads();
    }

    /** The same for a product of so many multiplications, or one if it is small. */
    static int threads(long multiplications) {
        return multiplications < WORTH_THREADS ? 1 : threads();
    }

    /** OpenMP's number of threads at present. */
    static int openMpThreads() {
        return NativeOpsHolder.getInstance().getDeviceNativeOps().ompGetMaxThreads();
    }

    /**
     * Runs something with OpenMP's number of threads set to BLAS's. oneDNN asks OpenMP when it compiles a primitive and when it
     * runs one.
     */
    static <T> T onThreads(int threads, Supplier<T> work) {
        int before = openMpThreads();
        if (before == threads) {
            return work.get();
        }
        NativeOps operations = NativeOpsHolder.getInstance().getDeviceNativeOps();
        operations.setOmpNumThreads(threads);
        try {
            return work.get();
        } finally {
            operations.setOmpNumThreads(before);
        }
    }
}
