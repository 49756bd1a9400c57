package io.github.dl4jlora.internal.cost;

import io.github.dl4jlora.footprint.Footprint;

import java.util.List;

/**
 * A layer or vertex of a network in a training step.
 *
 * @param name      of the layer or vertex
 * @param inputs    names of other layers and vertices, or of the network's inputs, as DL4J sees them in the backward pass
 * @param footprint what it holds
 * @param output    values of its output
 * @param backwards whether DL4J runs it backwards
 */
public record Step(String name, List<String> inputs, Footprint footprint, long output, boolean backwards) {
}
