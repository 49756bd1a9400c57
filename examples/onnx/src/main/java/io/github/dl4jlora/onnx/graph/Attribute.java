package io.github.dl4jlora.onnx.graph;

import onnx.Onnx.AttributeProto;
import onnx.Onnx.AttributeProto.AttributeType;
import onnx.Onnx.GraphProto;
import onnx.Onnx.NodeProto;
import org.nd4j.shade.protobuf.ByteString;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * An attribute of a node, by ONNX's name.
 *
 * @param proto as it stands in the file
 */
public record Attribute(AttributeProto proto) {

    /** A whole number. */
    public static Attribute of(String name, long value) {
        return new Attribute(AttributeProto.newBuilder().setName(name).setType(AttributeType.INT).setI(value).build());
    }

    /** A number. */
    public static Attribute of(String name, double value) {
        return new Attribute(AttributeProto.newBuilder().setName(name).setType(AttributeType.FLOAT).setF((float) value).build());
    }

    /** A word. */
    public static Attribute of(String name, String value) {
        return new Attribute(AttributeProto.newBuilder().setName(name).setType(AttributeType.STRING).setS(bytes(value)).build());
    }

    /** Whole numbers. */
    public static Attribute of(String name, long[] values) {
        return new Attribute(AttributeProto.newBuilder().setName(name).setType(AttributeType.INTS)
                .addAllInts(Arrays.stream(values).boxed().toList()).build());
    }

    /** Numbers. */
    public static Attribute of(String name, double[] values) {
        return new Attribute(AttributeProto.newBuilder().setName(name).setType(AttributeType.FLOATS)
                .addAllFloats(Arrays.stream(values).mapToObj(value -> (float) value).toList()).build());
    }

    /** Words. */
    public static Attribute of(String name, String[] values) {
        return new Attribute(AttributeProto.newBuilder().setName(name).setType(AttributeType.STRINGS)
                .addAllStrings(Arrays.stream(values).map(Attribute::bytes).toList()).build());
    }

    /** A graph of its own, such as the body of a loop. */
    public static Attribute of(String name, GraphProto value) {
        return new Attribute(AttributeProto.newBuilder().setName(name).setType(AttributeType.GRAPH).setG(value).build());
    }

    /** {@return a node's whole number of that name; 0 if it has none, ONNX's default of most} */
    public static long number(NodeProto node, String name) {
        return node.getAttributeList().stream().filter(each -> each.getName().equals(name)).mapToLong(AttributeProto::getI)
                .findFirst().orElse(0);
    }

    private static ByteString bytes(String text) {
        return ByteString.copyFrom(text, StandardCharsets.UTF_8);
    }
}
