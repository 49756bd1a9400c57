package io.github.dl4jlora.internal.onednn;

import org.bytedeco.dnnl.global.dnnl;
import org.bytedeco.dnnl.matmul;
import org.bytedeco.dnnl.memory;
import org.bytedeco.dnnl.primitive_attr;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.IntPointer;

import java.util.Objects;
import java.util.Optional;

/**
 * Products of few rows with a matrix of codes, computed as their transpose: {@code zᵀ = Wᵀ·xᵀ}. oneDNN arranges the right operand
 * of a product anew for each call, which takes longer than to multiply few rows. The left one it reads in place, and fast where
 * the processor multiplies tiles of such numbers (AMX).
 *
 * <p>For INT8 both operands are integers. A row, rounded to bfloat16 as in {@link Products}, is the sum of four rows of eight
 * bits, each with a factor: {@code x = s₁·q₁ + … + s₄·q₄}. What is left is at most 2⁻³¹ of the row's largest number.
 */
final class TurnedProducts {

    /** Parts of so many rows are as many columns as a tile has. */
    private static final int MOST_ROWS = 4;
    private static final int PARTS = 4;
    private static final int MOST_CODE = 127;
    /** From one part's factor to the next one's: what a part leaves is at most half of its factor. */
    private static final int FINER = 2 * MOST_CODE;
    /** Longer sums of products of eight bits might not fit into 32 bits. */
    private static final long LONGEST = 1 << 17;
    /**
     * Numbers of a matrix for each row that is multiplied: with fewer, taking rows apart takes as long as is saved. Measured: one
     * row by 2,048 × 2,048 codes takes 0.45 to 0.56 of the time in INT8, by 512 × 512 codes 0.72 to 0.85.
     */
    private static final long LEAST = 1 << 18;

    private static final ThreadLocal<TurnedProducts> OF_THREAD = ThreadLocal.withInitial(TurnedProducts::new);

    private final Working parts = new Working();
    private final Working sums = new Working();
    private byte[] ownParts = new byte[0];
    private int[] ownSums = new int[0];
    private float[] row = new float[0];

    private TurnedProducts() {
    }

    /** Whether m rows are multiplied faster by this matrix so. */
    static boolean gains(long m, Weights w) {
        return m <= MOST_ROWS && w.type() != Weights.Type.FLOAT && w.layout() == null && w.rowStride() == 1
                && (w.factors() == null || w.ofColumns()) && w.rows() < LONGEST
                && OneDnn.takes(w.rows() * w.columns(), m * LEAST) && OneDnn.Cpu.MULTIPLIES_TILES;
    }

    /**
     * z = x·W.
     *
     * @param x     m rows, each without gaps
     * @param downX from one row to the next
     * @param z     likewise, overwritten
     * @return whether that could be done; if not, nothing has been written
     */
    static boolean multiply(FloatPointer x, long downX, int m, Weights w, FloatPointer z, long downZ) {
        if (w.type() == Weights.Type.INT8) {
            return OF_THREAD.get().multiplyIntegers(x, downX, m, w, z, downZ);
        }
        long[] numbers = {0, w.rows(), w.columns(), w.stride(), m, m == 1 ? 1 : downX, m == 1 ? 1 : downZ};
        return Calls.run(threads(m, w), TurnedProducts.class, numbers, () -> Compiler.ofBf16(w, m, numbers[5], numbers[6]),
                w.values(), x, z);
    }

    private static int threads(long m, Weights w) {
        return OneDnn.threads(m * w.rows() * w.columns());
    }

    private boolean multiplyIntegers(FloatPointer x, long downX, int m, Weights w, FloatPointer z, long downZ) {
        int k = (int) w.rows();
        int n = (int) w.columns();
        int count = PARTS * m;
        ownParts = ownParts.length < count * k ? new byte[count * k] : ownParts;
        row = row.length < Math.max(k, n) ? new float[Math.max(k, n)] : row;
        double[] scales = new double[m];
        for (int i = 0; i < m; i++) {
            x.getPointer(i * downX).get(row, 0, k);
            scales[i] = round(row, k) / MOST_CODE;
            if (!(scales[i] > 0 && scales[i] < Float.MAX_VALUE)) {
                return false;
            }
            takeApart(scales[i], k, PARTS * i * k);
        }
        BytePointer right = parts.room((long) count * k).put(ownParts, 0, count * k);
        IntPointer result = new IntPointer(sums.room((long) Integer.BYTES * count * n));
        long[] numbers = {1, k, n, w.stride(), count};
        if (!Calls.run(threads(m, w), TurnedProducts.class, numbers, () -> Compiler.ofIntegers(w, count), w.values(), right,
                result)) {
            return false;
        }
        ownSums = ownSums.length < count * n ? new int[count * n] : ownSums;
        result.get(ownSums, 0, count * n);
        for (int i = 0; i < m; i++) {
            putTogether(scales[i], Objects.requireNonNull(w.factors()), n, PARTS * i, count);
            z.getPointer(i * downZ).put(row, 0, n);
        }
        return true;
    }

    /** Rounds to bfloat16, and returns the largest size of a number; NaN or infinity if there is such a number. */
    private static double round(float[] row, int k) {
        float given = 0;
        float largest = 0;
        for (int j = 0; j < k; j++) {
            given = Math.max(given, Math.abs(row[j]));
            int bits = Float.floatToRawIntBits(row[j]);
            row[j] = Float.intBitsToFloat(bits + 0x7FFF + (bits >>> 16 & 1) & 0xFFFF0000);
            largest = Math.max(largest, Math.abs(row[j]));
        }
        return Float.isFinite(given) ? largest : given;
    }

    /** @param at where the first part begins among all */
    private void takeApart(double scale, int k, int at) {
        for (int j = 0; j < k; j++) {
            double rest = row[j] / scale;
            for (int part = 0; part < PARTS; part++) {
                double code = Math.rint(rest);
                ownParts[at + part * k + j] = (byte) code;
                rest = (rest - code) * FINER;
            }
        }
    }

    /** @param first column of the row's first part, of so many */
    private void putTogether(double scale, float[] factors, int n, int first, int count) {
        for (int j = 0, at = first; j < n; j++, at += count) {
            double sum = 0;
            for (int part = PARTS - 1; part >= 0; part--) {
                sum = sum / FINER + ownSums[at + part];
            }
            row[j] = (float) (scale * factors[j] * sum);
        }
    }

    /** Apart from the class around it, as in {@link Products}. */
    private static final class Compiler {

        private Compiler() {
        }

        static Optional<Call> ofBf16(Weights w, long m, long downX, long downZ) {
            try (memory.desc x = OneDnn.Cpu.floats(new long[] {w.rows(), m}, new long[] {1, downX});
                 memory.desc z = OneDnn.Cpu.floats(new long[] {w.columns(), m}, new long[] {1, downZ});
                 memory.desc sums = OneDnn.Cpu.floats(new long[] {w.columns(), m}, new long[] {m, 1})) {
                return of(w, memory.data_type.bf16, m, x, sums, z);
            }
        }

        static Optional<Call> ofIntegers(Weights w, long count) {
            try (memory.desc parts = new memory.desc(new long[] {w.rows(), count}, memory.data_type.s8,
                    new long[] {1, w.rows()}, false);
                 memory.desc sums = new memory.desc(new long[] {w.columns(), count}, memory.data_type.s32,
                         new long[] {count, 1}, false)) {
                return of(w, memory.data_type.s8, count, parts, sums, sums);
            }
        }

        /**
         * @param given  the right operand as the caller has it
         * @param sums   the product
         * @param wanted the product as the caller wants it
         */
        private static Optional<Call> of(Weights w, memory.data_type type, long count, memory.desc given, memory.desc sums,
                                         memory.desc wanted) {
            try (memory.desc left = new memory.desc(new long[] {w.columns(), w.rows()}, type, new long[] {w.stride(), 1}, false);
                 memory.desc right = new memory.desc(new long[] {w.rows(), count}, type, new long[] {1, w.rows()}, false);
                 primitive_attr attributes = OneDnn.Cpu.attributes(false);
                 matmul.primitive_desc chosen = new matmul.primitive_desc(OneDnn.Cpu.ENGINE, left, right, sums, attributes,
                         true)) {
                return !OneDnn.Cpu.isFast(chosen) ? Optional.empty() : Optional.of(
                        new Call(new matmul(chosen), chosen).with(dnnl.DNNL_ARG_SRC, left, left, false)
                                .with(dnnl.DNNL_ARG_WEIGHTS, given, right, false)
                                .with(dnnl.DNNL_ARG_DST, wanted, sums, true));
            }
        }
    }
}
