package io.github.dl4jlora.property;

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
 * @param scheduled  whether the learning rate falls from step to step
 * @param seed       of weights and data
 */
record NetworkSpec(boolean graph, Input input, List<LayerSpec> layers, Head head, Role headRole, Settings settings, int examples,
                   boolean masked, boolean workspaces, DataType type, boolean adam, boolean scheduled, Path path, long seed) {

    /** Whether two training passes of the adapted network may differ. */
    boolean isRandom() {
        return settings.loraDropout() || Stock.used(this).stream().anyMatch(layer -> layer.dropOut() || layer.kind().isRandom());
    }

    /** By the seed, so that a network that failed is computed by the same library again. */
    Library library() {
        return Library.values()[(int) Math.floorMod(seed, (long) Library.values().length)];
    }

    boolean hasBatchNorm() {
        return Stock.used(this).stream().anyMatch(layer -> layer.kind().isBatchNorm());
    }

    boolean hasSameDiff() {
        return Stock.used(this).stream().anyMatch(layer -> layer.kind().isSameDiff()
                || graph && layer.join().isSameDiff());
    }

    /** Whether DL4J itself freezes a layer of the base. */
    boolean freezesInBase() {
        return Stock.used(this).stream().anyMatch(layer -> layer.wraps().stream().anyMatch(Wrap::isFreezing));
    }

    /** The same, with nothing frozen by DL4J: what trains of it then trains here too. */
    NetworkSpec unfrozen() {
        List<LayerSpec> all = layers.stream().map(LayerSpec::unfrozen).toList();
        return new NetworkSpec(graph, input, all, head, headRole, settings, examples, masked, workspaces, type, adam, scheduled,
                path, seed);
    }

    @Override
    public String toString() {
        return Source.of(this);
    }
}
