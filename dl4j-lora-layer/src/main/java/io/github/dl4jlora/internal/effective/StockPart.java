package io.github.dl4jlora.internal.effective;

import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.run.AdaptedRuntime.InputGradient;
import io.github.dl4jlora.internal.run.Adapter;
import io.github.dl4jlora.internal.run.AdapterInitializer;
import io.github.dl4jlora.internal.stock.SameDiffBackprop;
import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.Supplier;

/**
 * A stock layer or vertex on its {@link StockWeights}: its adapter, what DL4J sees of its parameters, and its backward pass. That
 * pass is the stock one's; gradients of its own weights go into working memory, and become the adapter's.
 *
 * @param <T> DL4J's Layer or GraphVertex
 */
final class StockPart<T extends Trainable> {

    private final Supplier<AdaptedConfiguration> conf;
    private final T stock;
    private final INDArray view;
    private final Map<String, INDArray> table;
    private final DataType type;
    private final Adapter adapter;
    private final StockWeights weights;
    private final SameDiffBackprop sameDiff = new SameDiffBackprop();
    private @Nullable INDArray gradientsView;
    private Map<String, INDArray> gradientViews = Map.of();

    /**
     * @param conf       as it is now
     * @param stock      runs on the weights
     * @param view       the layer's or vertex's part of the network's vector
     * @param table      views of it, by key
     * @param initialize whether to give the adapter a fresh start
     * @param type       the network's data type
     * @param weights    made for the part's adapter
     */
    StockPart(Supplier<AdaptedConfiguration> conf, T stock, INDArray view, Map<String, INDArray> table, boolean initialize,
                  DataType type, Function<Adapter, ? extends StockWeights> weights) {
        this.conf = conf;
        this.stock = stock;
        this.view = view;
        this.table = table;
        this.type = type;
        this.adapter = new Adapter(conf, () -> table, () -> view, type, this::changed, this::routed);
        this.weights = weights.apply(adapter);
        if (initialize) {
            new AdapterInitializer(adapter).initialize();
        }
    }

    private void changed() {
        weights.changed();
    }

    private void routed() {
        weights.routed();
    }

    AdaptedConfiguration configuration() {
        return conf.get();
    }

    Adapter adapter() {
        return adapter;
    }

    INDArray view() {
        return view;
    }

    Map<String, INDArray> table() {
        return table;
    }

    /** The stock part, its weights up to date. */
    T stock(boolean training) {
        weights.refresh(training);
        return stock;
    }

    /**
     * @param epsilon      null for an output layer
     * @param setGradients tells the stock part where to write its gradients
     * @param backprop     its own backward pass
     * @param <E>          one gradient, or several
     */
    <E> Pair<Gradient, E> backward(@Nullable INDArray epsilon, LayerWorkspaceMgr workspaces, Consumer<INDArray> setGradients,
                                   Function<INDArray, Pair<Gradient, E>> backprop) {
        adapter.switches().requireTrainable();
        if (weights.gradientLength() > 0) {
            setGradients.accept(workspaces.createUninitialized(ArrayType.BP_WORKING_MEM, type, weights.gradientLength()));
        }
        Pair<Gradient, E> result = sameDiff.of(stock, epsilon, backprop);
        return new Pair<>(weights.project(result.getFirst()), result.getSecond());
    }

    @Nullable INDArray gradientsView() {
        return gradientsView;
    }

    /** The gradients of A, B and biases, by key. */
    Map<String, INDArray> gradientViews() {
        return gradientViews;
    }

    void setGradientsView(INDArray gradients) {
        gradientsView = gradients;
        gradientViews = conf.get().layout().trainedViews(conf.get(), gradients);
        weights.setGradients(gradientViews);
    }

    void setInputGradient(InputGradient use) {
        weights.setInputGradient(use);
    }

    boolean tellsExamplesApart() {
        return weights.tellsExamplesApart();
    }

    boolean trains(String key) {
        return conf.get().layout().trains(key);
    }
}
