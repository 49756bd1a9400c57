package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.footprint.Footprint;
import io.github.dl4jlora.footprint.Passage;
import io.github.dl4jlora.footprint.TrainingFootprint;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.ParamInitializer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.conf.memory.LayerMemoryReport;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.nd4j.linalg.activations.impl.ActivationIdentity;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Collection;
import java.util.List;
import java.util.Map;

/** A layer whose parameters are matrices, laid out by {@link MatrixParams} and run by a {@link MatrixLayer}. */
abstract class MatrixConfiguration extends FeedForwardLayer implements TrainingFootprint {

    private static final long serialVersionUID = 1L;

    MatrixConfiguration() {
        // For JSON.
    }

    MatrixConfiguration(long in, long out) {
        this.nIn = in;
        this.nOut = out;
        this.activationFn = new ActivationIdentity();
    }

    /** Rows and columns by key, in the order of the vector. Keys contain no underscore, since DL4J would split them there. */
    public abstract Map<String, long[]> matrices();

    /** Keys of what PyTorch calls bias. */
    List<String> biases() {
        return List.of();
    }

    /** Writes the values of an untrained layer. */
    abstract void fill(Map<String, INDArray> matrices);

    /** The runtime of this layer. */
    abstract MatrixLayer<?> runtime(NeuralNetConfiguration conf, DataType type);

    @Override
    public final Layer instantiate(NeuralNetConfiguration conf, Collection<TrainingListener> listeners, int index, INDArray view,
                                   boolean initialize, DataType type) {
        MatrixLayer<?> layer = runtime(conf, type);
        layer.setListeners(listeners);
        layer.setIndex(index);
        layer.setParamsViewArray(view);
        layer.setParamTable(MatrixParams.INSTANCE.init(layer.conf(), view, initialize));
        return layer;
    }

    @Override
    public final ParamInitializer initializer() {
        return MatrixParams.INSTANCE;
    }

    /** {@return a copy of the input, and a copy of its gradient} */
    @Override
    public Footprint footprint(Passage passage) {
        return new Footprint(passage.out(), 0, 0, passage.in());
    }

    @Override
    public final LayerMemoryReport getMemoryReport(InputType input) {
        long params = MatrixParams.INSTANCE.numParams(this);
        return new LayerMemoryReport.Builder(getLayerName(), getClass(), input, InputType.feedForward(nOut))
                .standardMemory(params, getIUpdater().stateSize(params)).workingMemory(0, 0, 0, 0).cacheMemory(0, 0).build();
    }
}
