package io.github.dl4jlora.onnx;

import io.github.dl4jlora.onnx.graph.Initializer;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import onnx.Onnx.GraphProto;
import onnx.Onnx.ModelProto;
import onnx.Onnx.OperatorSetIdProto;
import onnx.Onnx.StringStringEntryProto;
import onnx.Onnx.TensorProto;
import org.nd4j.shade.protobuf.CodedOutputStream;

import java.io.IOException;
import java.io.OutputStream;
import java.util.List;
import java.util.Map;

/**
 * Writes a graph in ONNX's form. Weights go into the file one after the other, so that no copy of all of them is ever in memory:
 * protobuf lets a repeated field stand anywhere in its message, and the length of each weight is known from its shape.
 */
final class OnnxFile {

    /** The form of files that goes with the operators written here. */
    private static final int IR = 8;

    private OnnxFile() {
    }

    /** @param metadata by name */
    static void write(OnnxGraph graph, String name, Map<String, String> metadata, OutputStream out) throws IOException {
        GraphProto rest = GraphProto.newBuilder().setName(name).addAllInput(graph.inputs()).addAllOutput(graph.outputs())
                .addAllNode(graph.nodes()).build();
        List<Initializer> weights = graph.initializers();
        long length = rest.getSerializedSize();
        for (Initializer weight : weights) {
            long size = size(weight);
            length += CodedOutputStream.computeTagSize(GraphProto.INITIALIZER_FIELD_NUMBER)
                    + CodedOutputStream.computeUInt64SizeNoTag(size) + size;
        }
        CodedOutputStream coded = CodedOutputStream.newInstance(out);
        ModelProto.Builder model = ModelProto.newBuilder().setIrVersion(IR).setProducerName("dl4j-lora")
                .addOpsetImport(OperatorSetIdProto.newBuilder().setDomain("").setVersion(graph.opset()));
        metadata.forEach((key, value) -> model.addMetadataProps(StringStringEntryProto.newBuilder().setKey(key).setValue(value)));
        model.build().writeTo(coded);
        coded.writeTag(ModelProto.GRAPH_FIELD_NUMBER, 2);
        coded.writeUInt64NoTag(length);
        rest.writeTo(coded);
        for (Initializer weight : weights) {
            coded.writeTag(GraphProto.INITIALIZER_FIELD_NUMBER, 2);
            coded.writeUInt64NoTag(size(weight));
            header(weight).writeTo(coded);
            coded.writeTag(TensorProto.RAW_DATA_FIELD_NUMBER, 2);
            coded.writeUInt64NoTag(weight.bytes());
            coded.flush();
            weight.content().writeTo(out);
        }
        coded.flush();
    }

    private static TensorProto header(Initializer weight) {
        TensorProto.Builder header = TensorProto.newBuilder().setName(weight.name()).setDataType(weight.type().getNumber());
        for (long size : weight.shape()) {
            header.addDims(size);
        }
        return header.build();
    }

    private static long size(Initializer weight) {
        return header(weight).getSerializedSize() + CodedOutputStream.computeTagSize(TensorProto.RAW_DATA_FIELD_NUMBER)
                + CodedOutputStream.computeUInt64SizeNoTag(weight.bytes()) + weight.bytes();
    }
}
