package io.github.dl4jlora.property;

import io.github.dl4jlora.BiasTraining;
import org.nd4j.linalg.api.buffer.DataType;

import java.util.List;

/**
 * A network, how it is adapted, what it is fed with, and the way it goes through DL4J.
 *
 * @param graph      a ComputationGraph, else a MultiLayerNetwork
 * @param layers     those that do not fit are left out
 * @param masked     whether sequences have masks
 * @param workspaces whether DL4J's workspaces are enabled
 * @param adam       the updater: Adam, else plain gradient descent
 * @param seed       of weights and data
 */
record NetworkSpec(boolean graph, Input input, List<LayerSpec> layers, Head head, Role headRole, Settings settings, int examples,
                   boolean masked, boolean workspaces, DataType type, boolean adam, Path path, long seed) {

    /** Whether two training passes of the adapted network may differ. */
    boolean isRandom() {
        return settings.loraDropout() || layers.stream().anyMatch(layer -> layer.dropOut() || layer.kind().isRandom());
    }

    boolean has(Kind kind) {
        return layers.stream().anyMatch(layer -> layer.kind() == kind);
    }

    boolean hasSameDiff() {
        return layers.stream().anyMatch(layer -> layer.kind().isSameDiff());
    }

    boolean hasWrap(Wrap wrap) {
        return layers.stream().anyMatch(layer -> layer.wraps().contains(wrap));
    }

    /** Whether DL4J itself freezes a layer of the base. */
    boolean freezesInBase() {
        return hasWrap(Wrap.FROZEN) || hasWrap(Wrap.FROZEN_WITH_BACKPROP);
    }

    /** Whether something trains whose base values an adapted network need not have any more. */
    boolean trainsInFull() {
        return headRole == Role.TRAINED && head.hasParameters()
                || layers.stream().anyMatch(layer -> layer.role() == Role.TRAINED && layer.kind().hasParameters());
    }

    boolean trainsBatchNorm() {
        return layers.stream().anyMatch(layer -> layer.kind() == Kind.BATCH_NORM && layer.role() == Role.TRAINED);
    }

    boolean trainsBiases() {
        return settings.bias() != BiasTraining.NONE;
    }

    @Override
    public String toString() {
        return Source.of(this);
    }
}
