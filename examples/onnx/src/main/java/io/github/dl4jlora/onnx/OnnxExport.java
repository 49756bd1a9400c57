package io.github.dl4jlora.onnx;

import io.github.dl4jlora.conf.SaveOption;
import io.github.dl4jlora.internal.file.AtomicFile;
import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Networks;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import io.github.dl4jlora.onnx.graph.WeightType;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.inputs.InputType;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** Writes DL4J's networks as ONNX. */
public final class OnnxExport {

    private final Network<?> network;
    private List<InputType> types = List.of();
    private boolean masks;

    private OnnxExport(Network<?> network) {
        this.network = network;
    }

    public static OnnxExport of(Model network) {
        return new OnnxExport(Networks.of(network));
    }

    public OnnxExport inputTypes(InputType... types) {
        this.types = List.of(types);
        return this;
    }

    public OnnxExport masks(boolean masked) {
        this.masks = masked;
        return this;
    }

    public void write(Path path, SaveOption... options) throws IOException {
        OnnxGraph graph = new OnnxGraph(17, WeightType.FLOAT);
        Walk walk = new Walk(network, graph);
        walk.inputs(network.inputs(), types);
        if (masks) {
            walk.masks(network.inputs());
        }
        walk.layers();
        String last = network.nodes().get(network.nodes().size() - 1).name();
        graph.output("output", walk.flow(last).name(), List.of("batch", "n"));
        AtomicFile.write(path, out -> OnnxFile.write(graph, "network", Map.of(), out), options);
    }
}
