package io.github.dl4jlora.internal.start;

import io.github.dl4jlora.internal.blas.Decomposition;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.util.Arrays;
import java.util.Objects;

/**
 * The principal components of a layer's inputs, batch by batch, without holding a batch longer than it takes: of what came
 * before, the strongest components, their singular values and the mean stand for all.
 *
 * <pre>
 *      [ S·V                 ]  k rows       X   inputs of the batch [m, nIn], μ' their mean
 * Y =  [ X − μ'              ]  m rows       μ   mean of the n inputs before
 *      [ √(n·m/(n+m))·(μ−μ') ]  1 row        Y = U·S·V: S and V of the next round
 * </pre>
 *
 * Ross et al. 2008, "Incremental Learning for Robust Visual Tracking", section 3.1, and what PEFT's EVA has of it
 * (IncrementalPCA). Exact as long as k components are all there are.
 */
public final class InputComponents {

    /** PEFT's tau. */
    private static final double CONVERGED = 0.99;
    /** Below this share of the largest singular value a direction is rounding. */
    private static final double NOTHING = 1e-6;
    /** Deviations of so small a share of the mean are rounding: three units in the last place of a float. */
    private static final double ROUNDING = 2e-7;

    private final int most;
    private @Nullable INDArray components;
    private double[] values = new double[0];
    private double[] cosines = new double[0];
    private @Nullable INDArray mean;
    private long seen;
    /** Squares of the deviations from the mean, summed up by input. */
    private @Nullable INDArray deviations;

    /** @param most how many components are kept */
    public InputComponents(int most) {
        this.most = most;
    }

    /**
     * Takes a batch in.
     *
     * @param rows {@code [m, nIn]} in double, finite, m at least 1; overwritten
     */
    public void add(INDArray rows) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            long count = rows.size(0);
            INDArray batchMean = rows.mean(true, 0);
            rows.subiRowVector(batchMean);
            INDArray stacked = rows;
            if (mean == null || deviations == null || components == null) {
                mean = batchMean;
                deviations = squares(rows);
            } else {
                INDArray correction = mean.sub(batchMean).muli(Math.sqrt((double) seen * count / (seen + count)));
                deviations.addi(squares(rows)).addi(squares(correction));
                stacked = Nd4j.vstack(components.mulColumnVector(Nd4j.createFromArray(values)), rows, correction);
                mean.muli(seen).addi(batchMean.mul(count)).divi(seen + count);
            }
            seen += count;
            take(Decomposition.leading(stacked, most));
        }
    }

    /** Summed up by column. */
    private static INDArray squares(INDArray rows) {
        INDArray norms = rows.norm2(true, 0);
        return norms.muli(norms);
    }

    private void take(Decomposition found) {
        int kept = (int) Math.min(most, found.values().length);
        INDArray next = found.v().get(NDArrayIndex.all(), NDArrayIndex.interval(0, kept)).transpose().dup('c');
        for (int i = 0; i < kept; i++) {
            INDArray component = next.getRow(i);
            if (component.maxNumber().doubleValue() < -component.minNumber().doubleValue()) {
                component.negi();
            }
        }
        double[] nextValues = Arrays.copyOf(found.values(), kept);
        cosines = new double[kept];
        for (int i = 0; i < Math.min(kept, values.length); i++) {
            boolean nothing = isNothing(nextValues, i) && isNothing(values, i);
            cosines[i] = nothing ? 1 : next.getRow(i).mul(Objects.requireNonNull(components).getRow(i)).sumNumber().doubleValue();
        }
        components = next;
        values = nextValues;
    }

    private static boolean isNothing(double[] values, int i) {
        return values[i] <= NOTHING * values[0];
    }

    /** Whether the first components are the same as a batch ago. False as long as the inputs do not vary. */
    public boolean hasConverged(int rank) {
        return directions() > 0 && cosines.length >= Math.min(rank, most)
                && Arrays.stream(cosines).limit(rank).allMatch(cosine -> cosine >= CONVERGED);
    }

    /** In how many directions the inputs vary, as far as components are kept; 0: not at all. */
    public int directions() {
        return !vary() ? 0 : (int) Arrays.stream(values).filter(value -> value > NOTHING * values[0]).count();
    }

    private boolean vary() {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            return mean != null && deviations != null && deviations.gt(mean.mul(mean).muli(ROUNDING * ROUNDING * seen)).any();
        }
    }

    /** The share of each component in the variance of the inputs, the largest first; none where they do not vary. */
    public double[] explained() {
        int directions = directions();
        double variance = directions == 0 ? 0 : Objects.requireNonNull(deviations).sumNumber().doubleValue();
        return Arrays.stream(values).limit(directions).map(value -> value * value / variance).toArray();
    }

    /**
     * The strongest components, and where the inputs vary in fewer directions, others orthonormal to them.
     *
     * @return {@code [nIn, rank]}
     */
    public INDArray strongest(int rank) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            INDArray found = Objects.requireNonNull(components);
            INDArray result = Nd4j.create(DataType.DOUBLE, new long[] {found.size(1), rank}, 'f');
            int known = Math.min(rank, directions());
            for (int i = 0; i < rank; i++) {
                INDArray column = result.getColumn(i);
                column.assign(i < known ? found.getRow(i)
                        : orthogonal(result.get(NDArrayIndex.all(), NDArrayIndex.interval(0, i))));
            }
            return result;
        }
    }

    /** What is left of the unit vector that lies least in the span of some orthonormal columns, of length 1. */
    private static INDArray orthogonal(INDArray columns) {
        INDArray inSpan = columns.mul(columns).sum(1);
        int least = Nd4j.argMin(inSpan).getInt(0);
        INDArray rest = Nd4j.create(DataType.DOUBLE, columns.size(0), 1);
        rest.putScalar(least, 0, 1);
        // The second time takes off what rounding left.
        for (int i = 0; i < 2; i++) {
            rest.subi(columns.mmul(columns.transpose().mmul(rest)));
        }
        return rest.divi(rest.norm2Number()).reshape(columns.size(0));
    }
}
