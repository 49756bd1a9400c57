package io.github.dl4jlora.onnx;

import io.github.dl4jlora.onnx.graph.OnnxGraph;
import onnx.Onnx.TensorProto.DataType;
import onnx.Onnx.ValueInfoProto;

import java.util.List;
import java.util.stream.Collectors;

/**
 * What a file that was written takes and gives.
 *
 * @param inputs  that a session needs, in the network's order, with masks behind them; inputs that adapters fill have defaults
 *                and are not among them
 * @param outputs in the network's order
 */
public record OnnxForm(List<Tensor> inputs, List<Tensor> outputs) {

    /**
     * An input or output.
     *
     * @param type  of its values, as ONNX calls it: FLOAT or INT64
     * @param shape sizes, and names of those that are left open, such as {@code [batch, 784]}
     */
    public record Tensor(String name, String type, List<String> shape) {

        static Tensor of(ValueInfoProto info) {
            return new Tensor(info.getName(), String.valueOf(DataType.forNumber(info.getType().getTensorType().getElemType())),
                    info.getType().getTensorType().getShape().getDimList().stream().map(size -> size.hasDimParam()
                            ? size.getDimParam() : String.valueOf(size.getDimValue())).toList());
        }

        /** {@return such as {@code image FLOAT [batch, 784]}} */
        @Override
        public String toString() {
            return name + " " + type + " " + shape;
        }
    }

    /** @throws NullPointerException if one is null */
    public OnnxForm {
        inputs = List.copyOf(inputs);
        outputs = List.copyOf(outputs);
    }

    static OnnxForm of(OnnxGraph graph) {
        return new OnnxForm(graph.inputs().stream().filter(input -> !graph.isOptional(input.getName())).map(Tensor::of).toList(),
                graph.outputs().stream().map(Tensor::of).toList());
    }

    /** {@return such as {@code image FLOAT [batch, 784] -> digit FLOAT [batch, 10]}} */
    @Override
    public String toString() {
        return list(inputs) + " -> " + list(outputs);
    }

    private static String list(List<Tensor> tensors) {
        return tensors.stream().map(Tensor::toString).collect(Collectors.joining(", "));
    }
}
