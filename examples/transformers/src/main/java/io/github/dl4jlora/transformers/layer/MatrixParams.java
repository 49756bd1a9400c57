package io.github.dl4jlora.transformers.layer;

import org.deeplearning4j.nn.api.ParamInitializer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Lays the matrices of a layer one after the other into its part of the flat vector, each in 'c' order. No regularization
 * applies to any of them, nor does an updater for biases.
 */
final class MatrixParams implements ParamInitializer {

    static final MatrixParams INSTANCE = new MatrixParams();

    private MatrixParams() {
    }

    @Override
    public long numParams(NeuralNetConfiguration conf) {
        return numParams(conf.getLayer());
    }

    @Override
    public long numParams(Layer layer) {
        return matrices(layer).values().stream().mapToLong(shape -> shape[0] * shape[1]).sum();
    }

    private static Map<String, long[]> matrices(Layer layer) {
        return ((MatrixConfiguration) layer).matrices();
    }

    @Override
    public List<String> paramKeys(Layer layer) {
        return List.copyOf(matrices(layer).keySet());
    }

    @Override
    public List<String> weightKeys(Layer layer) {
        return List.of();
    }

    @Override
    public List<String> biasKeys(Layer layer) {
        return ((MatrixConfiguration) layer).biases();
    }

    @Override
    public boolean isWeightParam(Layer layer, String key) {
        return false;
    }

    @Override
    public boolean isBiasParam(Layer layer, String key) {
        return false;
    }

    @Override
    public Map<String, INDArray> init(NeuralNetConfiguration conf, INDArray vector, boolean initialize) {
        Map<String, INDArray> views = views(conf.getLayer(), vector);
        views.keySet().forEach(conf::addVariable);
        if (initialize) {
            ((MatrixConfiguration) conf.getLayer()).fill(views);
        }
        return views;
    }

    @Override
    public Map<String, INDArray> getGradientsFromFlattened(NeuralNetConfiguration conf, INDArray vector) {
        return views(conf.getLayer(), vector);
    }

    private Map<String, INDArray> views(Layer layer, INDArray vector) {
        INDArray flat = vector.reshape(vector.length());
        Map<String, INDArray> views = new LinkedHashMap<>();
        long from = 0;
        for (Map.Entry<String, long[]> matrix : matrices(layer).entrySet()) {
            long[] shape = matrix.getValue();
            long to = from + shape[0] * shape[1];
            views.put(matrix.getKey(), flat.get(NDArrayIndex.interval(from, to)).reshape('c', shape));
            from = to;
        }
        return views;
    }
}
