package io.github.dl4jlora.onnx.transformer;

import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.onnx.OnnxExportException;
import io.github.dl4jlora.onnx.graph.Attribute;
import io.github.dl4jlora.onnx.graph.Flow;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import io.github.dl4jlora.transformers.layer.AnswerScores;
import io.github.dl4jlora.transformers.layer.MaxPooling;
import io.github.dl4jlora.transformers.layer.MeanPooling;
import io.github.dl4jlora.transformers.layer.PickedRows;
import io.github.dl4jlora.transformers.layer.PickedToken;
import io.github.dl4jlora.transformers.layer.RowsLoss;
import io.github.dl4jlora.transformers.layer.TiedDecoder;
import io.github.dl4jlora.transformers.layer.TokenEmbeddings;
import io.github.dl4jlora.transformers.layer.TypedIds;
import onnx.Onnx.TensorProto.DataType;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.BaseOutputLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Function;
import java.util.stream.Collectors;

/** Inputs and outputs of a transformer as programs expect them that run Hugging Face's models in ONNX Runtime. */
public final class TextForm {

    private static final String IDS = "input_ids";

    private static final String TYPES = "token_type_ids";
    private static final String HIDDEN = "last_hidden_state";
    private static final String LOGITS = "logits";

    private final Network<?> network;
    private final Map<String, Node> nodes;
    /** What reads the ids. */
    private final Node first;
    private final String input;
    private final @Nullable String types;
    private final TokenEmbeddings embeddings;

    private TextForm(Network<?> network, Node first, TokenEmbeddings embeddings) {
        this.network = network;
        this.nodes = network.nodes().stream().collect(Collectors.toMap(Node::name, Function.identity()));
        Node before = nodes.get(first.inputs().get(0));
        boolean isTyped = before != null && before.vertex() != null && before.unwrappedVertex() instanceof TypedIds;
        this.types = isTyped ? before.inputs().get(0) : null;
        this.input = before == null ? first.inputs().get(0) : before.inputs().get(before.inputs().size() - 1);
        this.first = isTyped ? before : first;
        this.embeddings = embeddings;
    }

    /** The form of a network; null if it has no token embeddings. */
    public static @Nullable TextForm of(Network<?> network) {
        for (Node node : network.nodes()) {
            if (node.stockLayer() instanceof TokenEmbeddings embeddings) {
                return new TextForm(network, node, embeddings);
            }
        }
        return null;
    }

    /** {@return the network's input of token ids} */
    public String input() {
        return input;
    }

    /**
     * Checks that the ids are an input of the network.
     *
     * @throws OnnxExportException if the network makes them of one
     */
    public void requireIds() {
        for (String read : first.inputs()) {
            if (!network.inputs().contains(read)) {
                throw OnnxExportException.of(first.name(), "forText() feeds it ids of tokens, but it reads what layer \"" + read
                        + "\" makes of them", "Leave out OnnxExport.forText()");
            }
        }
    }

    /** {@return usual names of the network's inputs, where they are others than its own} */
    public Map<String, String> inputNames() {
        return types == null ? Map.of(input, IDS) : Map.of(input, IDS, types, TYPES);
    }

    /** {@return how many different ids an input has, of tokens or their types; 0 for other inputs} */
    public long ids(String name) {
        return name.equals(input) ? embeddings.getNIn() : name.equals(types) ? embeddings.getTypes() : 0;
    }

    /** {@return the id that is padding} */
    public int padding() {
        return embeddings.getPadding();
    }

    /** Adds the inputs that go with the ids. {@return the mask in FLOAT} */
    public String addMask(Flow ids, OnnxGraph graph) {
        List<Object> sizes = graph.sizes(ids.name());
        String mask = graph.input("attention_mask", DataType.INT64, sizes);
        if (embeddings.getTypes() > 1 && !embeddings.isTyped()) {
            Texts.types(ids, graph, () -> graph.input(TYPES, DataType.INT64, sizes));
        }
        return graph.cast(mask, DataType.FLOAT);
    }

    /** Usual names of the network's outputs; only the first gets a name that another could have as well. */
    public List<String> outputNames() {
        List<String> names = new ArrayList<>();
        for (String output : network.outputs()) {
            String usual = usual(output);
            names.add(names.contains(usual) ? output : usual);
        }
        return names;
    }

    private String usual(String output) {
        return isAnswer(output) ? LOGITS : layer(output) instanceof RowsLoss ? output
                : isCounted(output) ? layer(output) instanceof TiedDecoder ? LOGITS : HIDDEN
                : pooled(output) != null ? "sentence_embedding" : output;
    }

    /** Whether it is {@code [batch, 2 * length]}: what tokens score as the first of an answer, then as the last. */
    private boolean isAnswer(String output) {
        Node node = nodes.get(output);
        return node != null && (layer(output) instanceof RowsLoss ? isAnswer(node.inputs().get(0))
                : node.vertex() != null && node.unwrappedVertex() instanceof AnswerScores);
    }

    private boolean isCounted(String output) {
        return counted(output) != null;
    }

    /**
     * Adds the network's outputs and, before the first embedding, the vectors that it is made of. One that scores tokens of
     * answers becomes two, with {@code start_} and {@code end_} before its name.
     *
     * @param names of the network's outputs
     * @param flows what flows out of nodes and inputs
     * @throws OnnxExportException if an output is neither of tokens nor a vector for each text
     */
    public void addOutputs(List<String> names, Function<String, Flow> flows, OnnxGraph graph) {
        boolean hasVectors = names.contains(HIDDEN);
        for (int i = 0; i < names.size(); i++) {
            String output = network.outputs().get(i);
            String pooled = pooled(output);
            if (pooled != null && !hasVectors) {
                addVectors(HIDDEN, pooled, flows, graph);
                hasVectors = true;
            }
            if (isCounted(output)) {
                addVectors(names.get(i), output, flows, graph);
            } else if (isAnswer(output)) {
                addAnswer(names.get(i), flows.apply(output), flows.apply(input), graph);
            } else {
                Flow flow = flows.apply(output);
                if (!(flow.type() instanceof InputType.InputTypeFeedForward)) {
                    throw OnnxExportException.of(output, "it is an output of the type " + flow.type() + ", which programs that "
                            + "read texts do not expect", "Leave out OnnxExport.forText()");
                }
                graph.output(names.get(i), flow.name(), List.of(batch(flows, graph), Texts.width(flow)));
            }
        }
    }

    private static void addAnswer(String name, Flow scores, Flow ids, OnnxGraph graph) {
        String apart = graph.reshape(scores.name(), 0, 2, -1);
        for (int part = 0; part < 2; part++) {
            graph.output((part == 0 ? "start_" : "end_") + name, graph.add("Gather", List.of(apart, graph.index(part)),
                    Attribute.of("axis", 1)), graph.sizes(ids.name()));
        }
    }

    private Object batch(Function<String, Flow> flows, OnnxGraph graph) {
        return graph.sizes(flows.apply(input).name()).get(0);
    }

    private void addVectors(String name, String rows, Function<String, Flow> flows, OnnxGraph graph) {
        Flow counted = flows.apply(Objects.requireNonNull(counted(rows)));
        List<Object> sizes = new ArrayList<>(graph.sizes(counted.name()));
        sizes.add(Texts.width(flows.apply(rows)));
        graph.output(name, Texts.apart(flows.apply(rows).name(), counted, graph), sizes);
    }

    private @Nullable Layer layer(String name) {
        Node node = nodes.get(name);
        return node == null ? null : node.stockLayer();
    }

    /** The network's input for each value of which a node has a row; null for one that has a row for each example. */
    private @Nullable String counted(String name) {
        Node node = nodes.get(name);
        if (node == null) {
            return null;
        }
        Object type = node.layer() != null ? node.stockLayer() : node.unwrappedVertex();
        return type instanceof TokenEmbeddings ? node.inputs().get(0) : type instanceof PickedRows ? node.inputs().get(1)
                : pools(type) || type instanceof AnswerScores ? null : counted(node.inputs().get(0));
    }

    private static boolean pools(@Nullable Object type) {
        return type instanceof MeanPooling || type instanceof MaxPooling || type instanceof PickedToken;
    }

    /** What an output pools, and hands on as it is or changed, but to no classifier; null for any other output. */
    private @Nullable String pooled(String output) {
        String name = layer(output) instanceof BaseOutputLayer ? null : output;
        while (nodes.get(name) != null) {
            Node node = nodes.get(name);
            name = node.inputs().get(0);
            if (node.vertex() != null && pools(node.unwrappedVertex())) {
                return name;
            }
        }
        return null;
    }
}
