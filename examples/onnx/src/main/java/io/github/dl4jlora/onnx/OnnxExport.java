package io.github.dl4jlora.onnx;

import io.github.dl4jlora.conf.SaveOption;
import io.github.dl4jlora.internal.file.AtomicFile;
import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Networks;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.inputs.InputType;

import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Writes DL4J's networks as ONNX, so that ONNX Runtime and others compute what they compute.
 *
 * <pre>{@code
 * OnnxExport.write(network, Path.of("network.onnx"));
 *
 * OnnxExport.of(tuned)                                  // merged on the way; the network stays as it is
 *         .inputs("image").outputs("digit").logits(true)
 *         .weights(WeightType.INT8)
 *         .write(Path.of("digits.onnx"));
 * }</pre>
 */
public final class OnnxExport {

    private final Network<?> network;
    private int opset = 17;
    private List<String> inputs = List.of();
    private List<String> outputs = List.of();
    private List<InputType> types = List.of();
    private long batch;
    private boolean openImages;
    private boolean masks;
    private boolean logits;
    private boolean externalData;
    private WeightType weights = WeightType.FLOAT;
    private final Map<String, String> metadata = new LinkedHashMap<>();

    private OnnxExport(Network<?> network) {
        this.network = network;
    }

    /**
     * Writes a network with all defaults.
     *
     * @param network a MultiLayerNetwork or ComputationGraph; not changed
     * @param path    of the file; an existing one is replaced
     * @throws OnnxExportException if the network cannot be written as ONNX
     * @throws IOException         if the file cannot be written
     */
    public static void write(Model network, Path path, SaveOption... options) throws IOException {
        of(network).write(path, options);
    }

    /** An export of that network, with settings of its own. */
    public static OnnxExport of(Model network) {
        return new OnnxExport(Networks.of(network));
    }

    /** The version of ONNX's operators, 17 to 21; default 17, which ONNX Runtime reads from 1.12 on. */
    public OnnxExport opset(int version) {
        this.opset = version;
        return this;
    }

    /** Names of the inputs, in the network's order; default: those of a graph, "input" of a chain. */
    public OnnxExport inputs(String... names) {
        this.inputs = List.of(names);
        return this;
    }

    /** Names of the outputs, in the network's order; default: those of a graph, "output" of a chain. */
    public OnnxExport outputs(String... names) {
        this.outputs = List.of(names);
        return this;
    }

    /** Types of the inputs, in the network's order; default: what the network's layers and preprocessors say of them. */
    public OnnxExport inputTypes(InputType... types) {
        this.types = List.of(types);
        return this;
    }

    /** A fixed number of examples; default: left open. */
    public OnnxExport batch(long examples) {
        this.batch = examples;
        return this;
    }

    /** Whether sizes of images are left open even where they are known; default false. */
    public OnnxExport openImages(boolean open) {
        this.openImages = open;
        return this;
    }

    /** Whether each sequence among the inputs has a mask, an input of its own behind the features; default false. */
    public OnnxExport masks(boolean masked) {
        this.masks = masked;
        return this;
    }

    /** Whether the softmax or sigmoid of the outputs is left out; default false. */
    public OnnxExport logits(boolean bare) {
        this.logits = bare;
        return this;
    }

    /** How weights are stored; default {@link WeightType#FLOAT}. */
    public OnnxExport weights(WeightType stored) {
        this.weights = stored;
        return this;
    }

    /** Whether weights go into a file of their own beside the file; default: above 2 GB. */
    public OnnxExport externalData(boolean beside) {
        this.externalData = beside;
        return this;
    }

    /** One more entry of the file's metadata. */
    public OnnxExport metadata(String key, String value) {
        metadata.put(key, value);
        return this;
    }

    /**
     * Writes the file.
     *
     * @throws OnnxExportException if the network cannot be written as ONNX; nothing is written
     * @throws IOException         if the file cannot be written; an existing one stays as it was
     */
    public void write(Path path, SaveOption... options) throws IOException {
        OnnxGraph graph = new OnnxGraph(opset, weights.storage());
        Walk walk = new Walk(network, graph);
        walk.inputs(network.inputs(), types);
        if (masks) {
            walk.masks(network.inputs());
        }
        walk.layers();
        String last = network.nodes().get(network.nodes().size() - 1).name();
        int rank = walk.flow(last).type() instanceof InputType.InputTypeRecurrent ? 3 : 2;
        graph.output("output", walk.flow(last).name(), List.of("batch", "n", "m").subList(0, rank));
        AtomicFile.write(path, out -> OnnxFile.write(graph, "network", metadata, out), options);
    }
}
