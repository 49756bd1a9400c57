package io.github.dl4jlora.internal.build;

import org.deeplearning4j.nn.graph.vertex.GraphVertex;
import org.deeplearning4j.nn.graph.vertex.impl.FrozenVertex;
import org.deeplearning4j.nn.graph.vertex.impl.LayerVertex;
import org.jspecify.annotations.Nullable;

import java.util.stream.Stream;

/** What stands in a graph's list of vertices, in the place of one that has to do with outputs that are computed again. */
interface Recomputed {

    GraphVertex original();

    /** The stretch that it is in, or whose vertices come before and after it; null for one that a stretch starts from. */
    @Nullable RecomputedStretch stretch();

    /** Puts it in the place of a vertex. Inputs and what ends backpropagation stay, since DL4J tests for their types. */
    static void inPlaceOf(GraphVertex vertex, GraphVertex[] vertices, @Nullable RecomputedStretch stretch) {
        if (vertex instanceof FrozenVertex || vertex.isInputVertex()) {
            return;
        }
        RecomputedVertex recomputed = new RecomputedVertex(vertex, stretch);
        vertices[vertex.getVertexIndex()] = vertex instanceof LayerVertex layer ? new RecomputedLayerVertex(layer, recomputed)
                : recomputed;
    }

    /** Has a vertex keep its output, which a stretch starts from. The last one of a stretch does so already. */
    static void keep(GraphVertex vertex, GraphVertex[] vertices) {
        GraphVertex found = vertices[vertex.getVertexIndex()];
        if (all(found).noneMatch(recomputed -> {
            RecomputedStretch stretch = recomputed.stretch();
            return stretch == null || stretch.has(vertex);
        })) {
            inPlaceOf(found, vertices, null);
        }
    }

    /** {@return all that stand in the place of one vertex, one inside the other} */
    static Stream<Recomputed> all(GraphVertex vertex) {
        return vertex instanceof Recomputed recomputed ? Stream.concat(Stream.of(recomputed), all(recomputed.original()))
                : Stream.empty();
    }

    /** {@return the vertex itself, if another one stands in its place} */
    static GraphVertex original(GraphVertex vertex) {
        return vertex instanceof Recomputed recomputed ? original(recomputed.original()) : vertex;
    }
}
