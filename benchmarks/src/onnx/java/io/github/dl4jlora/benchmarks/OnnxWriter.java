package io.github.dl4jlora.benchmarks;

import onnx.Onnx;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.graph.ElementWiseVertex;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.layers.ActivationLayer;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.PoolingType;
import org.deeplearning4j.nn.conf.layers.SubsamplingLayer;
import org.deeplearning4j.nn.conf.layers.ZeroPaddingLayer;
import org.deeplearning4j.nn.conf.preprocessor.CnnToFeedForwardPreProcessor;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.activations.impl.ActivationIdentity;
import org.nd4j.linalg.activations.impl.ActivationReLU;
import org.nd4j.linalg.activations.impl.ActivationSoftmax;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.ops.transforms.Transforms;
import org.nd4j.shade.protobuf.ByteString;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Writes an image network as ONNX (operator set 13), as far as the networks that are compared with ONNX Runtime need it: one
 * input with channels first, layers without dropout's effect, in inference.
 */
final class OnnxWriter {

    private static final int OPERATORS = 13;
    private static final int VERSION = 8;
    private static final String MINIBATCH = "minibatch";

    private final ComputationGraph network;
    private final Onnx.GraphProto.Builder graph = Onnx.GraphProto.newBuilder().setName("network");
    /** Height and width of what each node computes. */
    private final Map<String, int[]> sizes = new HashMap<>();

    private OnnxWriter(ComputationGraph network) {
        this.network = network;
    }

    /**
     * @param shape channels, height and width of the input
     * @throws IllegalArgumentException if the network has a layer that this class does not know
     */
    static void write(ComputationGraph network, int[] shape, Path file) throws IOException {
        OnnxWriter writer = new OnnxWriter(network);
        String input = network.getConfiguration().getNetworkInputs().get(0);
        writer.sizes.put(input, new int[] {shape[1], shape[2]});
        writer.graph.addInput(value(input, shape[0], shape[1], shape[2]));
        for (int index : network.topologicalSortOrder()) {
            String name = network.getVertices()[index].getVertexName();
            GraphVertex vertex = network.getConfiguration().getVertices().get(name);
            if (vertex != null) {
                writer.add(name, vertex, network.getConfiguration().getVertexInputs().get(name));
            }
        }
        writer.graph.addOutput(value(network.getConfiguration().getNetworkOutputs().get(0)));
        try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(file))) {
            Onnx.ModelProto.newBuilder().setIrVersion(VERSION).setGraph(writer.graph)
                    .addOpsetImport(Onnx.OperatorSetIdProto.newBuilder().setDomain("").setVersion(OPERATORS)).build()
                    .writeTo(out);
        }
    }

    private static Onnx.ValueInfoProto value(String name, int... sizes) {
        Onnx.TensorShapeProto.Builder shape = Onnx.TensorShapeProto.newBuilder()
                .addDim(Onnx.TensorShapeProto.Dimension.newBuilder().setDimParam(MINIBATCH));
        for (int size : sizes) {
            shape.addDim(Onnx.TensorShapeProto.Dimension.newBuilder().setDimValue(size));
        }
        Onnx.TypeProto.Tensor.Builder tensor = Onnx.TypeProto.Tensor.newBuilder()
                .setElemType(Onnx.TensorProto.DataType.FLOAT_VALUE);
        if (sizes.length > 0) {
            tensor.setShape(shape);
        }
        return Onnx.ValueInfoProto.newBuilder().setName(name).setType(Onnx.TypeProto.newBuilder().setTensorType(tensor)).build();
    }

    private void add(String name, GraphVertex vertex, List<String> inputs) {
        sizes.put(name, sizes.get(inputs.get(0)));
        if (vertex instanceof ElementWiseVertex sum && sum.getOp() == ElementWiseVertex.Op.Add && inputs.size() == 2) {
            node("Add", name, inputs);
        } else if (vertex instanceof LayerVertex layer) {
            String input = inputs.get(0);
            if (layer.getPreProcessor() instanceof CnnToFeedForwardPreProcessor) {
                input = node("Flatten", name + "/flat", inputs);
            } else if (layer.getPreProcessor() != null && !isOfVectors(layer.getPreProcessor())) {
                throw new IllegalArgumentException(name + " has a " + layer.getPreProcessor());
            }
            add(name, layer.getLayerConf().getLayer(), input);
        } else {
            throw new IllegalArgumentException(name + " is a " + vertex);
        }
    }

    /** LeNet's takes images as rows of numbers; here they are images. */
    private static boolean isOfVectors(Object preprocessor) {
        return preprocessor.getClass().getSimpleName().equals("FeedForwardToCnnPreProcessor");
    }

    private void add(String name, Layer layer, String input) {
        if (layer instanceof ConvolutionLayer convolution) {
            convolution(name, convolution, input);
        } else if (layer instanceof BatchNormalization norm) {
            Onnx.NodeProto.Builder node = Onnx.NodeProto.newBuilder().addInput(input);
            for (String parameter : List.of("gamma", "beta", "mean")) {
                node.addInput(tensor(name + "_" + parameter, network.getParam(name + "_" + parameter), norm.getNOut()));
            }
            node.addInput(tensor(name + "_var", !norm.isUseLogStd() ? network.getParam(name + "_var")
                    : Transforms.exp(network.getParam(name + "_log10stdev").mul(2 * Math.log(10))), norm.getNOut()));
            graph.addNode(node.setOpType("BatchNormalization").addOutput(name).addAttribute(attribute("epsilon")
                    .setType(Onnx.AttributeProto.AttributeType.FLOAT).setF((float) norm.getEps())));
        } else if (layer instanceof ActivationLayer activation) {
            activated(name, activation.getActivationFn(), input);
        } else if (layer instanceof SubsamplingLayer pooling) {
            pooling(name, pooling, input);
        } else if (layer instanceof ZeroPaddingLayer padding) {
            int[] p = padding.getPadding();
            sizes.put(name, new int[] {sizes.get(name)[0] + p[0] + p[1], sizes.get(name)[1] + p[2] + p[3]});
            ByteBuffer pads = ByteBuffer.allocate(8 * Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
            for (int pad : new int[] {0, 0, p[0], p[2], 0, 0, p[1], p[3]}) {
                pads.putLong(pad);
            }
            graph.addInitializer(Onnx.TensorProto.newBuilder().setName(name + "_pads").addDims(8)
                    .setDataType(Onnx.TensorProto.DataType.INT64_VALUE).setRawData(ByteString.copyFrom(pads.array())));
            node("Pad", name, List.of(input, name + "_pads"));
        } else if (layer instanceof DenseLayer || layer instanceof OutputLayer) {
            INDArray w = network.getParam(name + "_W");
            String weights = tensor(name + "_W", w, w.shape());
            String z = node("Gemm", name + "/z", List.of(input, weights,
                    tensor(name + "_b", network.getParam(name + "_b"), w.size(1))));
            activated(name, ((org.deeplearning4j.nn.conf.layers.BaseLayer) layer).getActivationFn(), z);
        } else {
            throw new IllegalArgumentException(name + " is a " + layer);
        }
    }

    private void convolution(String name, ConvolutionLayer layer, String input) {
        INDArray w = network.getParam(name + "_W");
        Onnx.NodeProto.Builder node = Onnx.NodeProto.newBuilder().setOpType("Conv").addInput(input)
                .addInput(tensor(name + "_W", w, w.shape()));
        if (layer.hasBias()) {
            node.addInput(tensor(name + "_b", network.getParam(name + "_b"), layer.getNOut()));
        }
        graph.addNode(windows(node, name, layer.getKernelSize(), layer.getStride(), layer.getPadding(), layer.getDilation(),
                layer.getConvolutionMode(), layer.getCnn2dDataFormat()).addOutput(name + "/z"));
        activated(name, layer.getActivationFn(), name + "/z");
    }

    private void pooling(String name, SubsamplingLayer layer, String input) {
        boolean max = layer.getPoolingType() == PoolingType.MAX;
        if (!max && layer.getPoolingType() != PoolingType.AVG) {
            throw new IllegalArgumentException(name + " pools by " + layer.getPoolingType());
        }
        Onnx.NodeProto.Builder node = Onnx.NodeProto.newBuilder().setOpType(max ? "MaxPool" : "AveragePool").addInput(input);
        graph.addNode(windows(node, name, layer.getKernelSize(), layer.getStride(), layer.getPadding(), null,
                layer.getConvolutionMode(), layer.getCnn2dDataFormat()).addOutput(name));
    }

    /** As DL4J has them: with "same" as much padding after as before, or one more. */
    private Onnx.NodeProto.Builder windows(Onnx.NodeProto.Builder node, String name, int[] kernel, int[] stride, int[] padding,
                                           int[] dilation, ConvolutionMode mode, CNN2DFormat format) {
        if (format != CNN2DFormat.NCHW) {
            throw new IllegalArgumentException(name + " has channels last");
        }
        int[] in = sizes.get(name);
        int[] out = new int[2];
        int[] pads = {padding[0], padding[1], padding[0], padding[1]};
        for (int i = 0; i < 2; i++) {
            int covered = (kernel[i] - 1) * (dilation == null ? 1 : dilation[i]) + 1;
            if (mode == ConvolutionMode.Same) {
                out[i] = (in[i] + stride[i] - 1) / stride[i];
                int all = Math.max(0, (out[i] - 1) * stride[i] + covered - in[i]);
                pads[i] = all / 2;
                pads[i + 2] = all - all / 2;
            } else {
                out[i] = (in[i] + 2 * padding[i] - covered) / stride[i] + 1;
            }
        }
        sizes.put(name, out);
        node.addAttribute(ints("kernel_shape", kernel)).addAttribute(ints("strides", stride)).addAttribute(ints("pads", pads));
        return dilation == null ? node : node.addAttribute(ints("dilations", dilation));
    }

    private void activated(String name, IActivation activation, String z) {
        if (activation instanceof ActivationReLU) {
            node("Relu", name, List.of(z));
        } else if (activation instanceof ActivationSoftmax) {
            node("Softmax", name, List.of(z));
        } else if (activation instanceof ActivationIdentity) {
            node("Identity", name, List.of(z));
        } else {
            throw new IllegalArgumentException(name + " has the activation " + activation);
        }
    }

    private String node(String operator, String name, List<String> inputs) {
        graph.addNode(Onnx.NodeProto.newBuilder().setOpType(operator).addAllInput(inputs).addOutput(name));
        return name;
    }

    private static Onnx.AttributeProto.Builder attribute(String name) {
        return Onnx.AttributeProto.newBuilder().setName(name);
    }

    private static Onnx.AttributeProto.Builder ints(String name, int[] values) {
        Onnx.AttributeProto.Builder attribute = attribute(name).setType(Onnx.AttributeProto.AttributeType.INTS);
        for (int value : values) {
            attribute.addInts(value);
        }
        return attribute;
    }

    private String tensor(String name, INDArray values, long... shape) {
        ByteBuffer bytes = ByteBuffer.allocate(Math.toIntExact(values.length() * Float.BYTES)).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asFloatBuffer().put(Nd4j.toFlattened('c', values).toFloatVector());
        Onnx.TensorProto.Builder tensor = Onnx.TensorProto.newBuilder().setName(name)
                .setDataType(Onnx.TensorProto.DataType.FLOAT_VALUE).setRawData(ByteString.copyFrom(bytes.array()));
        for (long size : shape) {
            tensor.addDims(size);
        }
        graph.addInitializer(tensor);
        return name;
    }
}
