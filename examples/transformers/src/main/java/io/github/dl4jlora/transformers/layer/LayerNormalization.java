package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.footprint.Footprint;
import io.github.dl4jlora.footprint.Passage;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Layer normalisation (Ba, Kiros, Hinton 2016, arXiv:1607.06450): {@code y = g · (x - mean(x)) / √(var(x) + epsilon) + b},
 * mean and variance over a row's columns.
 *
 * <pre>
 * x, y  [rows, size]
 * g, b  [1, size]
 * </pre>
 */
public final class LayerNormalization extends MatrixConfiguration {

    static final String GAIN = "g";
    static final String BIAS = "b";
    /** BERT's value, which configurations have that were saved before this field existed. */
    private static final double EPSILON = 1e-12;

    private static final long serialVersionUID = 1L;

    private double epsilon = EPSILON;

    LayerNormalization() {
        // For JSON.
    }

    /**
     * @param epsilon added to the variance: 1e-12 in BERT, 1e-5 in RoBERTa and GPT-2
     */
    public LayerNormalization(long size, double epsilon) {
        super(size, size);
        this.epsilon = epsilon;
    }

    public double getEpsilon() {
        return epsilon;
    }

    @Override
    public boolean equals(Object other) {
        return super.equals(other) && other instanceof LayerNormalization that && epsilon == that.epsilon;
    }

    @Override
    public int hashCode() {
        return 31 * super.hashCode() + Double.hashCode(epsilon);
    }

    @Override
    public Map<String, long[]> matrices() {
        Map<String, long[]> shapes = new LinkedHashMap<>();
        shapes.put(GAIN, new long[]{1, nOut});
        shapes.put(BIAS, new long[]{1, nOut});
        return shapes;
    }

    @Override
    List<String> biases() {
        return List.of(BIAS);
    }

    @Override
    void fill(Map<String, INDArray> matrices) {
        matrices.get(GAIN).assign(1);
        matrices.get(BIAS).assign(0);
    }

    /** Loops over floats need nothing else; ND4J's operations make arrays on the way. */
    @Override
    public Footprint footprint(Passage passage) {
        boolean loops = passage.type() == DataType.FLOAT;
        return new Footprint(0, loops ? 0 : passage.out(), loops ? 0 : 4 * passage.in(), passage.in()).passing(passage.out());
    }

    @Override
    MatrixLayer<?> runtime(NeuralNetConfiguration conf, DataType type) {
        return new LayerNormalizationRuntime(conf, type);
    }
}
