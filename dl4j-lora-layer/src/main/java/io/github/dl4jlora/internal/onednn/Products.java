package io.github.dl4jlora.internal.onednn;

import io.github.dl4jlora.internal.blas.FewRows;
import io.github.dl4jlora.internal.blas.HostMemory;
import io.github.dl4jlora.internal.blas.Lie;
import org.bytedeco.dnnl.global.dnnl;
import org.bytedeco.dnnl.matmul;
import org.bytedeco.dnnl.memory;
import org.bytedeco.dnnl.primitive_attr;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.Pointer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.lang.ref.Reference;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.stream.LongStream;

/**
 * Products of rows of FLOAT with a frozen matrix, which stays where it lies. OpenBLAS copies a whole matrix of FLOAT for each
 * product, except for that of a single row. With few rows its kernels for small products on AVX-512 copy nothing
 * ({@link FewRows}): they are faster than oneDNN's where a column of the matrix is in one piece, and with fewer than
 * {@link #LEAST_ROWS} rows. Several threads are OpenBLAS's: it wakes them sooner. So are products of more rows on processors
 * without AVX-512, where oneDNN computes them fast with packed matrices alone. Matrices of 16 and 8 bits are multiplied as they
 * are, where the processor multiplies bfloat16.
 */
public final class Products {

    /**
     * With so many rows oneDNN is faster than {@link FewRows} where a row of the matrix is in one piece. Without AVX-512 OpenBLAS
     * is faster than oneDNN from so many rows on. Measured on AVX2: 8 rows by 2,048 × 2,048 take 0.5 to 1.0 of OpenBLAS's time
     * with oneDNN, 32 rows the same time; 8 rows of gradients by the transpose of 3,072 × 768 take 1.2 of it.
     */
    private static final int LEAST_ROWS = 32;
    /** With so many rows a copy of the matrix pays, if only the copy is read fast. */
    private static final int MANY_ROWS = 128;
    /** Numbers of FLOAT after which caches have their places again. */
    private static final int PAGE = 1024;
    /** More rows are multiplied in pieces, of at most and at least so many. */
    private static final int MOST_AT_A_TIME = 256;
    private static final int LEAST_AT_A_TIME = 64;
    /** The most by codes, which oneDNN arranges anew for each piece: with 256 rows that takes a third of the time. */
    private static final int MOST_BY_CODES_AT_A_TIME = 1024;
    /** Below this many multiplications, calling oneDNN takes longer than it saves. */
    private static final long LEAST = 1 << 19;
    /** The same of a matrix of codes: what is rounded to bfloat16 must not depend on the rows beside it. */
    private static final long LEAST_OF_CODES = 1 << 16;

    private static final ThreadLocal<Factors> FACTORS = ThreadLocal.withInitial(Factors::new);

    /** A thread's memory for what is multiplied by factors. */
    private static final class Factors {

        private FloatPointer ofColumns = new FloatPointer();
        private FloatPointer rows = new FloatPointer();
        private float[] row = new float[0];

        FloatPointer outside(float[] factors, long count) {
            ofColumns = HostMemory.room(ofColumns, count);
            return ofColumns.put(factors, 0, (int) count);
        }

        /** Each row multiplied by factors of its columns; without gaps. */
        FloatPointer times(FloatPointer x, long leading, int m, int k, float[] factors) {
            rows = HostMemory.room(rows, (long) m * k);
            row = row.length < k ? new float[k] : row;
            FloatPointer from = new FloatPointer(x);
            FloatPointer to = new FloatPointer(rows);
            for (int i = 0; i < m; i++) {
                from.position(i * leading).get(row, 0, k);
                for (int j = 0; j < k; j++) {
                    row[j] *= factors[j];
                }
                to.position((long) i * k).put(row, 0, k);
            }
            return rows;
        }
    }

    private Products() {
    }

    /**
     * Whether a product of m × k and k × n, both of FLOAT, is fastest here, if its result lies by rows.
     *
     * @param byRows whether the matrix, as it is multiplied, lies by rows
     */
    public static boolean gains(long m, long n, long k, boolean byRows) {
        return multiplies(m, n, k) && (OneDnn.takesAll() || !FewRows.gains(m, n, k) || byRows && m >= LEAST_ROWS)
                && !(byRows && collides(m, n));
    }

    /**
     * Whether the rows of a matrix begin at so few places of the processor's caches that oneDNN is slow. Measured: 1,024 rows of
     * 768 numbers by {@code [768, 3072]} take 2.2 to 2.4 times as long as with OpenBLAS, which copies the matrix first, by 5,120
     * columns 2.7 times. By 4,096 columns they take 0.9 of the time: oneDNN seems to copy rows as long as a power of two.
     */
    private static boolean collides(long m, long rowLength) {
        return m >= MANY_ROWS && rowLength % PAGE == 0 && Long.bitCount(rowLength) > 1 && !OneDnn.takesAll();
    }

    /** Whether a product of m × k and k × n, both of FLOAT and in place, is worth the call of oneDNN. */
    private static boolean multiplies(long m, long n, long k) {
        return OneDnn.takes(m * n * k, LEAST)
                && (OneDnn.takesAll() || m > 1 && (OneDnn.Cpu.READS_IN_PLACE || m < LEAST_ROWS) && OneDnn.threads() == 1);
    }

    /** Whether a matrix k × n of codes is multiplied here, whatever the number of rows. */
    public static boolean multipliesCodes(long n, long k) {
        return OneDnn.takes(n * k, LEAST_OF_CODES) && OneDnn.Cpu.MULTIPLIES_BF16;
    }

    /**
     * z = x·W or x·Wᵀ, of FLOAT.
     *
     * @param z overwritten
     * @return whether that could be done; if not, nothing has been written
     */
    public static boolean multiply(INDArray x, INDArray w, boolean transposed, INDArray z) {
        // By columns, each number of rows would be compiled for.
        if (!multiplies(x.size(0), z.size(1), x.size(1)) || x.size(0) > LEAST_AT_A_TIME && x.stride(1) != 1) {
            return false;
        }
        Weights weights = Weights.of(w, transposed);
        boolean done = weights != null && !(weights.stride() == 1 && collides(x.size(0), weights.rowStride()))
                && compute(x, weights, z, false);
        Reference.reachabilityFence(w);
        return done;
    }

    /**
     * z = x·W, with x and z of FLOAT.
     *
     * @param w packed or not
     * @param z overwritten
     * @return whether that could be done; if not, nothing has been written
     */
    public static boolean multiply(INDArray x, Weights w, INDArray z) {
        long k = x.size(1);
        long n = z.size(1);
        boolean takes = w.layout() != null ? OneDnn.isUsed()
                : w.type() == Weights.Type.FLOAT ? multiplies(x.size(0), n, k) : multipliesCodes(n, k);
        return takes && compute(x, w, z, false);
    }

    /**
     * z += x·W, all of FLOAT, whatever the sizes.
     *
     * @return whether that could be done; if not, nothing has been written
     */
    public static boolean add(INDArray x, INDArray w, INDArray z) {
        Weights weights = OneDnn.isUsed() ? Weights.of(w, false) : null;
        boolean done = weights != null && compute(x, weights, z, true);
        Reference.reachabilityFence(w);
        return done;
    }

    private static boolean compute(INDArray x, Weights w, INDArray z, boolean adds) {
        try {
            return isComputed(x, w, z, adds);
        } finally {
            Reference.reachabilityFence(x);
            Reference.reachabilityFence(w);
            Reference.reachabilityFence(z);
        }
    }

    private static boolean isComputed(INDArray x, Weights w, INDArray z, boolean adds) {
        long m = x.size(0);
        long k = x.size(1);
        long n = z.size(1);
        if (x.dataType() != DataType.FLOAT || z.dataType() != DataType.FLOAT || !HostMemory.holds(x, z) || k != w.rows()
                || n != w.columns() || m != z.size(0)) {
            return false;
        }
        long[] stridesX = Weights.strides(x);
        long[] stridesZ = Weights.strides(z);
        if (Lie.of(x).leading() == 0 || Lie.of(z).leading() == 0 || stridesZ[1] != 1) {
            return false;
        }
        FloatPointer px = (FloatPointer) x.data().addressPointer();
        FloatPointer pz = (FloatPointer) z.data().addressPointer();
        if (!adds && stridesX[1] == 1 && TurnedProducts.gains(m, w)
                && TurnedProducts.multiply(px, stridesX[0], (int) m, w, pz, stridesZ[0])) {
            return true;
        }
        float[] factors = w.factors();
        boolean scalesZ = w.scalesColumns();
        if (factors != null && !scalesZ) {
            if (stridesX[1] != 1) {
                return false;
            }
            px = FACTORS.get().times(px, stridesX[0], (int) m, (int) k, factors);
            stridesX = new long[] {k, 1};
        }
        Product product = new Product(w, adds, stridesX, stridesZ);
        long[] pieces = pieces(m, w.type() == Weights.Type.FLOAT ? MOST_AT_A_TIME : MOST_BY_CODES_AT_A_TIME);
        // Before the first is computed, all must be known to work.
        List<Call> calls = Arrays.stream(pieces).mapToObj(rows -> Calls.find(OneDnn.threads(rows * k * n), Products.class,
                product.numbers(rows), () -> Compiler.compile(product, rows))).flatMap(Optional::stream).toList();
        boolean works = calls.size() == pieces.length;
        long at = 0;
        for (int piece = 0; works && piece < pieces.length; piece++) {
            Pointer from = px.getPointer(at * stridesX[0]);
            Pointer to = pz.getPointer(at * stridesZ[0]);
            Calls.run(calls.get(piece), scalesZ
                    ? new Pointer[] {from, w.values(), to, FACTORS.get().outside(Objects.requireNonNull(factors), n)}
                    : new Pointer[] {from, w.values(), to});
            at += pieces[piece];
        }
        return works;
    }

    /** Numbers of rows that are multiplied at a time: few different ones, since each is compiled for. */
    static long[] pieces(long rows, long most) {
        LongStream.Builder pieces = LongStream.builder();
        long left = rows;
        for (long size = most; size >= LEAST_AT_A_TIME; size /= 2) {
            for (; left >= size; left -= size) {
                pieces.add(size);
            }
        }
        return (left == 0 ? pieces : pieces.add(left)).build().toArray();
    }

    /** A product of any number of rows. */
    private record Product(Weights w, boolean adds, long[] stridesX, long[] stridesZ) {

        long[] numbers(long rows) {
            long[] ofW = w.numbers();
            long[] own = {adds ? 1 : 0, rows, stridesX[0], stridesX[1], stridesZ[0], stridesZ[1]};
            long[] all = Arrays.copyOf(ofW, ofW.length + own.length);
            System.arraycopy(own, 0, all, ofW.length, own.length);
            return all;
        }
    }

    /**
     * Apart, since classes are verified as a whole: to see that an object may be passed as a supertype's, the JVM loads its
     * class, and the class around this one must do without oneDNN.
     */
    static final class Compiler {

        private Compiler() {
        }

        /** In what numbers the other operand is multiplied. */
        static memory.data_type ofRows(Weights.Type type) {
            return type == Weights.Type.FLOAT ? memory.data_type.f32 : memory.data_type.bf16;
        }

        static memory.data_type ofWeights(Weights.Type type) {
            return switch (type) {
                case FLOAT -> memory.data_type.f32;
                case BF16 -> memory.data_type.bf16;
                case INT8 -> memory.data_type.s8;
            };
        }

        static memory.desc description(Weights w) {
            return w.layout() != null ? new memory.desc(w.layout().description())
                    : new memory.desc(new long[] {w.rows(), w.columns()}, ofWeights(w.type()),
                            new long[] {w.rowStride(), w.stride()}, false);
        }

        /** @param adds whether the product is added to what is there */
        static primitive_attr attributes(Weights w, boolean adds) {
            primitive_attr attributes = OneDnn.Cpu.attributes(adds);
            if (w.type() == Weights.Type.INT8) {
                attributes.set_fpmath_mode(dnnl.fpmath_mode.bf16, true);
            }
            if (w.scalesColumns()) {
                attributes.set_scales_mask(dnnl.DNNL_ARG_WEIGHTS, 1 << 1);
            }
            return attributes;
        }

        static Optional<Call> compile(Product product, long m) {
            Weights weights = product.w();
            long k = weights.rows();
            long n = weights.columns();
            memory.data_type ofX = ofRows(weights.type());
            try (memory.desc given = OneDnn.Cpu.floats(new long[] {m, k}, product.stridesX());
                 memory.desc x = new memory.desc(new long[] {m, k}, ofX, ofX == memory.data_type.f32 ? product.stridesX()
                         : new long[] {k, 1}, false);
                 memory.desc w = description(weights);
                 memory.desc z = OneDnn.Cpu.floats(new long[] {m, n}, product.stridesZ());
                 memory.desc factors = OneDnn.Cpu.floats(new long[] {n}, new long[] {1});
                 primitive_attr attributes = attributes(weights, product.adds());
                 matmul.primitive_desc chosen = new matmul.primitive_desc(OneDnn.Cpu.ENGINE, x, w, z, attributes, true)) {
                if (!OneDnn.Cpu.isFast(chosen)) {
                    return Optional.empty();
                }
                Call call = new Call(new matmul(chosen), chosen, weights.layout()).with(dnnl.DNNL_ARG_SRC, given, x, false)
                        .with(dnnl.DNNL_ARG_WEIGHTS, w, w, false).with(dnnl.DNNL_ARG_DST, z, z, true);
                return Optional.of(!weights.scalesColumns() ? call
                        : call.with(dnnl.DNNL_ARG_ATTR_SCALES | dnnl.DNNL_ARG_WEIGHTS, factors, factors, false));
            }
        }
    }
}
