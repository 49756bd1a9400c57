package io.github.dl4jlora.onnx.graph;

import onnx.Onnx.AttributeProto;
import onnx.Onnx.GraphProto;
import onnx.Onnx.NodeProto;
import onnx.Onnx.TensorProto.DataType;
import onnx.Onnx.TensorShapeProto;
import onnx.Onnx.TypeProto;
import onnx.Onnx.ValueInfoProto;
import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;

/**
 * A graph in the making: inputs, nodes in the order of computation, weights, outputs. Names of what a layer adds begin with the
 * layer's name.
 */
public final class OnnxGraph extends Operators {

    private final List<ValueInfoProto> inputs = new ArrayList<>();
    private final List<ValueInfoProto> outputs = new ArrayList<>();
    private List<NodeProto> nodes = new ArrayList<>();
    private final Map<String, Initializer> initializers = new LinkedHashMap<>();
    private final Map<String, Integer> uses = new LinkedHashMap<>();
    private final Map<String, String> weights = new LinkedHashMap<>();
    private final Map<String, Weight> read = new LinkedHashMap<>();
    private final Map<String, String> shared = new HashMap<>();
    private final Storage stored;
    private final Map<String, String> layers = new HashMap<>();
    private final Set<String> weightNames = new HashSet<>();
    private final Set<String> optional = new HashSet<>();
    private String scope = "";

    /**
     * @param opset   the version of ONNX's operators
     * @param stored  how weights are in the file
     * @param outputs names of the graph's outputs, which nothing else gets
     */
    public OnnxGraph(int opset, Storage stored, List<String> outputs) {
        super(opset);
        this.stored = stored;
        outputs.forEach(output -> uses.put(output, 1));
    }

    /** Names of what is added from now on begin with that of a layer. */
    public void enter(String layer) {
        scope = layer;
    }

    @Override
    public List<String> add(int results, String operator, List<String> operands, Attribute... attributes) {
        String name = fresh(operator);
        List<String> names = new ArrayList<>();
        for (int i = 0; i < results; i++) {
            names.add(results == 1 ? name : name + ":" + i);
        }
        NodeProto.Builder node = NodeProto.newBuilder().setName(name).setOpType(operator).addAllInput(operands)
                .addAllOutput(names);
        for (Attribute attribute : attributes) {
            node.addAttribute(attribute.proto());
        }
        nodes.add(node.build());
        return names;
    }

    /** A weight, in FLOAT for whoever reads it, however it is stored. Two weights of one name must be the same. */
    public String weight(Weight weight) {
        String known = weights.get(weight.name());
        if (known == null) {
            weightNames.add(weight.name());
            layers.put(weight.name(), scope);
            known = storageOf(weight).add(this, weight);
            weights.put(weight.name(), known);
            read.put(known, weight);
        }
        return known;
    }

    /** {@return how a weight is in the file} */
    Storage storageOf(Weight weight) {
        return weight.axis() < 0 ? Storage.FLOAT : stored;
    }

    /** Rows are looked up in tables as these are stored. To be called when the graph has its outputs. */
    public void narrowLookUps() {
        if (stored != Storage.FLOAT) {
            LookUps.narrow(this);
        }
    }

    /** {@return weights by the tensor that layers read them from} */
    public Map<String, Weight> weights() {
        return read;
    }

    /**
     * A tensor that several layers use: made by the first of them.
     *
     * @param key what it is, unique in the graph
     */
    public String shared(String key, Supplier<String> tensor) {
        String known = shared.get(key);
        if (known == null) {
            known = tensor.get();
            shared.put(key, known);
        }
        return known;
    }

    @Override
    public String initializer(Initializer initializer) {
        initializers.putIfAbsent(initializer.name(), initializer);
        return initializer.name();
    }

    /**
     * An input of the graph.
     *
     * @param shape sizes, or names of sizes that are left open, such as "batch"
     */
    public String input(String name, DataType type, List<?> shape) {
        uses.put(name, 1);
        inputs.add(info(name, type, shape));
        return name;
    }

    /**
     * An input of the graph that may be left out: it has a default, which is no constant, so nothing is folded into it.
     *
     * @param shape as of {@link #input(String, DataType, List)}; sizes that are left open may be others than the default's
     */
    public String input(Initializer defaults, List<?> shape) {
        optional.add(input(defaults.name(), defaults.type(), shape));
        return initializer(defaults);
    }

    /** Takes all nodes out, for whoever adds them again in another form. */
    public List<NodeProto> takeNodes() {
        List<NodeProto> taken = List.copyOf(nodes);
        nodes.clear();
        return taken;
    }

    /** Adds a node as it is. */
    public void add(NodeProto node) {
        nodes.add(node);
    }

    /**
     * Leaves out nodes and values that no output needs. Inputs with defaults stay, with these: adapters fill them, and ONNX
     * Runtime refuses a name that the file does not have.
     */
    public void prune() {
        Set<String> needed = new HashSet<>();
        outputs.forEach(output -> needed.add(output.getName()));
        List<NodeProto> kept = new ArrayList<>();
        List<NodeProto> all = takeNodes();
        for (int i = all.size() - 1; i >= 0; i--) {
            NodeProto node = all.get(i);
            if (node.getOutputList().stream().anyMatch(needed::contains)) {
                operands(node).forEach(needed::add);
                kept.add(node);
            }
        }
        Collections.reverse(kept);
        nodes.addAll(kept);
        needed.addAll(optional);
        initializers.keySet().retainAll(needed);
    }

    /** What a node reads, graphs inside it included. */
    private static Stream<String> operands(NodeProto node) {
        return Stream.concat(node.getInputList().stream(), node.getAttributeList().stream().filter(AttributeProto::hasG)
                .flatMap(attribute -> Stream.concat(attribute.getG().getNodeList().stream().flatMap(OnnxGraph::operands),
                        attribute.getG().getOutputList().stream().map(ValueInfoProto::getName))));
    }

    /** {@return the sizes of an input: numbers, and names of those that are left open} */
    public List<Object> sizes(String input) {
        TypeProto type = inputs.stream().filter(info -> info.getName().equals(input)).findFirst().orElseThrow().getType();
        return type.getTensorType().getShape().getDimList().stream()
                .map(size -> size.hasDimParam() ? (Object) size.getDimParam() : size.getDimValue()).toList();
    }

    /** An output of the graph: a tensor, by a name of its own. */
    public void output(String name, String tensor, List<?> shape) {
        nodes.add(NodeProto.newBuilder().setName(name).setOpType("Identity").addInput(tensor).addOutput(name).build());
        outputs.add(info(name, DataType.FLOAT, shape));
    }

    private static ValueInfoProto info(String name, DataType type, List<?> shape) {
        TensorShapeProto.Builder sizes = TensorShapeProto.newBuilder();
        shape.forEach(size -> sizes.addDim(size instanceof Number number
                ? TensorShapeProto.Dimension.newBuilder().setDimValue(number.longValue())
                : TensorShapeProto.Dimension.newBuilder().setDimParam(size.toString())));
        return ValueInfoProto.newBuilder().setName(name).setType(TypeProto.newBuilder()
                .setTensorType(TypeProto.Tensor.newBuilder().setElemType(type.getNumber()).setShape(sizes))).build();
    }

    @Override
    String fresh(String what) {
        String name = scope + "/" + what;
        int use = uses.merge(name, 1, Integer::sum);
        String used = use == 1 ? name : name + "_" + use;
        layers.put(used, scope);
        return used;
    }

    /** {@return the layer that has added a node, weight or number of that name} */
    public String layer(String name) {
        return layers.getOrDefault(name, name);
    }

    /** Whether these are values of the network, or what a layer made of them. */
    public boolean isWeight(String name) {
        return weightNames.contains(name);
    }

    /** A name that stands for two things; null if there is none. */
    public @Nullable String ambiguous() {
        Set<String> names = new HashSet<>();
        return Stream.of(inputs.stream().map(ValueInfoProto::getName),
                initializers.keySet().stream().filter(name -> !optional.contains(name)),
                nodes.stream().flatMap(node -> node.getOutputList().stream())).flatMap(each -> each)
                .filter(name -> !names.add(name)).findFirst().orElse(null);
    }

    /** Whether there is an input of that name. */
    public boolean hasInput(String name) {
        return inputs.stream().anyMatch(input -> input.getName().equals(name));
    }

    /** {@return inputs in the order in which they were added} */
    public List<ValueInfoProto> inputs() {
        return inputs;
    }

    /** {@return whether an input has a default} */
    public boolean isOptional(String input) {
        return optional.contains(input);
    }

    /** {@return outputs in the order in which they were added} */
    public List<ValueInfoProto> outputs() {
        return outputs;
    }

    /** {@return nodes in the order of computation} */
    public List<NodeProto> nodes() {
        return nodes;
    }

    /** {@return what has values in the file} */
    public List<Initializer> initializers() {
        return List.copyOf(initializers.values());
    }

    /**
     * Computes step after step along the first dimension of sequences (ONNX's Scan). Weights are added outside of the steps: what
     * a step adds is computed in each of them.
     *
     * @param states    FLOAT tensors before the first step
     * @param sequences FLOAT tensors, of whose first dimension each step gets one slice
     * @param step      adds a step: from the states and slices to the new states and, at the end, the step's result
     * @return the results of all steps, one after the other in the first dimension
     */
    public String scan(List<String> states, List<String> sequences, UnaryOperator<List<String>> step) {
        List<NodeProto> outer = nodes;
        nodes = new ArrayList<>();
        GraphProto.Builder body = GraphProto.newBuilder().setName(fresh("step"));
        List<String> values = new ArrayList<>();
        for (int i = 0; i < states.size() + sequences.size(); i++) {
            values.add(fresh("in"));
            body.addInput(value(values.get(i)));
        }
        for (String result : step.apply(values)) {
            body.addOutput(value(add("Identity", result)));
        }
        body.addAllNode(nodes);
        nodes = outer;
        List<String> operands = new ArrayList<>(states);
        operands.addAll(sequences);
        return add(states.size() + 1, "Scan", operands, Attribute.of("body", body.build()),
                Attribute.of("num_scan_inputs", sequences.size())).get(states.size());
    }

    private static ValueInfoProto value(String name) {
        return ValueInfoProto.newBuilder().setName(name).setType(TypeProto.newBuilder().setTensorType(
                TypeProto.Tensor.newBuilder().setElemType(DataType.FLOAT.getNumber()))).build();
    }
}
