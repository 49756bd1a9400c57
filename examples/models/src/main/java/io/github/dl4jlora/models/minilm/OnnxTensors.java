package io.github.dl4jlora.models.minilm;

import onnx.Onnx;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/**
 * The tensors of an ONNX file by the names PyTorch gave them. Matrices of dense layers have lost theirs on the way to
 * ONNX; they are named after the product they are used in: {@code /encoder/layer.0/attention/self/query/MatMul} has
 * {@code encoder.layer.0.attention.self.query.weight}, as {@code [nIn, nOut]}.
 */
final class OnnxTensors {

    private final Map<String, Onnx.TensorProto> tensors = new HashMap<>();

    private OnnxTensors(Onnx.GraphProto graph) {
        for (Onnx.TensorProto tensor : graph.getInitializerList()) {
            tensors.put(tensor.getName(), tensor);
        }
        for (Onnx.NodeProto node : graph.getNodeList()) {
            if (node.getOpType().equals("MatMul") && tensors.containsKey(node.getInput(1))) {
                String path = node.getName().substring(1, node.getName().lastIndexOf('/'));
                tensors.put(path.replace('/', '.') + ".weight", tensors.get(node.getInput(1)));
            }
        }
    }

    static OnnxTensors read(InputStream stream) throws IOException {
        return new OnnxTensors(Onnx.ModelProto.parseFrom(stream).getGraph());
    }

    /**
     * Copies a tensor into an array of as many values, row by row.
     *
     * @throws IllegalArgumentException if there is no such tensor, or it is not float of the array's shape
     */
    void copy(String name, INDArray into) {
        Onnx.TensorProto tensor = tensors.get(name);
        if (tensor == null) {
            throw new IllegalArgumentException("The ONNX file has no tensor \"" + name + "\": is it a BERT encoder?");
        }
        long[] shape = tensor.getDimsList().stream().mapToLong(Long::longValue).toArray();
        // A vector is a vector in some layers of DL4J and a row in others.
        boolean fits = Arrays.equals(shape, into.shape()) || shape.length == 1 && into.isVector() && shape[0] == into.length();
        if (tensor.getDataType() != Onnx.TensorProto.DataType.FLOAT.getNumber() || !fits) {
            throw new IllegalArgumentException("Tensor \"" + name + "\" of the ONNX file has type " + tensor.getDataType()
                    + " and shape "
                    + Arrays.toString(shape) + ", expected type " + Onnx.TensorProto.DataType.FLOAT.getNumber() + " (float) and "
                    + Arrays.toString(into.shape()));
        }
        FloatBuffer buffer = tensor.getRawData().asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
        float[] values = new float[buffer.remaining()];
        buffer.get(values);
        into.assign(Nd4j.create(values, into.shape(), 'c'));
    }
}
