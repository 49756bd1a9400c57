package stranger;

import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Collection;

/** A layer that neither DL4J nor this library wrote. It writes to its parameters when it is made. */
public final class WritingLayer extends DenseLayer {

    private static final long serialVersionUID = 1L;

    /** For Jackson. */
    public WritingLayer() {
    }

    public WritingLayer(int nIn, int nOut, String name) {
        setNIn(nIn);
        setNOut(nOut);
        setLayerName(name);
    }

    @Override
    public Layer instantiate(NeuralNetConfiguration conf, Collection<TrainingListener> listeners, int index, INDArray view,
                             boolean initialize, DataType type) {
        Layer layer = super.instantiate(conf, listeners, index, view, initialize, type);
        layer.paramTable().values().forEach(parameter -> parameter.muli(1));
        return layer;
    }
}
