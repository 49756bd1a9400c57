package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.internal.blas.Blas;
import io.github.dl4jlora.internal.blas.GrowingScratch;
import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.common.Views;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.List;
import java.util.Objects;

/**
 * The gradients of A and B beside matrices whose products are added up, such as W and RW of an LSTM:
 *
 * <pre>
 * z  = x₁·(W₁ + s₁·A₁·B₁) + x₂·(W₂ + s₂·A₂·B₂)
 * dA = s·xᵀ·(dz·Bᵀ)
 * dB = (s·x·A)ᵀ·dz
 * </pre>
 *
 * dz is larger than all else. It is read from memory once, in blocks, each of which is multiplied by all B and by all x·A, side
 * by side: products of 8 columns leave half of a processor's vectors of 16 numbers empty.
 */
public final class SlimGradients {

    /** Numbers of dz in a block, which stay in a core's cache. */
    private static final int BLOCK = 1 << 17;

    private static final ThreadLocal<GrowingScratch> SLIM = ThreadLocal.withInitial(GrowingScratch::new);
    private static final ThreadLocal<GrowingScratch> ALL_B = ThreadLocal.withInitial(GrowingScratch::new);
    private static final ThreadLocal<GrowingScratch> ALL_DB = ThreadLocal.withInitial(GrowingScratch::new);

    private final List<Part> parts;
    private final INDArray dz;

    /**
     * One matrix.
     *
     * @param path beside it, for all rows
     * @param x    {@code [rows, nIn]}
     * @param dA   overwritten; null if A does not train
     * @param dB   the columns that dz has are overwritten; null if B does not train
     */
    public record Part(Route path, INDArray x, @Nullable INDArray dA, @Nullable INDArray dB) {

        private long rank() {
            return path.a().size(1);
        }
    }

    private SlimGradients(List<Part> parts, INDArray dz) {
        this.parts = parts;
        this.dz = dz;
    }

    /** Does something for a matrix's share of what lies side by side. */
    @FunctionalInterface
    private interface Share {
        void take(Part part, long from, long to);
    }

    /**
     * Computes the gradients in the memory of the calling thread.
     *
     * @param dz {@code [rows, columns]}, where columns are the first of each B
     */
    public static void compute(List<Part> parts, INDArray dz) {
        new SlimGradients(parts, dz).compute();
    }

    private void compute() {
        INDArray allB = parts.stream().allMatch(part -> part.dA() == null) ? null : allB();
        INDArray allDb = parts.stream().allMatch(part -> part.dB() == null) ? null : roomForAllDb();
        long most = Math.max(1, BLOCK / dz.size(1));
        for (long row = 0; row < dz.size(0); row += most) {
            block(row, Math.min(dz.size(0), row + most), allB, allDb);
        }
        if (allDb != null && parts.size() > 1) {
            forEach((part, from, to) -> {
                if (part.dB() != null) {
                    columns(part.dB()).assign(Views.rows(allDb, from, to));
                }
            });
        }
    }

    private void block(long row, long end, @Nullable INDArray allB, @Nullable INDArray allDb) {
        INDArray block = Views.rows(dz, row, end);
        INDArray slim = SLIM.get().of(dz.dataType(), end - row, ranks());
        int beta = row == 0 ? 0 : 1;
        if (allDb != null) {
            forEach((part, from, to) -> Blas.gemm(Views.rows(part.x(), row, end), part.path().a(), Views.part(slim, 1, from, to),
                    false, false, part.path().factor(), 0));
            Blas.gemm(slim, block, allDb, true, false, 1, beta);
        }
        if (allB != null) {
            Blas.gemm(block, allB, slim, false, true, 1, 0);
            forEach((part, from, to) -> {
                if (part.dA() != null) {
                    Blas.gemm(Views.rows(part.x(), row, end), Views.part(slim, 1, from, to), part.dA(), true, false,
                            part.path().factor(), beta);
                }
            });
        }
    }

    private long ranks() {
        return parts.stream().mapToLong(Part::rank).sum();
    }

    private void forEach(Share share) {
        long from = 0;
        for (Part part : parts) {
            share.take(part, from, from + part.rank());
            from += part.rank();
        }
    }

    private INDArray columns(INDArray ofB) {
        return Views.part(ofB, 1, 0, dz.size(1));
    }

    private INDArray allB() {
        if (parts.size() == 1) {
            return columns(parts.get(0).path().b());
        }
        INDArray all = ALL_B.get().of(dz.dataType(), ranks(), dz.size(1), 'f');
        forEach((part, from, to) -> Views.rows(all, from, to).assign(columns(part.path().b())));
        return all;
    }

    private INDArray roomForAllDb() {
        return parts.size() == 1 ? columns(Objects.requireNonNull(parts.get(0).dB()))
                : ALL_DB.get().of(dz.dataType(), ranks(), dz.size(1), 'f');
    }
}
