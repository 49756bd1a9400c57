package io.github.dl4jlora.internal.algebra;

import io.github.dl4jlora.internal.content.AdapterContent;
import io.github.dl4jlora.internal.content.Delta;
import io.github.dl4jlora.internal.inspect.BaseMatrices;
import org.deeplearning4j.nn.api.Model;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.ToIntFunction;

/**
 * An adapter's ΔW as matrices in a space with lengths and angles: norms, singular values, cosines, the closest ones of a
 * smaller rank. Only {@link #deltaWeight} forms ΔW; {@link Svd} and {@link InnerProduct} compute with the slim factors.
 */
public final class Geometry {

    /**
     * An adapter of smaller rank.
     *
     * @param adapter        the closest one
     * @param relativeErrors by layer: Frobenius norm of what was lost, divided by that of ΔW
     */
    public record Compressed(AdapterContent adapter, Map<String, Double> relativeErrors) {
    }

    private final AdapterContent adapter;
    /** By layer: an adapter does not change, and norm, spectrum and effective rank come from the same decomposition. */
    private final Map<String, double[]> singularValues = new ConcurrentHashMap<>();

    public Geometry(AdapterContent adapter) {
        this.adapter = adapter;
    }

    public INDArray deltaWeight(String layer) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            Delta delta = product(layer, "deltaWeight");
            INDArray product = Nd4j.create(delta.a().dataType(), new long[] {delta.a().size(0), delta.b().size(1)}, 'f');
            return delta.layout().weight(Nd4j.gemm(delta.a(), delta.b(), product, false, false, delta.factor(), 0));
        }
    }

    /** The adapter itself where nothing was taken from W. */
    public AdapterContent plain() {
        if (adapter.deltas().values().stream().noneMatch(delta -> delta.kind().init().isTakenFromW())) {
            return adapter;
        }
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            Map<String, Delta> plain = new LinkedHashMap<>();
            adapter.deltas().keySet().forEach(layer -> plain.put(layer, product(layer, "toPlainLoRA")));
            return adapter.with(plain);
        }
    }

    public double norm(String layer) {
        return Math.sqrt(Arrays.stream(singularValues(layer, "norm")).map(value -> value * value).sum());
    }

    public double[] spectrum(String layer) {
        return singularValues(layer, "spectrum").clone();
    }

    public double effectiveRank(String layer) {
        double[] values = singularValues(layer, "spectrum");
        double sum = Arrays.stream(values).sum();
        return sum == 0 ? 0
                : Math.exp(-Arrays.stream(values).map(value -> value / sum).filter(p -> p > 0).map(p -> p * Math.log(p)).sum());
    }

    public double relativeNorm(String layer, Model base) {
        Delta delta = product(layer, "relativeNorm");
        double ofBase = BaseMatrices.of(base).norm(layer, delta.a().size(0), delta.b().size(1), delta.baseId());
        double norm = norm(layer);
        return norm == 0 ? 0 : norm / ofBase;
    }

    public double cosine(String layer, Geometry other) {
        Delta here = product(layer, "cosine");
        Delta there = other.product(layer, "cosine");
        return InnerProduct.cosine(InnerProduct.of(layer, here, there), InnerProduct.of(layer, here, here),
                InnerProduct.of(layer, there, there));
    }

    public double cosine(Geometry other) {
        double common = 0;
        for (String layer : adapter.deltas().keySet()) {
            if (other.adapter.deltas().containsKey(layer)) {
                common += InnerProduct.of(layer, product(layer, "cosine"), other.product(layer, "cosine"));
            }
        }
        return InnerProduct.cosine(common, squaredNorm(), other.squaredNorm());
    }

    public Compressed compress(int rank) {
        if (rank < 1) {
            throw new IllegalArgumentException("The rank to compress to is " + rank + ", but must be at least 1");
        }
        return compress(svd -> rank);
    }

    public Compressed compressToEnergy(double energy) {
        Svd.requireShare("The energy to keep", energy);
        return compress(svd -> svd.rankKeeping(energy));
    }

    private Compressed compress(ToIntFunction<Svd> rank) {
        Map<String, Delta> smaller = new LinkedHashMap<>();
        Map<String, Double> errors = new LinkedHashMap<>();
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            for (String layer : adapter.deltas().keySet()) {
                Delta delta = product(layer, "compress");
                Svd svd = Svd.of(layer, delta);
                int kept = rank.applyAsInt(svd);
                boolean truncates = kept < delta.rank();
                smaller.put(layer, delta.with(truncates
                        ? svd.truncate(kept, delta.a().dataType(), delta.baseId(), delta.layout()).cutOff() : delta));
                errors.put(layer, truncates && svd.norm() > 0 ? svd.errorAt(kept) / svd.norm() : 0.0);
            }
            return new Compressed(adapter.with(smaller), Collections.unmodifiableMap(errors));
        }
    }

    private double[] singularValues(String layer, String purpose) {
        Delta product = product(layer, purpose);
        return singularValues.computeIfAbsent(layer, name -> Svd.of(name, product).values());
    }

    private double squaredNorm() {
        return adapter.deltas().keySet().stream().mapToDouble(layer -> {
            Delta product = product(layer, "cosine");
            return InnerProduct.of(layer, product, product);
        }).sum();
    }

    /** What a layer's adapter adds, as one product. */
    private Delta product(String layer, String purpose) {
        return adapter.delta(layer).plain(layer, purpose);
    }
}
