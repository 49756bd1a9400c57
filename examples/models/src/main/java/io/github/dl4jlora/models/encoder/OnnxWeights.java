package io.github.dl4jlora.models.encoder;

import io.github.dl4jlora.transformers.layer.ModuleNames;
import onnx.Onnx;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * The weights of a transformer in an ONNX file that PyTorch wrote, by the names PyTorch gave them. Matrices of dense layers have
 * lost theirs on the way to ONNX; they are named after the bias that is added to their product: where that is
 * {@code encoder.layer.0.attention.self.query.bias}, the matrix is {@code encoder.layer.0.attention.self.query.weight}, as
 * {@code [nIn, nOut]}.
 */
final class OnnxWeights {

    private static final String BIAS = ".bias";
    private static final int FLOAT = Onnx.TensorProto.DataType.FLOAT.getNumber();

    private final String file;
    private final Map<String, Onnx.TensorProto> tensors = new HashMap<>();

    private OnnxWeights(String file, Onnx.GraphProto graph) {
        this.file = file;
        for (Onnx.TensorProto tensor : graph.getInitializerList()) {
            tensors.put(tensor.getName(), tensor);
        }
        Map<String, String> products = new HashMap<>();
        for (Onnx.NodeProto node : graph.getNodeList()) {
            if (node.getOpType().equals("MatMul") && tensors.containsKey(node.getInput(1))) {
                products.put(node.getOutput(0), node.getInput(1));
            } else if (node.getOpType().equals("Add")) {
                name(products, node.getInput(0), node.getInput(1));
                name(products, node.getInput(1), node.getInput(0));
            }
        }
    }

    private void name(Map<String, String> products, String product, String bias) {
        if (products.containsKey(product) && bias.endsWith(BIAS) && tensors.containsKey(bias)) {
            Onnx.TensorProto matrix = tensors.remove(products.get(product));
            tensors.put(bias.substring(0, bias.length() - BIAS.length()) + ".weight", matrix);
        }
    }

    /**
     * @param file   for messages
     * @param stream of it
     */
    static OnnxWeights read(String file, InputStream stream) throws IOException {
        return new OnnxWeights(file, Onnx.ModelProto.parseFrom(stream).getGraph());
    }

    /**
     * Copies all tensors into the layers that have their names.
     *
     * @param names what PyTorch calls the layers' parameters
     * @param added layers that the file does not have
     * @throws IOException if a layer's tensor is not there, or is not float of its shape, or a float tensor is no layer's: the
     *                     file has another model
     */
    void copyInto(ComputationGraph network, ModuleNames names, Set<String> added) throws IOException {
        Set<String> left = new TreeSet<>(tensors.keySet());
        left.removeIf(name -> tensors.get(name).getDataType() != FLOAT);
        for (Layer layer : network.getLayers()) {
            String name = layer.conf().getLayer().getLayerName();
            if (layer.numParams() > 0 && !added.contains(name)) {
                for (var parameter : names.parameters(name, layer.conf().getLayer())) {
                    copy(parameter.tensor(), layer.getParam(parameter.key()));
                    left.remove(parameter.tensor());
                }
            }
        }
        if (!left.isEmpty()) {
            throw new IOException(file + " has tensors that no layer takes, such as \"" + left.iterator().next()
                    + "\": its model is larger than the network");
        }
    }

    private void copy(String name, INDArray into) throws IOException {
        Onnx.TensorProto tensor = tensors.get(name);
        if (tensor == null) {
            throw new IOException(file + " has no tensor \"" + name + "\": its model is another than the network");
        }
        long[] shape = tensor.getDimsList().stream().mapToLong(Long::longValue).toArray();
        // A vector is a vector in some layers of DL4J and a row in others.
        boolean fits = Arrays.equals(shape, into.shape()) || shape.length == 1 && into.isVector() && shape[0] == into.length();
        if (tensor.getDataType() != FLOAT || !fits) {
            throw new IOException("Tensor \"" + name + "\" of " + file + " has type " + tensor.getDataType() + " and shape "
                    + Arrays.toString(shape) + ", expected type " + FLOAT + " (float) and " + Arrays.toString(into.shape()));
        }
        FloatBuffer buffer = tensor.getRawData().asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
        if (buffer.remaining() != into.length()) {
            throw new IOException("Tensor \"" + name + "\" of " + file + " has " + buffer.remaining() + " values, but "
                    + into.length() + " by its shape: the file is damaged");
        }
        float[] values = new float[buffer.remaining()];
        buffer.get(values);
        into.assign(Nd4j.create(values, into.shape(), 'c'));
    }
}
