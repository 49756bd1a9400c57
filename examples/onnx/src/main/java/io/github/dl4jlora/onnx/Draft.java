package io.github.dl4jlora.onnx;

import io.github.dl4jlora.onnx.graph.Initializer;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import onnx.Onnx.NodeProto;
import onnx.Onnx.TensorProto.DataType;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.jspecify.annotations.Nullable;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * A graph for an example of the inputs' sizes. Two drafts for two examples are the same where no layer's form depends on a size:
 * then the size can be left open.
 *
 * @param graph   all but its outputs
 * @param walk    that wrote it
 * @param outputs types of the network's outputs
 * @param tensors those that are the outputs
 */
record Draft(OnnxGraph graph, Walk walk, List<InputType> outputs, List<String> tensors) {

    /** Weights are larger, and have no sizes of examples in them. */
    private static final long SMALL = 64;

    /** The layer whose form depends on the sizes in which two drafts differ; null if there is none. */
    @Nullable String dependent(Draft other) {
        String own = differing(other);
        return own != null ? own : other.differing(this);
    }

    /** What this draft has and the other has not, or has otherwise. */
    private @Nullable String differing(Draft other) {
        for (Map.Entry<String, Long> width : walk.widths().entrySet()) {
            if (!width.getValue().equals(other.walk.widths().get(width.getKey()))) {
                return width.getKey();
            }
        }
        List<NodeProto> nodes = graph.nodes();
        for (int i = 0; i < nodes.size(); i++) {
            if (i >= other.graph.nodes().size() || !nodes.get(i).equals(other.graph.nodes().get(i))) {
                return graph.layer(nodes.get(i).getName());
            }
        }
        List<Initializer> initializers = graph.initializers();
        for (int i = 0; i < initializers.size(); i++) {
            if (i >= other.graph.initializers().size() || !isSame(initializers.get(i), other.graph.initializers().get(i))) {
                return graph.layer(initializers.get(i).name());
            }
        }
        return null;
    }

    private boolean isSame(Initializer one, Initializer two) {
        return one.name().equals(two.name()) && Arrays.equals(one.shape(), two.shape())
                && (graph.isWeight(one.name()) || one.type() != DataType.INT64 && one.bytes() > SMALL
                || Arrays.equals(content(one), content(two)));
    }

    private static byte[] content(Initializer initializer) {
        try (ByteArrayOutputStream out = new ByteArrayOutputStream()) {
            initializer.content().writeTo(out);
            return out.toByteArray();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
