package io.github.dl4jlora.onnx;

import io.github.dl4jlora.conf.SaveOption;
import io.github.dl4jlora.internal.file.AtomicFile;
import io.github.dl4jlora.onnx.graph.Initializer;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import onnx.Onnx.GraphProto;
import onnx.Onnx.ModelProto;
import onnx.Onnx.OperatorSetIdProto;
import onnx.Onnx.StringStringEntryProto;
import onnx.Onnx.TensorProto;
import org.jspecify.annotations.Nullable;
import org.nd4j.shade.protobuf.CodedOutputStream;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/**
 * A graph in ONNX's form. Weights go into the file one after the other, so that no copy of all of them is ever in memory:
 * protobuf lets a repeated field stand anywhere in its message, and the length of each weight is known from its shape. A message
 * of protobuf ends at 2 GB: larger weights go into a file of their own beside it.
 */
final class OnnxFile {

    /** What a message of protobuf may have, less room for all that is no weight. */
    private static final long MOST = Integer.MAX_VALUE - (64L << 20);
    /** Smaller tensors stay in the file: runtimes need shapes among them before they read the other file. */
    private static final long LARGE = 1 << 10;
    /** Of weights in a file of their own, in bytes. */
    private static final long ALIGNMENT = 64;
    private static final String BESIDE = ".data";

    private final OnnxGraph graph;
    private final String name;
    private final Map<String, String> metadata;

    /** @param metadata by name */
    OnnxFile(OnnxGraph graph, String name, Map<String, String> metadata) {
        this.graph = graph;
        this.name = name;
        this.metadata = metadata;
    }

    /** Writes one file or, if that is asked for or necessary, two: where the path is a link, both are where that leads. */
    void write(Path path, boolean beside, SaveOption... options) throws IOException {
        long bytes = graph.initializers().stream().mapToLong(Initializer::bytes).sum();
        if (!beside && bytes <= MOST) {
            AtomicFile.write(path, out -> write(out, Map.of(), ""), options);
            return;
        }
        Path behind = AtomicFile.file(path);
        String file = String.valueOf(behind.getFileName());
        // Refuses a folder in the place of the second file.
        AtomicFile.file(behind.resolveSibling(file + BESIDE));
        Map<String, Long> offsets = offsets();
        Map<String, AtomicFile.Content> files = new LinkedHashMap<>();
        files.put(file, out -> write(out, offsets, file + BESIDE));
        files.put(file + BESIDE, out -> writeWeights(out, offsets));
        AtomicFile.writeTogether(Objects.requireNonNull(behind.getParent()), files, options);
    }

    /** Where weights begin in a file of their own, by name. */
    private Map<String, Long> offsets() {
        Map<String, Long> offsets = new LinkedHashMap<>();
        long at = 0;
        for (Initializer weight : graph.initializers()) {
            if (weight.bytes() >= LARGE) {
                offsets.put(weight.name(), at);
                at += padded(weight.bytes());
            }
        }
        return offsets;
    }

    private static long padded(long bytes) {
        return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }

    private void writeWeights(OutputStream out, Map<String, Long> offsets) throws IOException {
        for (Initializer weight : graph.initializers()) {
            if (offsets.containsKey(weight.name())) {
                weight.content().writeTo(out);
                out.write(new byte[(int) (padded(weight.bytes()) - weight.bytes())]);
            }
        }
    }

    /** The opset's own version of the form of files. */
    private int version() {
        return switch (graph.opset()) {
            case 17, 18 -> 8;
            case 19, 20 -> 9;
            default -> 10;
        };
    }

    /**
     * @param offsets of weights that are in another file
     * @param other   the name of that file
     */
    private void write(OutputStream out, Map<String, Long> offsets, String other) throws IOException {
        GraphProto rest = GraphProto.newBuilder().setName(name).addAllInput(graph.inputs()).addAllOutput(graph.outputs())
                .addAllNode(graph.nodes()).build();
        Map<Initializer, TensorProto> headers = new LinkedHashMap<>();
        long length = rest.getSerializedSize();
        for (Initializer weight : graph.initializers()) {
            TensorProto header = header(weight, offsets.get(weight.name()), other);
            headers.put(weight, header);
            long size = size(weight, header);
            length += CodedOutputStream.computeTagSize(GraphProto.INITIALIZER_FIELD_NUMBER)
                    + CodedOutputStream.computeUInt64SizeNoTag(size) + size;
        }
        CodedOutputStream coded = CodedOutputStream.newInstance(out);
        ModelProto.Builder model = ModelProto.newBuilder().setIrVersion(version()).setProducerName("dl4j-lora")
                .addOpsetImport(OperatorSetIdProto.newBuilder().setDomain("").setVersion(graph.opset()));
        metadata.forEach((key, value) -> model.addMetadataProps(StringStringEntryProto.newBuilder().setKey(key).setValue(value)));
        model.build().writeTo(coded);
        coded.writeTag(ModelProto.GRAPH_FIELD_NUMBER, 2);
        coded.writeUInt64NoTag(length);
        rest.writeTo(coded);
        for (Map.Entry<Initializer, TensorProto> entry : headers.entrySet()) {
            Initializer weight = entry.getKey();
            TensorProto header = entry.getValue();
            coded.writeTag(GraphProto.INITIALIZER_FIELD_NUMBER, 2);
            coded.writeUInt64NoTag(size(weight, header));
            header.writeTo(coded);
            if (header.getExternalDataCount() == 0) {
                coded.writeTag(TensorProto.RAW_DATA_FIELD_NUMBER, 2);
                coded.writeUInt64NoTag(weight.bytes());
                coded.flush();
                weight.content().writeTo(out);
            }
        }
        coded.flush();
    }

    private static TensorProto header(Initializer weight, @Nullable Long offset, String other) {
        TensorProto.Builder header = TensorProto.newBuilder().setName(weight.name()).setDataType(weight.type().getNumber());
        for (long size : weight.shape()) {
            header.addDims(size);
        }
        if (offset != null) {
            header.setDataLocation(TensorProto.DataLocation.EXTERNAL).addExternalData(entry("location", other))
                    .addExternalData(entry("offset", String.valueOf(offset)))
                    .addExternalData(entry("length", String.valueOf(weight.bytes())));
        }
        return header.build();
    }

    private static StringStringEntryProto entry(String key, String value) {
        return StringStringEntryProto.newBuilder().setKey(key).setValue(value).build();
    }

    /** Of a weight's message. */
    private static long size(Initializer weight, TensorProto header) {
        return header.getSerializedSize() + (header.getExternalDataCount() > 0 ? 0
                : CodedOutputStream.computeTagSize(TensorProto.RAW_DATA_FIELD_NUMBER)
                + CodedOutputStream.computeUInt64SizeNoTag(weight.bytes()) + weight.bytes());
    }
}
