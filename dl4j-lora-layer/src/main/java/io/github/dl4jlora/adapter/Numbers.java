package io.github.dl4jlora.adapter;

import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Floating-point numbers in safetensors' bytes. */
final class Numbers {

    private Numbers() {
    }

    /**
     * @throws AdapterFormatException for a type that no adapter is stored in
     */
    static DataType type(String tensor, String name) throws AdapterFormatException {
        return switch (name) {
            case "F64" -> DataType.DOUBLE;
            case "F32" -> DataType.FLOAT;
            case "F16" -> DataType.HALF;
            case "BF16" -> DataType.BFLOAT16;
            default -> throw new AdapterFormatException("tensor \"" + tensor + "\" has the dtype " + name
                    + "; F64, F32, F16 and BF16 are supported");
        };
    }

    static String name(DataType type) {
        return switch (type) {
            case DOUBLE -> "F64";
            case FLOAT -> "F32";
            case HALF -> "F16";
            case BFLOAT16 -> "BF16";
            default -> throw new IllegalArgumentException("An adapter cannot be stored as " + type);
        };
    }

    /** The next number of a little-endian buffer. */
    static double get(ByteBuffer bytes, DataType type) {
        return switch (type) {
            case DOUBLE -> bytes.getDouble();
            case FLOAT -> bytes.getFloat();
            case BFLOAT16 -> Float.intBitsToFloat(bytes.getShort() << 16);
            default -> halfToFloat(bytes.getShort());
        };
    }

    /** Row-major, little-endian. */
    static byte[] bytes(INDArray array) {
        int length = Math.toIntExact(array.length() * array.dataType().width());
        ByteBuffer bytes = ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN);
        double[] values = array.castTo(DataType.DOUBLE).dup('c').data().asDouble();
        for (double value : values) {
            switch (array.dataType()) {
                case DOUBLE -> bytes.putDouble(value);
                case FLOAT -> bytes.putFloat((float) value);
                // Values of these types are exact in float: its upper half is bfloat16, and half has fewer bits of both parts.
                case BFLOAT16 -> bytes.putShort((short) (Float.floatToRawIntBits((float) value) >>> 16));
                default -> bytes.putShort(floatToHalf((float) value));
            }
        }
        return bytes.array();
    }

    private static float halfToFloat(short half) {
        int sign = (half & 0x8000) << 16;
        int exponent = half >>> 10 & 0x1f;
        int fraction = half & 0x3ff;
        if (exponent == 0x1f) {
            return Float.intBitsToFloat(sign | 0x7f800000 | fraction << 13);
        }
        float magnitude = exponent == 0 ? fraction * 0x1p-24f : (fraction | 0x400) * (float) Math.scalb(1.0, exponent - 25);
        return sign == 0 ? magnitude : -magnitude;
    }

    /** Of a value that is exact in half precision. */
    private static short floatToHalf(float value) {
        int sign = Float.floatToRawIntBits(value) >>> 16 & 0x8000;
        float magnitude = Math.abs(value);
        if (magnitude == 0) {
            return (short) sign;
        }
        int exponent = Math.max(Math.getExponent(magnitude), -14);
        int significand = (int) Math.scalb(magnitude, 10 - exponent);
        int biased = significand < 0x400 ? 0 : exponent + 15;
        return (short) (sign | biased << 10 | significand & 0x3ff);
    }
}
