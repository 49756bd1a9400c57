package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.internal.content.AdapterContent;
import io.github.dl4jlora.internal.content.Biases;
import io.github.dl4jlora.internal.content.Delta;
import org.apache.commons.math3.linear.Array2DRowRealMatrix;
import org.apache.commons.math3.linear.RealMatrix;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Adapters with values as if trained, and plain algebra to compare with. */
public final class Adapters {

    private Adapters() {
    }

    /** An adapter of a base network. */
    public static LoRAAdapter on(ComputationGraph base, LoRAConfig.Builder config, long seed) {
        ComputationGraph adapted = LoRA.apply(base, config.build());
        Networks.randomizeAdapters(adapted.paramTable(), seed);
        return LoRAAdapter.of(adapted);
    }

    /** An adapter of layers fc1 {@code [6, 5]} and fc2 {@code [5, 5]} of no particular base, in double. */
    public static LoRAAdapter of(int rank, double alpha, Scaling scaling, long seed) {
        Map<String, Delta> deltas = new LinkedHashMap<>();
        deltas.put("fc1", delta(Networks.IN, rank, alpha, scaling, seed));
        deltas.put("fc2", delta(Networks.HIDDEN, rank, alpha, scaling, seed + 10));
        return adapter(deltas, Map.of(), 0);
    }

    static LoRAAdapter adapter(Map<String, Delta> deltas, Map<String, Map<String, INDArray>> trained, double dropout) {
        return new LoRAAdapter(new AdapterContent(deltas, trained, Biases.NONE, dropout));
    }

    static Delta delta(int nIn, int rank, double alpha, Scaling scaling, long seed) {
        return new Delta(Networks.random(DataType.DOUBLE, seed, nIn, rank),
                Networks.random(DataType.DOUBLE, seed + 1, rank, Networks.HIDDEN), alpha, scaling, null);
    }

    /** The same with A and B of another data type. */
    static LoRAAdapter cast(LoRAAdapter adapter, DataType type) {
        Map<String, Delta> deltas = new LinkedHashMap<>();
        adapter.content().deltas().forEach((layer, delta) -> deltas.put(layer, new Delta(delta.a().castTo(type),
                delta.b().castTo(type), delta.alpha(), delta.scaling(), delta.baseId())));
        return adapter(deltas, Map.of(), 0);
    }

    /** s·A·B, by commons-math. */
    static RealMatrix product(LoRAAdapter adapter, String layer) {
        Delta delta = adapter.content().deltas().get(layer);
        return matrix(delta.a()).multiply(matrix(delta.b()))
                .scalarMultiply(delta.scaling().factor(delta.alpha(), (int) delta.a().size(1)));
    }

    static RealMatrix matrix(INDArray array) {
        return new Array2DRowRealMatrix(array.castTo(DataType.DOUBLE).toDoubleMatrix());
    }

    /** ‖a − b‖, the largest difference of two elements. */
    static double difference(RealMatrix a, RealMatrix b) {
        return new Array2DRowRealMatrix(a.subtract(b).getData()).walkInOptimizedOrder(new Largest());
    }

    static List<String> layers() {
        return List.of("fc1", "fc2");
    }

    private static final class Largest extends org.apache.commons.math3.linear.DefaultRealMatrixPreservingVisitor {

        private double largest;

        @Override
        public void visit(int row, int column, double value) {
            largest = Math.max(largest, Math.abs(value));
        }

        @Override
        public double end() {
            return largest;
        }
    }
}
