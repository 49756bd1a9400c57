package io.github.dl4jlora.internal.quantized;

import io.github.dl4jlora.conf.Quantization;
import org.jspecify.annotations.Nullable;

import java.nio.ByteBuffer;

/**
 * How one line of a matrix is stored: as codes of its values, and scales of its own if it needs any. The arithmetic is Java's
 * alone, so that every machine stores and gives back the same bits. Buffers are little-endian, and read and written by absolute
 * positions.
 */
interface LineCodec {

    /** The codec of a scheme. */
    static LineCodec of(Quantization scheme) {
        return switch (scheme) {
            case BF16 -> new Bfloat16Codec();
            case INT8 -> new Int8Codec();
            case NF4 -> new NormalFloatCodec();
        };
    }

    /** Bytes of the codes of a line of {@code length} values. */
    long codeBytes(long length);

    /** Bytes of its scales. */
    long scaleBytes(long length);

    /**
     * Stores a line.
     *
     * @param line   all its values, finite
     * @param codes  {@code codeBytes}, overwritten
     * @param scales {@code scaleBytes}, overwritten
     */
    void store(float[] line, byte[] codes, ByteBuffer scales);

    /**
     * Gives a line back.
     *
     * @param codesAt  where its codes begin
     * @param scalesAt where its scales begin
     * @param at       where its values go
     * @param length   how many values it has
     */
    void restore(byte[] codes, int codesAt, ByteBuffer scales, int scalesAt, float[] to, int at, int length);

    /**
     * What is wrong with the scales of a line; null if nothing is.
     *
     * @param at where they begin
     */
    @Nullable String fault(ByteBuffer scales, int at, int length);

    /** What is wrong with a number that must be finite and not below zero; null if nothing is. */
    static @Nullable String fault(String name, float value) {
        return Float.isFinite(value) && value >= 0 ? null : name + " " + value;
    }
}
