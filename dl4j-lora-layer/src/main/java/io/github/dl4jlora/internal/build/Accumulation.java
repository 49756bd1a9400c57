package io.github.dl4jlora.internal.build;

import io.github.dl4jlora.conf.Accumulated;
import io.github.dl4jlora.internal.adapted.AdapterLayout;
import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.stock.StockLayers;
import org.deeplearning4j.nn.api.TrainingConfig;
import org.deeplearning4j.nn.conf.GradientNormalization;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.layers.BaseLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.samediff.AbstractSameDiffLayer;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffVertex;
import org.deeplearning4j.nn.conf.layers.wrapper.BaseWrapperLayer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.regularization.Regularization;
import org.nd4j.linalg.learning.regularization.WeightDecay;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.Consumer;
import java.util.stream.Stream;

/** What of a network's training does not go with updates that are made of several batches. */
public final class Accumulation {

    private static final Logger LOG = LoggerFactory.getLogger(Accumulation.class);

    private Accumulation() {
    }

    /** What trains of a layer or vertex, as DL4J's updater asks for it. */
    private record Trained(Node node, TrainingConfig config, String key) {

        @Nullable Accumulated updater() {
            IUpdater updater = config.getUpdaterByParam(key);
            return updater instanceof Accumulated accumulated ? accumulated : null;
        }
    }

    /**
     * Puts the updater that gets the mean into the place of each that accumulates, for a network of DL4J's own classes.
     *
     * @param of a layer or vertex
     * @return whether there was one
     */
    public static boolean takeOut(Object of) {
        Object thawed = of instanceof Layer layer ? StockLayers.unwrap(layer)
                : of instanceof GraphVertex vertex ? StockLayers.unwrap(vertex) : of;
        if (thawed instanceof BaseLayer base) {
            boolean weights = replace(base.getIUpdater(), base::setIUpdater);
            return replace(base.getBiasUpdater(), base::setBiasUpdater) || weights;
        }
        if (thawed instanceof AbstractSameDiffLayer layer) {
            boolean weights = replace(layer.getUpdater(), layer::setUpdater);
            return replace(layer.getBiasUpdater(), layer::setBiasUpdater) || weights;
        }
        if (thawed instanceof SameDiffVertex vertex) {
            boolean weights = replace(vertex.getUpdater(), vertex::setUpdater);
            return replace(vertex.getBiasUpdater(), vertex::setBiasUpdater) || weights;
        }
        if (thawed instanceof Bidirectional both) {
            boolean forward = takeOut(both.getFwd());
            return takeOut(both.getBwd()) || forward;
        }
        return thawed instanceof BaseWrapperLayer wrapper && takeOut(wrapper.getUnderlying());
    }

    private static boolean replace(@Nullable IUpdater updater, Consumer<IUpdater> set) {
        if (updater instanceof Accumulated accumulated) {
            set.accept(accumulated.getUpdater());
            return true;
        }
        return false;
    }

    private static Stream<Trained> accumulated(Network<?> network) {
        return network.nodes().stream().filter(node -> node.numParams() > 0 && !node.isFrozen()).flatMap(node -> {
            Object config = node.layer() != null ? StockLayers.withUpdater(node.layer()) : node.unwrappedVertex();
            if (!(config instanceof TrainingConfig training)) {
                return Stream.of();
            }
            return (node.adapted() == null ? node.parameterKeys().stream()
                    : node.adapted().layout().trained().stream().map(AdapterLayout.Slot::key))
                    .map(key -> new Trained(node, training, key)).filter(trained -> trained.updater() != null);
        });
    }

    /** Whether DL4J subtracts it after each update, whatever the learning rate. */
    public static boolean ignoresRate(Regularization regularization) {
        return regularization.applyStep() == Regularization.ApplyStep.POST_UPDATER
                && !(regularization instanceof WeightDecay decay && decay.isApplyLR());
    }

    /** The largest number of batches that an update is made of. */
    static int batches(Network<?> network) {
        return accumulated(network).mapToInt(trained -> Objects.requireNonNull(trained.updater()).getBatches()).max().orElse(1);
    }

    /**
     * @throws IllegalArgumentException for regularization that DL4J would subtract after each batch
     */
    static void check(Network<?> network) {
        accumulated(network).forEach(trained -> {
            List<Regularization> regularization = trained.config().getRegularizationByParam(trained.key());
            for (Regularization each : regularization == null ? List.<Regularization>of() : regularization) {
                if (ignoresRate(each)) {
                    throw new IllegalArgumentException("Layer \"" + trained.node().name() + "\" makes an update of "
                            + Objects.requireNonNull(trained.updater()).getBatches() + " batches, but DL4J would subtract its "
                            + each.getClass().getSimpleName() + " after each batch, since it does not depend on the learning "
                            + "rate. Configure the layer with new WeightDecay(coefficient, true), or give it an updater without "
                            + "Accumulated");
                }
            }
        });
    }

    /** Warns of clipping, which DL4J does before it asks the updater. */
    static void warn(Network<?> network) {
        List<String> clipped = new ArrayList<>();
        accumulated(network).filter(trained -> trained.config().getGradientNormalization() != null
                && trained.config().getGradientNormalization() != GradientNormalization.None)
                .map(trained -> trained.node().name()).distinct().forEach(clipped::add);
        if (!clipped.isEmpty()) {
            LOG.warn("Layers {}: DL4J normalizes or clips the gradient of each batch, and Accumulated takes the mean of what is "
                    + "left. One batch of all examples would be clipped once", clipped);
        }
    }
}
