package io.github.dl4jlora.internal.attention;

import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.effective.EffectiveVertex;
import io.github.dl4jlora.internal.effective.StockRuntime;
import io.github.dl4jlora.internal.effective.StockWeights;
import io.github.dl4jlora.internal.kernel.KernelWeights;
import io.github.dl4jlora.internal.kernel.OwnArithmetic;
import io.github.dl4jlora.internal.run.AdaptedRuntime.InputGradient;
import io.github.dl4jlora.internal.run.Adapter;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.AttentionVertex;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Collection;
import java.util.Map;
import java.util.Objects;

/** Kernels of SelfAttentionLayer and AttentionVertex, where these project their inputs. */
public final class AttentionKernels implements StockWeights {

    private static final boolean IS_CPU = Nd4j.getBackend().getEnvironment().isCPU();

    private final Face face;
    private final Adapter adapter;

    private AttentionKernels(Face face, Adapter adapter) {
        this.face = face;
        this.adapter = adapter;
        face.attention().attach(adapter, false);
    }

    /** What DL4J sees of a kernel. */
    interface Face extends OwnArithmetic {

        Attention attention();

        /** Tells who uses the gradient of the input. */
        void setInputGradient(InputGradient use);
    }

    /** Whether there is a kernel for a stock layer. */
    public static boolean exist(Layer stock) {
        return IS_CPU && AttentionForm.of(stock) != null;
    }

    /** Whether there is a kernel for a stock vertex. */
    public static boolean exist(GraphVertex stock) {
        return IS_CPU && AttentionForm.of(stock) != null;
    }

    /**
     * The running layer.
     *
     * @param conf the layer's configuration, with an adapted layer in it for whose stock layer a kernel {@link #exist exists}
     * @param view the layer's part of the network's vector
     */
    public static StockRuntime instantiate(NeuralNetConfiguration conf, Collection<TrainingListener> listeners, int index,
                                           INDArray view, boolean initialize, DataType type) {
        NeuralNetConfiguration stock = StockRuntime.stockConf(conf);
        AttentionLayer layer = new AttentionLayer(stock, type, Objects.requireNonNull(AttentionForm.of(stock.getLayer())));
        layer.setListeners(listeners);
        layer.setIndex(index);
        return StockRuntime.on(conf, layer, view, initialize, type, adapter -> new AttentionKernels(layer, adapter));
    }

    /**
     * A running frozen layer in the place of DL4J's.
     *
     * @param stock as DL4J runs it, for whose configuration a kernel {@link #exist exists}
     * @param stops whether no backward pass follows
     */
    public static org.deeplearning4j.nn.api.Layer frozen(org.deeplearning4j.nn.api.Layer stock, KernelWeights weights,
                                                         DataType type, boolean stops) {
        NeuralNetConfiguration conf = stock.conf();
        AttentionLayer layer = new AttentionLayer(conf, type, Objects.requireNonNull(AttentionForm.of(conf.getLayer())));
        layer.setListeners(stock.getListeners());
        layer.setIndex(stock.getIndex());
        layer.attention().attach(weights, stops);
        layer.show(stock);
        return layer;
    }

    /**
     * The running vertex.
     *
     * @param lora its configuration, for whose stock vertex a kernel {@link #exist exists}
     * @param view its part of the network's vector
     */
    public static EffectiveVertex instantiate(AdaptedConfiguration lora, ComputationGraph graph, String name, int index,
                                              INDArray view, boolean initialize, DataType type) {
        AttentionVertex stock = (AttentionVertex) Objects.requireNonNull(lora.stockVertex());
        AttentionNode node = new AttentionNode(stock, graph, name, index, type, Objects.requireNonNull(AttentionForm.of(stock)));
        return EffectiveVertex.on(lora, node, view, initialize, type, adapter -> new AttentionKernels(node, adapter));
    }

    @Override
    public void refresh(boolean training) {
        adapter.beginPass(training);
    }

    @Override
    public void changed() {
        face.setStock(adapter.switches().isDisabled());
    }

    @Override
    public void setGradients(Map<String, INDArray> views) {
        face.attention().setGradients(views);
    }

    @Override
    public void setInputGradient(InputGradient use) {
        face.setInputGradient(use);
    }

    /**
     * A running frozen vertex in the place of DL4J's.
     *
     * @param vertex its configuration, for which a kernel {@link #exist exists}
     * @param stock  as DL4J runs it
     * @param stops  whether no backward pass follows
     */
    public static org.deeplearning4j.nn.graph.vertex.GraphVertex frozen(AttentionVertex vertex,
                                                                        org.deeplearning4j.nn.graph.vertex.GraphVertex stock,
                                                                        ComputationGraph graph, KernelWeights weights,
                                                                        DataType type, boolean stops) {
        AttentionNode node = new AttentionNode(vertex, graph, stock.getVertexName(), stock.getVertexIndex(), type,
                Objects.requireNonNull(AttentionForm.of(vertex)));
        node.attention().attach(weights, stops);
        node.show(stock);
        return node;
    }

    /** They have been written where they belong. */
    @Override
    public Gradient project(Gradient stock) {
        return stock;
    }
}
