package io.github.dl4jlora.internal.untrusted;

import io.github.dl4jlora.exception.AdapterFormatException;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;

/** How safetensors store a number, little-endian. */
enum StoredType {
    F64(8, DataType.DOUBLE),
    F32(4, DataType.FLOAT),
    F16(2, DataType.HALF),
    BF16(2, DataType.BFLOAT16),
    /** Four bits of exponent, three of fraction, no infinity; ND4J has no such type. */
    F8_E4M3(1, DataType.FLOAT),
    /** The upper half of {@link #F16}. */
    F8_E5M2(1, DataType.FLOAT),
    I64(8, null),
    I32(4, null),
    I16(2, null),
    I8(1, null),
    U8(1, null),
    BOOL(1, null);

    private static final List<StoredType> READ = List.of(F64, F32, F16, BF16, F8_E4M3, F8_E5M2);

    private final int width;
    /** Null for types that an adapter cannot have values of. */
    private final @Nullable DataType type;

    StoredType(int width, @Nullable DataType type) {
        this.width = width;
        this.type = type;
    }

    /** Bytes of a number. */
    int width() {
        return width;
    }

    /**
     * The data type that its numbers are read as.
     *
     * @throws AdapterFormatException if an adapter cannot have values of this type
     */
    DataType type(String tensor) throws AdapterFormatException {
        if (type == null) {
            throw new AdapterFormatException("tensor \"" + tensor + "\" has the dtype " + this + "; " + READ + " are supported");
        }
        return type;
    }

    boolean isFloatingPoint() {
        return type != null;
    }

    /** Whether the bytes are those that ND4J has in memory. */
    boolean isStoredAsIs() {
        return type != null && width == type.width();
    }

    /** @throws AdapterFormatException for a type that is unknown */
    static StoredType of(String tensor, String name) throws AdapterFormatException {
        return Arrays.stream(values()).filter(known -> known.name().equals(name)).findFirst().orElseThrow(() ->
                new AdapterFormatException("tensor \"" + tensor + "\" has the dtype " + name + "; " + READ + " are supported"));
    }

    static StoredType of(DataType type) {
        return READ.stream().filter(known -> known.type == type).findFirst().orElseThrow(() ->
                new IllegalArgumentException("An adapter cannot be stored as " + type));
    }

    /** Position of the first NaN or infinity in memory; -1 if all are finite. */
    int firstNotFinite(ByteBuffer bytes) {
        for (int i = 0, n = bytes.remaining() / width; i < n; i++) {
            boolean finite = switch (this) {
                case F64 -> Double.isFinite(bytes.getDouble(i * width));
                case F32 -> Float.isFinite(bytes.getFloat(i * width));
                case F16 -> (bytes.getShort(i * width) & 0x7c00) != 0x7c00;
                case BF16 -> (bytes.getShort(i * width) & 0x7f80) != 0x7f80;
                default -> throw new IllegalStateException(this + " is not a type of ND4J");
            };
            if (!finite) {
                return i;
            }
        }
        return -1;
    }

    /** Decodes all of the bytes as FLOAT, for a type that is not {@linkplain #isStoredAsIs stored as it is}. */
    void decode(ByteBuffer bytes, ByteBuffer floats) {
        float[] table = this == F8_E4M3 ? E4M3 : E5M2;
        while (bytes.hasRemaining()) {
            floats.putFloat(table[bytes.get() & 0xff]);
        }
    }

    /** The next number of a type that is not {@linkplain #isFloatingPoint of floating-point numbers}; a boolean is 0 or 1. */
    long whole(ByteBuffer bytes) {
        return switch (this) {
            case I64 -> bytes.getLong();
            case I32 -> bytes.getInt();
            case I16 -> bytes.getShort();
            case I8 -> bytes.get();
            case U8 -> bytes.get() & 0xff;
            case BOOL -> bytes.get() == 0 ? 0 : 1;
            default -> throw new IllegalStateException(this + " is not a type of whole numbers");
        };
    }

    private static final float[] E4M3 = table(4, 3);
    private static final float[] E5M2 = table(5, 2);

    /** Every number of eight bits, by its bits. */
    private static float[] table(int exponentBits, int fractionBits) {
        int bias = (1 << exponentBits - 1) - 1;
        int largestExponent = (1 << exponentBits) - 1;
        float[] table = new float[256];
        for (int bits = 0; bits < table.length; bits++) {
            int exponent = bits >> fractionBits & largestExponent;
            int fraction = bits & (1 << fractionBits) - 1;
            int significand = exponent == 0 ? fraction : fraction | 1 << fractionBits;
            float magnitude = Math.scalb((float) significand, Math.max(exponent, 1) - bias - fractionBits);
            if (fractionBits == 3 && (bits & 0x7f) == 0x7f) {
                magnitude = Float.NaN;
            } else if (fractionBits == 2 && exponent == largestExponent) {
                magnitude = fraction == 0 ? Float.POSITIVE_INFINITY : Float.NaN;
            }
            table[bits] = bits < 128 ? magnitude : -magnitude;
        }
        return table;
    }
}
