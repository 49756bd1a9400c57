package io.github.dl4jlora.internal.base;

import io.github.dl4jlora.internal.quantized.QuantizedMatrix;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.IOException;
import java.io.OutputStream;
import java.security.MessageDigest;
import java.util.Map;

/** Where the values of one layer's frozen parameters are, and in what form. */
sealed interface Storage permits ArrayStorage, QuantizedStorage {

    /** The number of values. */
    long length();

    /** The type of the original values. */
    DataType type();

    /** Bytes in memory. */
    long bytes();

    /** Whether no network trains or closes them. */
    boolean isOwn();

    boolean wasClosed();

    /** Whether a quick look finds the values unchanged. */
    boolean isUnmoved();

    /** Whether it is an array in a mapped file, where a write would end the JVM. */
    default boolean isInFile() {
        return false;
    }

    /** Whether another one's values are in the same memory. */
    default boolean isAt(Storage other) {
        return this == other;
    }

    /** All values, flat; the array itself if they are one. Not to be written to. */
    INDArray values(DataType type);

    /** A matrix that is kept in fewer bits; null for a parameter that is not. */
    @Nullable QuantizedMatrix quantized(String key);

    /** All parameters but quantised matrices, by key, each in the shape of the signature; null if nothing is quantised. */
    @Nullable Map<String, INDArray> rest(DataType type);

    /** What it was made of; null for an array. */
    @Nullable StoredForm form();

    /** See {@link FrozenWeights#errors}. */
    Map<String, Double> errors();

    /** Digests everything that makes up the content. */
    void digest(MessageDigest digest);

    /** Writes what {@link #digest} takes, as a file holds it. */
    default void write(OutputStream out) throws IOException {
        for (int part = 0; part < parts(); part++) {
            writePart(part, out);
        }
    }

    /** Frees arrays that nobody else has; matrices in fewer bits are left to the collector. */
    void discard();

    /** The number of pieces in which a file may hold it. */
    int parts();

    /** As {@link #write}, but one piece. */
    void writePart(int part, OutputStream out) throws IOException;
}
