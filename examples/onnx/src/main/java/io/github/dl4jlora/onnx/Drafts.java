package io.github.dl4jlora.onnx;

import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.undo.MergedValues;
import io.github.dl4jlora.onnx.adapter.AdapterInputs;
import io.github.dl4jlora.onnx.graph.Flow;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import io.github.dl4jlora.onnx.layer.Logits;
import io.github.dl4jlora.onnx.layer.NoShapeException;
import io.github.dl4jlora.onnx.transformer.TextForm;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;

/** Writes a network into graphs for examples of its inputs' sizes, until two of them agree. */
final class Drafts {

    /** Behind the name of an input, for its mask. */
    static final String MASK = "_mask";

    private static final String BATCH = "batch";

    private final Network<?> network;
    private final MergedValues values;
    private final AdapterInputs adapters;
    private final Supplier<OnnxGraph> empty;
    private final Map<String, Shape> shapes;
    private final List<String> inputs;
    private final List<String> outputs;
    private final @Nullable TextForm form;

    /**
     * @param adapters what they change
     * @param empty    makes a graph to write into
     * @param shapes   of the network's inputs, by the network's own names
     * @param inputs   names in the file
     * @param outputs  names in the file
     * @param form     what programs expect that read texts; null for the network's own inputs and outputs
     */
    Drafts(Network<?> network, MergedValues values, AdapterInputs adapters, Supplier<OnnxGraph> empty, Map<String, Shape> shapes,
            List<String> inputs, List<String> outputs, @Nullable TextForm form) {
        this.network = network;
        this.values = values;
        this.adapters = adapters;
        this.empty = empty;
        this.shapes = shapes;
        this.inputs = inputs;
        this.outputs = outputs;
        this.form = form;
    }

    /**
     * The graph of the network.
     *
     * @param batch  a fixed number of examples; 0 leaves it open
     * @param masks  whether sequences have masks
     * @param logits whether softmax and sigmoid of outputs are left out
     * @throws OnnxExportException if a layer cannot be written, or not for open sizes
     */
    OnnxGraph graph(long batch, boolean masks, boolean logits) {
        NoShapeException tooSmall = null;
        for (int pair = 0; pair < Shape.PAIRS; pair++) {
            try {
                return agreed(2 * pair, batch == 0 ? BATCH : batch, masks, logits);
            } catch (NoShapeException e) {
                tooSmall = e;
            }
        }
        throw new OnnxExportException(tooSmall.getMessage());
    }

    private OnnxGraph agreed(int example, Object batch, boolean masks, boolean logits) {
        Names names = new Names(batch, example);
        Draft draft = draft(example, names, masks, logits);
        Draft other = isOpen(example) ? draft(example + 1, names, masks, logits) : draft;
        String dependent = draft.dependent(other);
        if (dependent != null) {
            throw OnnxExportException.of(dependent, "what it does depends on the " + names.open + " of the network's input, "
                    + "which " + (names.open.contains("and") ? "are" : "is") + " open",
                    "Fix sizes with OnnxExport.inputTypes(...), and leave out openImages(true)");
        }
        if (form != null) {
            form.addOutputs(outputs, draft.walk()::flow, draft.graph());
        }
        if (form == null) {
            addOutputs(draft, other, draft == other ? draft : odd(names, masks, logits), names);
        }
        adapters.addTo(draft.graph());
        draft.graph().narrowLookUps();
        return draft.graph();
    }

    /** A draft for sizes that few layers divide; null if some layer does not take them. */
    private @Nullable Draft odd(Names names, boolean masks, boolean logits) {
        try {
            return draft(Shape.ODD, names, masks, logits);
        } catch (NoShapeException | OnnxExportException e) {
            return null;
        }
    }

    private void addOutputs(Draft draft, Draft other, @Nullable Draft odd, Names names) {
        Map<String, Counted> counted = Counted.in(network, values, draft.walk());
        boolean areLengthsCertain = draft.walk().areLengthsCertain();
        for (int i = 0; i < outputs.size(); i++) {
            boolean areExamples = counted.get(network.outputs().get(i)) == Counted.EXAMPLES;
            InputType type = draft.outputs().get(i);
            boolean isLengthKnown = areExamples && areLengthsCertain || !(type instanceof InputType.InputTypeRecurrent);
            draft.graph().output(outputs.get(i), draft.tensors().get(i), names.ofOutput(outputs.get(i), areExamples,
                    isLengthKnown, type, other.outputs().get(i), odd == null ? null : odd.outputs().get(i)));
        }
    }

    private boolean isOpen(int example) {
        return shapes.values().stream()
                .anyMatch(shape -> !shape.example().apply(example).equals(shape.example().apply(example + 1)));
    }

    private Draft draft(int example, Names names, boolean masks, boolean logits) {
        OnnxGraph graph = empty.get();
        Logits bare = new Logits(logits ? bareOutputs() : Set.of());
        Walk walk = new Walk(network, values, adapters, graph, bare);
        List<List<Object>> sizes = new ArrayList<>();
        for (int i = 0; i < inputs.size(); i++) {
            String input = network.inputs().get(i);
            Shape shape = shapes.get(input);
            boolean isOfText = form != null && form.inputNames().containsKey(input);
            sizes.add(names.ofInput(i == 0 || isOfText ? "" : inputs.get(i) + "_", shape));
            walk.input(input, inputs.get(i), shape.example().apply(example), shape.ids(), sizes.get(i));
            if (form != null && input.equals(form.input())) {
                // Before the types of pairs: some programs feed inputs by their places.
                walk.mask(input, form.addMask(walk.flow(input), graph));
            }
        }
        for (int i = 0; masks && i < inputs.size(); i++) {
            Shape shape = shapes.get(network.inputs().get(i));
            InputType type = shape.example().apply(example);
            boolean isLong = shape.ids() && i == 0 && !Long.valueOf(1).equals(sizes.get(i).get(1));
            if (form == null && type instanceof InputType.InputTypeFeedForward
                    && (isLong || isLookedUp(network.inputs().get(i)))) {
                walk.mask(network.inputs().get(i), inputs.get(i) + MASK, sizes.get(i));
            } else if (type instanceof InputType.InputTypeRecurrent sequence) {
                Object time = sizes.get(i).get(sequence.getFormat() == RNNFormat.NCW ? 2 : 1);
                walk.mask(network.inputs().get(i), inputs.get(i) + MASK, List.of(sizes.get(i).get(0), time));
            }
        }
        walk.layers();
        if (logits) {
            requireLeftOut(bare);
        }
        List<Flow> flows = network.outputs().stream().map(walk::flow).toList();
        return new Draft(graph, walk, flows.stream().map(Flow::type).toList(), flows.stream().map(Flow::name).toList());
    }

    /** Whether ids are those of a sequence of its own, not something beside another one. */
    private boolean isLookedUp(String input) {
        return network.nodes().stream().anyMatch(node -> node.inputs().contains(input)
                && values.layer(node) instanceof EmbeddingSequenceLayer);
    }

    /** Without those that another layer reads. */
    private Set<String> bareOutputs() {
        Set<String> bare = new HashSet<>(network.outputs());
        network.nodes().forEach(node -> node.inputs().forEach(bare::remove));
        return bare;
    }

    private void requireLeftOut(Logits bare) {
        for (String output : network.outputs()) {
            String source = bare.leftOut().contains(output) ? null : normaliser(output, bare);
            if (source != null) {
                throw OnnxExportException.of(output, "it is an output whose logits are asked for, but " + (source.equals(output)
                        ? "layer \"" + reader(output) + "\" reads it with its activation"
                        : "the softmax or sigmoid is that of layer \"" + source + "\" before it"),
                        "Leave out OnnxExport.logits(true)");
            }
        }
        if (bare.leftOut().isEmpty()) {
            throw new OnnxExportException("logits(true): none of the outputs " + network.outputs() + " ends in a softmax or "
                    + "sigmoid. Leave out OnnxExport.logits(true)");
        }
    }

    private String reader(String output) {
        return network.nodes().stream().filter(node -> node.inputs().contains(output)).map(Node::name).findFirst().orElseThrow();
    }

    /** The layer with a softmax or sigmoid whose values reach an output, through nodes without parameters; null for none. */
    private @Nullable String normaliser(String output, Logits bare) {
        Set<String> reached = new HashSet<>(Set.of(output));
        List<Node> backwards = new ArrayList<>(network.nodes());
        Collections.reverse(backwards);
        for (Node node : backwards) {
            if (reached.contains(node.name()) && bare.isWritten(node.name())) {
                return node.name();
            }
            if (reached.contains(node.name()) && node.numParams() == 0) {
                reached.addAll(node.inputs());
            }
        }
        return null;
    }

    /** Names of sizes that are open. */
    private static final class Names {

        private final Object batch;
        private final int first;
        /** By the sizes in all examples; the empty string for those that several inputs have. */
        private final Map<List<Long>, String> known = new HashMap<>();
        private String open = "sizes";

        /** @param first of the pair of examples */
        Names(Object batch, int first) {
            this.batch = batch;
            this.first = first;
        }

        /** @param prefix of names, which differ from one input to the next */
        List<Object> ofInput(String prefix, Shape shape) {
            InputType type = shape.example().apply(first);
            long[] one = type.getShape(true);
            long[] two = shape.example().apply(first + 1).getShape(true);
            long[] odd = shape.example().apply(Shape.ODD).getShape(true);
            List<String> kinds = kinds(type);
            List<Object> sizes = new ArrayList<>(List.of(batch));
            for (int i = 1; i < one.length; i++) {
                if (one[i] == two[i]) {
                    sizes.add(one[i]);
                } else {
                    String name = prefix + kinds.get(i);
                    known.merge(List.of(one[i], two[i], odd[i]), name, (before, same) -> before.equals(same) ? same : "");
                    open = type instanceof InputType.InputTypeConvolutional ? "height and width"
                            : type instanceof InputType.InputTypeConvolutional3D ? "depth, height and width" : "length";
                    sizes.add(name);
                }
            }
            return sizes;
        }

        private static List<String> kinds(InputType type) {
            if (type instanceof InputType.InputTypeRecurrent || type instanceof InputType.InputTypeFeedForward) {
                return List.of(BATCH, "time", "time");
            }
            if (type instanceof InputType.InputTypeConvolutional image) {
                return image.getFormat() == CNN2DFormat.NCHW
                        ? List.of(BATCH, "channels", "height", "width") : List.of(BATCH, "height", "width", "channels");
            }
            boolean last = type instanceof InputType.InputTypeConvolutional3D volume
                    && volume.getDataFormat() == Convolution3D.DataFormat.NDHWC;
            return last ? List.of(BATCH, "depth", "height", "width", "channels")
                    : List.of(BATCH, "channels", "depth", "height", "width");
        }

        /**
         * @param areExamples   whether the first dimension is that of the inputs
         * @param isLengthKnown whether the type tells the length of a sequence
         * @param odd           null if it is not known
         */
        List<Object> ofOutput(String output, boolean areExamples, boolean isLengthKnown, InputType type, InputType other,
                @Nullable InputType odd) {
            long[] one = type.getShape(true);
            long[] two = other.getShape(true);
            long[] three = odd == null ? one : odd.getShape(true);
            int time = isLengthKnown || !(type instanceof InputType.InputTypeRecurrent sequence) ? -1
                    : sequence.getFormat() == RNNFormat.NCW ? 2 : 1;
            List<Object> sizes = new ArrayList<>(List.of(areExamples ? batch
                    : output + (type instanceof InputType.InputTypeFeedForward ? "_rows" : "_batch")));
            // DL4J is wrong about many volumes.
            boolean isTrue = one.length < 5;
            for (int i = 1; i < one.length; i++) {
                String name = i == time ? "" : known.getOrDefault(List.of(one[i], two[i], three[i]), "");
                boolean isFixed = isTrue && i != time && one[i] == two[i] && one[i] == three[i] && one[i] > 0;
                sizes.add(isFixed ? (Object) one[i] : name.isEmpty() ? output + "_" + i : name);
            }
            return sizes;
        }
    }
}
