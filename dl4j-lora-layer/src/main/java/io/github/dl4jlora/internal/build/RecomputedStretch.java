package io.github.dl4jlora.internal.build;

import io.github.dl4jlora.internal.kernel.PassingOutput;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.graph.vertex.GraphVertex;
import org.deeplearning4j.nn.graph.vertex.VertexIndices;
import org.deeplearning4j.nn.layers.FrozenLayer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.memory.conf.WorkspaceConfiguration;
import org.nd4j.linalg.api.memory.enums.AllocationPolicy;
import org.nd4j.linalg.api.memory.enums.LearningPolicy;
import org.nd4j.linalg.api.memory.enums.ResetPolicy;
import org.nd4j.linalg.api.memory.enums.SpillPolicy;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.rng.Random;
import org.nd4j.linalg.factory.Nd4j;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import java.util.stream.IntStream;

/**
 * Vertices of a graph whose outputs go when the forward pass has left them, and are computed again when the backward pass comes:
 * with the same inputs and the same random numbers, so that gradients are the same to the bit. All stretches use one workspace in
 * turn. Where a pass is not a training step of DL4J's, or a listener looks at outputs, all is as it would be without.
 */
final class RecomputedStretch {

    /** DL4J's settings for the workspace of activations. */
    private static final WorkspaceConfiguration CONFIGURATION = WorkspaceConfiguration.builder().initialSize(0)
            .overallocationLimit(0.05).policyLearning(LearningPolicy.FIRST_LOOP).policyReset(ResetPolicy.BLOCK_LEFT)
            .policySpill(SpillPolicy.REALLOCATE).policyAllocation(AllocationPolicy.OVERALLOCATE).build();

    private final ComputationGraph graph;
    private final List<GraphVertex> vertices;
    private final GraphVertex first;
    private final GraphVertex last;
    /** The one whose backward pass is the last. */
    private final GraphVertex lowest;
    /** States of ND4J's generator before each vertex. */
    private final List<long[]> random = new ArrayList<>();
    private boolean gone;

    /** Takes its place in the graph. */
    RecomputedStretch(ComputationGraph graph, List<GraphVertex> vertices) {
        this.graph = graph;
        this.vertices = vertices;
        this.first = vertices.get(0);
        this.last = vertices.get(vertices.size() - 1);
        this.lowest = vertices.stream().filter(vertex -> !(vertex.hasLayer() && vertex.getLayer() instanceof FrozenLayer))
                .findFirst().orElse(last);
        GraphVertex[] all = graph.getVertices();
        List<GraphVertex> computed = IntStream.of(graph.topologicalSortOrder()).mapToObj(i -> all[i]).toList();
        computed.subList(position(computed, first), position(computed, last) + 1)
                .forEach(vertex -> Recomputed.inPlaceOf(vertex, all, this));
        // DL4J's dropout would write into the output that the stretch starts from, and be applied to it a second time.
        vertices.stream().filter(GraphVertex::hasLayer).forEach(vertex -> vertex.getLayer().allowInputModification(false));
    }

    private static int position(List<GraphVertex> computed, GraphVertex vertex) {
        return IntStream.range(0, computed.size()).filter(i -> Recomputed.original(computed.get(i)) == vertex).findFirst()
                .orElseThrow();
    }

    /** {@return its vertices' names, in their order} */
    List<String> names() {
        return vertices.stream().map(GraphVertex::getVertexName).toList();
    }

    INDArray forward(GraphVertex vertex, boolean training, LayerWorkspaceMgr workspaces) {
        if (vertex == first) {
            gone = PassingOutput.isOfAStep(training, workspaces) && !PassingOutputs.isWatched(graph);
            random.clear();
            if (gone) {
                open();
            }
        }
        if (!gone || !has(vertex)) {
            return closedOnFailure(() -> vertex.doForward(training, workspaces));
        }
        return closedOnFailure(() -> {
            random.add(states());
            workspaces.setNoLeverageOverride(PassingOutput.OF_A_BLOCK);
            INDArray output = vertex.doForward(true, inBlock(workspaces, false));
            if (vertex != last) {
                return output;
            }
            INDArray kept = workspaces.dup(ArrayType.ACTIVATIONS, output, output.ordering());
            close();
            return kept;
        });
    }

    Pair<Gradient, INDArray[]> backward(GraphVertex vertex, boolean tbptt, LayerWorkspaceMgr workspaces) {
        if (!gone || !has(vertex)) {
            return closedOnFailure(() -> vertex.doBackward(tbptt, workspaces));
        }
        return closedOnFailure(() -> {
            workspaces.setNoLeverageOverride(PassingOutput.OF_A_BLOCK);
            if (vertex == last) {
                open();
                again(inBlock(workspaces, true));
            }
            Pair<Gradient, INDArray[]> gradients = vertex.doBackward(tbptt, workspaces);
            if (vertex == lowest) {
                close();
            }
            return gradients;
        });
    }

    /** Whether this vertex is one of those that are computed again. */
    boolean has(GraphVertex vertex) {
        return vertices.stream().anyMatch(inside -> inside == vertex);
    }

    /** Does a part of a pass. DL4J refuses the thread's next pass if the workspace is still open then. */
    <T> T closedOnFailure(Supplier<T> part) {
        try {
            return part.get();
        } catch (RuntimeException | Error e) {
            close();
            throw e;
        }
    }

    private void again(LayerWorkspaceMgr workspaces) {
        long[] now = states();
        for (int i = 0; i < vertices.size(); i++) {
            GraphVertex vertex = vertices.get(i);
            Nd4j.getRandom().setStates(random.get(i)[0], random.get(i)[1]);
            for (int input = 0; input < vertex.getInputs().length; input++) {
                vertex.setInput(input, vertex.getInputs()[input], workspaces);
            }
            INDArray output;
            try (MemoryWorkspace working = workspaces.notifyScopeEntered(ArrayType.FF_WORKING_MEM)) {
                output = vertex.doForward(true, workspaces);
            }
            VertexIndices[] readers = vertex == last || vertex.getOutputVertices() == null ? new VertexIndices[0]
                    : vertex.getOutputVertices();
            for (VertexIndices reader : readers) {
                graph.getVertices()[reader.getVertexIndex()].setInput(reader.getVertexEdgeNumber(), output, workspaces);
            }
        }
        Nd4j.getRandom().setStates(now[0], now[1]);
    }

    private static long[] states() {
        Random generator = Nd4j.getRandom();
        return new long[]{generator.rootState(), generator.nodeState()};
    }

    /** @param again whether in the backward pass, in which the working memory of the layer at work is in use */
    private static LayerWorkspaceMgr inBlock(LayerWorkspaceMgr workspaces, boolean again) {
        LayerWorkspaceMgr.Builder inBlock = LayerWorkspaceMgr.builder()
                .with(ArrayType.ACTIVATIONS, PassingOutput.OF_A_BLOCK, CONFIGURATION);
        for (ArrayType type : List.of(ArrayType.INPUT, ArrayType.FF_WORKING_MEM, ArrayType.RNN_FF_LOOP_WORKING_MEM)) {
            String name = workspaces.getWorkspaceName(type);
            inBlock.with(type, again && type == ArrayType.FF_WORKING_MEM ? name + PassingOutput.AGAIN : name,
                    workspaces.getConfiguration(type));
        }
        LayerWorkspaceMgr made = inBlock.build();
        made.setHelperWorkspacePointers(workspaces.getHelperWorkspacePointers());
        made.setNoLeverageOverride(PassingOutput.OF_A_BLOCK);
        return made;
    }

    /** Not as the current workspace, which is for what has no other place. */
    private static void open() {
        close();
        MemoryWorkspace current = Nd4j.getMemoryManager().getCurrentWorkspace();
        block().notifyScopeEntered();
        Nd4j.getMemoryManager().setCurrentWorkspace(current);
    }

    private static void close() {
        MemoryWorkspace current = Nd4j.getMemoryManager().getCurrentWorkspace();
        MemoryWorkspace block = block();
        if (block.isScopeActive()) {
            block.notifyScopeLeft();
            Nd4j.getMemoryManager().setCurrentWorkspace(current);
        }
    }

    private static MemoryWorkspace block() {
        return Nd4j.getWorkspaceManager().getWorkspaceForCurrentThread(CONFIGURATION, PassingOutput.OF_A_BLOCK);
    }
}
