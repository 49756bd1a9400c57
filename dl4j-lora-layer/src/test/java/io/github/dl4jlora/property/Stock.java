package io.github.dl4jlora.property;

import io.github.dl4jlora.Networks;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.WorkspaceMode;
import org.deeplearning4j.nn.conf.dropout.Dropout;
import org.deeplearning4j.nn.conf.graph.AttentionVertex;
import org.deeplearning4j.nn.conf.graph.ElementWiseVertex;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.layers.BaseLayer;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.PoolingType;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.schedule.ExponentialSchedule;
import org.nd4j.linalg.schedule.ISchedule;
import org.nd4j.linalg.schedule.ScheduleType;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/** The stock network that a spec describes, made of DL4J's classes only. */
final class Stock {

    static final String HEAD = "head";
    private static final Set<String> SPREADS = Set.of("var", "globalVar");

    private final NetworkSpec spec;
    private final List<Node> nodes = new ArrayList<>();
    private final List<LayerSpec> used = new ArrayList<>();
    private Signal signal;
    private boolean anyAdapted;

    /** One vertex; {@code twin} is null but for a second layer on the same input. */
    private record Node(String name, Layer layer, Layer twin, Join join) {
    }

    private Stock(NetworkSpec spec) {
        this.spec = spec;
        this.signal = spec.input().signal;
        List<LayerSpec> layers = new ArrayList<>(spec.layers());
        if (spec.input().isWords()) {
            LayerSpec first = layers.isEmpty()
                    ? new LayerSpec(Kind.EMBEDDING, Role.ADAPTED, 0, Activation.IDENTITY, List.of(), false, Join.ALONE)
                    : layers.remove(0);
            add(new LayerSpec(signal == Signal.SEQUENCE ? Kind.EMBEDDING_SEQUENCE : Kind.EMBEDDING, first.role(), first.form(),
                    first.activation(), List.of(), false, Join.ALONE));
        }
        for (LayerSpec layer : layers) {
            if (layer.kind().fits(spec.input(), signal)) {
                add(layer);
            }
        }
        boolean pooled = switch (signal) {
            case FLAT -> false;
            case SEQUENCE -> !spec.head().isForSequences();
            // DL4J gets the sizes of flattened volumes wrong, and its parameterless layers hand the input on.
            case IMAGE -> spec.layers().isEmpty() || !spec.layers().get(spec.layers().size() - 1).kind().hasMatrix();
            case VOLUME -> true;
        };
        if (pooled) {
            GlobalPoolingLayer.Builder pooling = new GlobalPoolingLayer.Builder(PoolingType.AVG);
            if (spec.input() == Input.VOLUME_CHANNELS_LAST) {
                // DL4J would pool them over the wrong ones.
                pooling.poolingDimensions(1, 2, 3);
            }
            addNode("p", pooling.build(), null, Join.ALONE);
            signal = Signal.FLAT;
        }
        addHead(signal == Signal.FLAT || signal == Signal.IMAGE ? spec.head().flat() : spec.head());
    }

    /** Initialised, with biases and running means that are not zero. */
    static Model of(NetworkSpec spec) {
        Stock stock = new Stock(spec);
        Model network = spec.graph() ? stock.graph() : stock.multiLayer();
        long seed = spec.seed();
        for (var parameter : network.paramTable().entrySet()) {
            INDArray values = parameter.getValue();
            INDArray noise = Networks.random(values.dataType(), ++seed, values.shape()).muli(0.2);
            String key = parameter.getKey().substring(parameter.getKey().indexOf('_') + 1);
            values.assign(SPREADS.contains(key) ? noise.muli(noise).addi(0.5) : noise.addi(values));
        }
        return network;
    }

    /** The names of its layers, as messages may tell them. */
    static Set<String> names(NetworkSpec spec) {
        Set<String> names = new TreeSet<>();
        new Stock(spec).nodes.forEach(node -> {
            names.add(node.name);
            names.add(node.name + "twin");
            names.add(node.name + "joined");
        });
        return names;
    }

    /** The layers that fit; the others are left out. */
    static List<LayerSpec> used(NetworkSpec spec) {
        return new Stock(spec).used;
    }

    private void add(LayerSpec layer) {
        used.add(layer);
        Kind kind = layer.kind();
        Role role = kind.hasParameters() ? layer.role() : null;
        if (role == Role.ADAPTED && !mayBeAdapted(kind.hasMatrix(),
                layer.wraps().stream().allMatch(Wrap::isFreezing) ? kind.by() : Settings.By.EFFECTIVE_WEIGHTS)) {
            role = Role.FROZEN;
        }
        anyAdapted |= role == Role.ADAPTED;
        Join join = fits(layer, role) ? layer.join() : Join.ALONE;
        boolean endsSequence = layer.wraps().contains(Wrap.LAST_TIME_STEP) && kind.isRecurrent();
        boolean twin = join == Join.TWIN_ADD || join == Join.TWIN_MERGE;
        addNode(role == null ? "p" : role.letter, made(layer), twin ? made(layer) : null,
                endsSequence && !twin ? Join.ALONE : join);
        signal = endsSequence ? Signal.FLAT : kind.after(signal);
    }

    private boolean fits(LayerSpec layer, Role role) {
        Kind kind = layer.kind();
        boolean keepsShape = kind.keepsShape(signal) && sizeIsKept();
        return spec.graph() && !kind.overwritesInput() && switch (layer.join()) {
            case ALONE, TWIN_ADD, TWIN_MERGE -> true;
            case ADD_INPUT -> keepsShape;
            case SCALED -> signal == Signal.FLAT || signal == Signal.SEQUENCE;
            case ATTENTION -> keepsShape && signal == Signal.SEQUENCE && spec.input() != Input.SEQUENCE_CHANNELS_LAST
                    && (role != Role.ADAPTED || mayBeAdapted(true, Settings.By.EFFECTIVE_WEIGHTS));
        };
    }

    /** Whether the numbers in an example are still as many as at first, so that input and output can be added. */
    private boolean sizeIsKept() {
        return nodes.stream().noneMatch(node -> node.join == Join.TWIN_MERGE);
    }

    private boolean mayBeAdapted(boolean hasMatrix, Settings.By layer) {
        return hasMatrix && spec.settings().isTakenBy(layer) || spec.settings().everywhere();
    }

    private Layer made(LayerSpec spec) {
        Layer layer = spec.kind().layer(spec.form());
        if (layer instanceof BaseLayer base && base.getActivationFn() == null) {
            base.setActivationFn(spec.activation().getActivationFunction());
        }
        if (layer instanceof Convolution3D volume && this.spec.input() == Input.VOLUME_CHANNELS_LAST) {
            volume.setDataFormat(Convolution3D.DataFormat.NDHWC);
        }
        if (spec.dropOut()) {
            dropOut(layer);
        }
        for (Wrap wrap : spec.wraps()) {
            if (wrap.fits(spec.kind())) {
                layer = wrap.around(layer);
            }
        }
        return layer;
    }

    private static void dropOut(Layer layer) {
        if (layer instanceof Bidirectional both) {
            dropOut(both.getFwd());
            dropOut(both.getBwd());
        } else if (layer instanceof BaseWrapperLayer wrapper) {
            dropOut(wrapper.getUnderlying());
        } else {
            layer.setIDropout(new Dropout(0.7));
        }
    }

    private void addNode(String letter, Layer layer, Layer twin, Join join) {
        nodes.add(new Node(letter + nodes.size(), layer, twin, join));
    }

    private void addHead(Head asked) {
        Head head = !anyAdapted && !mayBeAdapted(asked.hasParameters(), asked.by()) ? asked.adaptable() : asked;
        Role role = head.hasParameters() ? spec.headRole() : null;
        if (!anyAdapted) {
            role = Role.ADAPTED;
        } else if (role == Role.ADAPTED && !mayBeAdapted(true, head.by())) {
            role = Role.FROZEN;
        }
        RNNFormat format = spec.input() == Input.SEQUENCE_CHANNELS_LAST ? RNNFormat.NWC : RNNFormat.NCW;
        addNode((role == null ? "p" : role.letter) + HEAD, head.layer(format), null, Join.ALONE);
    }

    private NeuralNetConfiguration.Builder global() {
        WorkspaceMode mode = spec.workspaces() ? WorkspaceMode.ENABLED : WorkspaceMode.NONE;
        return new NeuralNetConfiguration.Builder().seed(spec.seed()).dataType(spec.type()).updater(updater(spec))
                .activation(Activation.TANH).trainingWorkspaceMode(mode).inferenceWorkspaceMode(mode);
    }

    static IUpdater updater(NetworkSpec spec) {
        ISchedule rate = spec.scheduled() ? new ExponentialSchedule(ScheduleType.ITERATION, spec.adam() ? 0.02 : 0.1, 0.5) : null;
        return spec.adam() ? rate == null ? new Adam(0.02) : new Adam(rate) : rate == null ? new Sgd(0.1) : new Sgd(rate);
    }

    private MultiLayerNetwork multiLayer() {
        NeuralNetConfiguration.ListBuilder list = global().list();
        for (Node node : nodes) {
            node.layer.setLayerName(node.name);
            list.layer(node.layer);
        }
        return Networks.of(list.setInputType(spec.input().type).build());
    }

    private ComputationGraph graph() {
        ComputationGraphConfiguration.GraphBuilder graph = global().graphBuilder().addInputs("in");
        String before = "in";
        for (Node node : nodes) {
            graph.addLayer(node.name, node.layer, before);
            String twin = node.name + "twin";
            String joined = node.name + "joined";
            if (node.twin != null) {
                graph.addLayer(twin, node.twin, before);
            }
            switch (node.join) {
                case ALONE -> {
                }
                case ADD_INPUT -> graph.addVertex(joined, new ElementWiseVertex(ElementWiseVertex.Op.Add), node.name, before);
                case TWIN_ADD -> graph.addVertex(joined, new ElementWiseVertex(ElementWiseVertex.Op.Add), node.name, twin);
                case ATTENTION -> graph.addVertex(joined, new AttentionVertex.Builder().nInQueries(Input.SIZE).nInKeys(Input.SIZE)
                        .nInValues(Input.SIZE).nOut(Input.SIZE).nHeads(1).projectInput(true).build(), node.name, before, before);
                case SCALED -> graph.addVertex(joined, new Scaled(0.5), node.name);
                case TWIN_MERGE -> graph.addVertex(joined, new MergeVertex(), node.name, twin);
            }
            before = node.join == Join.ALONE ? node.name : joined;
        }
        return Networks.of(graph.setOutputs(before).setInputTypes(spec.input().type).build());
    }
}
