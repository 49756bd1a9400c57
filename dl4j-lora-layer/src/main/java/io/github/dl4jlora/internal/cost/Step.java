package io.github.dl4jlora.internal.cost;

import java.util.List;

/**
 * A layer or vertex of a network in a training step.
 *
 * @param name      of the layer or vertex
 * @param inputs    names of other layers and vertices, or of the network's inputs
 * @param footprint what it holds
 * @param backwards whether DL4J runs it backwards
 */
public record Step(String name, List<String> inputs, Footprint footprint, boolean backwards) {
}
