package io.github.dl4jlora.internal.onednn;

import io.github.dl4jlora.internal.blas.HostMemory;
import io.github.dl4jlora.internal.blas.Lie;
import org.bytedeco.dnnl.global.dnnl;
import org.bytedeco.dnnl.matmul;
import org.bytedeco.dnnl.memory;
import org.bytedeco.dnnl.primitive_attr;
import org.bytedeco.javacpp.FloatPointer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.lang.ref.Reference;
import java.util.Optional;

/**
 * Products of few rows with a frozen matrix of FLOAT, which stays where it lies. OpenBLAS copies the whole matrix for each
 * product; with many rows that no longer matters, and it is as fast.
 */
public final class Products {

    /** With more rows OpenBLAS is as fast, within a tenth; and each number of rows would be compiled for. */
    private static final int MOST_ROWS = 64;
    /** Below this many multiplications, calling oneDNN takes longer than it saves. */
    private static final long LEAST = 1 << 19;

    private Products() {
    }

    /** Whether a product of m × k and k × n is faster here; its result then has to lie by rows. */
    public static boolean gains(long m, long n, long k) {
        return m <= MOST_ROWS && OneDnn.takes(m * n * k, LEAST);
    }

    /**
     * z = x·W or x·Wᵀ.
     *
     * @param z overwritten
     * @return whether that could be done; if not, nothing has been written
     */
    public static boolean multiply(INDArray x, INDArray w, boolean transposed, INDArray z) {
        if (!gains(x.size(0), z.size(1), x.size(1)) || x.dataType() != DataType.FLOAT || w.dataType() != DataType.FLOAT
                || z.dataType() != DataType.FLOAT || !HostMemory.holds(x, w, z)) {
            return false;
        }
        Lie lieX = Lie.of(x);
        Lie lieW = Lie.of(w);
        Lie lieZ = Lie.of(z);
        long m = x.size(0);
        long k = x.size(1);
        long n = z.size(1);
        if (lieX.leading() == 0 || lieW.leading() == 0 || lieZ.leading() == 0 || lieZ.byColumn() && m > 1 && n > 1
                || k != w.size(transposed ? 1 : 0) || n != w.size(transposed ? 0 : 1)) {
            return false;
        }
        long[] stridesX = strides(x.size(0), lieX, false);
        long[] stridesW = strides(w.size(0), lieW, transposed);
        long[] stridesZ = strides(z.size(0), lieZ, false);
        long[] numbers = {m, k, n, stridesX[0], stridesX[1], stridesW[0], stridesW[1], stridesZ[0], stridesZ[1]};
        boolean done = Calls.run(Products.class, numbers, () -> compile(new long[] {m, k, n}, stridesX, stridesW, stridesZ),
                (FloatPointer) x.data().addressPointer(), (FloatPointer) w.data().addressPointer(),
                (FloatPointer) z.data().addressPointer());
        Reference.reachabilityFence(x);
        Reference.reachabilityFence(w);
        Reference.reachabilityFence(z);
        return done;
    }

    /** A single row counts as one that lies by rows. */
    private static long[] strides(long rows, Lie lie, boolean transposed) {
        boolean byColumn = lie.byColumn() && (rows > 1 || lie.leading() > 1);
        return byColumn != transposed ? new long[] {1, lie.leading()} : new long[] {lie.leading(), 1};
    }

    private static Optional<Call> compile(long[] sizes, long[] stridesX, long[] stridesW, long[] stridesZ) {
        long m = sizes[0];
        long k = sizes[1];
        long n = sizes[2];
        try (memory.desc x = OneDnn.Cpu.floats(new long[] {m, k}, stridesX);
             memory.desc w = OneDnn.Cpu.floats(new long[] {k, n}, stridesW);
             memory.desc z = OneDnn.Cpu.floats(new long[] {m, n}, stridesZ);
             primitive_attr attributes = OneDnn.Cpu.attributes();
             matmul.primitive_desc chosen = new matmul.primitive_desc(OneDnn.Cpu.ENGINE, x, w, z, attributes, true)) {
            if (!OneDnn.Cpu.isFast(chosen)) {
                return Optional.empty();
            }
            return Optional.of(new Call(new matmul(chosen), chosen).with(dnnl.DNNL_ARG_SRC, x, x, false)
                    .with(dnnl.DNNL_ARG_WEIGHTS, w, w, false).with(dnnl.DNNL_ARG_DST, z, z, true));
        }
    }
}
