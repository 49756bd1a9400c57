package io.github.dl4jlora.internal.cost;

import io.github.dl4jlora.footprint.Footprint;
import io.github.dl4jlora.footprint.Passage;
import io.github.dl4jlora.footprint.Rows;
import io.github.dl4jlora.footprint.TrainingFootprint;
import io.github.dl4jlora.internal.network.Node;

import java.util.List;
import java.util.function.Supplier;

/** What layers and vertices say of themselves ({@link TrainingFootprint}), checked: an error names the layer or vertex. */
final class Told {

    private Told() {
    }

    /**
     * How many rows come out of a node: as many as go in, unless the node says otherwise.
     *
     * @throws IllegalArgumentException if the node takes no such inputs, or says that no rows come out
     */
    static long rows(Node node, List<Rows> inputs) {
        TrainingFootprint own = node.tellsFootprint();
        return own == null ? inputs.get(0).number() : named(node, () -> {
            long rows = own.rows(inputs);
            if (rows < 1) {
                throw new IllegalArgumentException("rows(inputs) is " + rows + ", but must be at least 1");
            }
            return rows;
        });
    }

    /**
     * The inputs of a node that DL4J sees in the backward pass.
     *
     * @throws IllegalArgumentException if the node says that there are more than it has, or fewer than none
     */
    static List<String> inputsInBackward(Node node, TrainingFootprint own) {
        List<String> inputs = node.inputs();
        return named(node, () -> {
            int seen = own.inputsInBackward(inputs.size());
            if (seen < 0 || seen > inputs.size()) {
                throw new IllegalArgumentException("inputsInBackward(" + inputs.size() + ") is " + seen
                        + ", but must be from 0 to the number of inputs, " + inputs.size());
            }
            return inputs.subList(0, seen);
        });
    }

    /**
     * What a layer or vertex holds, to be asked for by way of {@link #named}.
     *
     * @throws IllegalArgumentException if it does not say
     */
    @SuppressWarnings("ConstantValue")
    static Footprint footprint(TrainingFootprint own, Passage passage) {
        Footprint footprint = own.footprint(passage);
        if (footprint == null) {
            throw new IllegalArgumentException("footprint(passage) is null, but must be a Footprint; Footprint.NONE if "
                    + own.getClass().getSimpleName() + " holds nothing");
        }
        return footprint;
    }

    /**
     * What is asked of a node.
     *
     * @throws IllegalArgumentException with the node's name, if there is no answer
     */
    static <T> T named(Node node, Supplier<T> asked) {
        try {
            return asked.get();
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException("\"" + node.name() + "\" (" + node.type() + "): " + e.getMessage(), e);
        }
    }
}
