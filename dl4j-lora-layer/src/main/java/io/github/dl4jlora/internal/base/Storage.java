package io.github.dl4jlora.internal.base;

import io.github.dl4jlora.internal.quantized.QuantizedMatrix;
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

    /** Whether a quick look finds them as they were. */
    boolean isUnmoved();

    /** Whether it is an array in a file that is mapped, where a write would end the JVM. */
    default boolean isInFile() {
        return false;
    }

    /** All values, flat; the array itself where they are one, not to be written to. */
    INDArray values(DataType type);

    /** A matrix that is kept in fewer bits; null for a parameter that is not. */
    QuantizedMatrix quantized(String key);

    /** What is no quantised matrix, by key, each in the shape of the signature; null where nothing is quantised. */
    Map<String, INDArray> rest(DataType type);

    /** What it was made of; null for an array. */
    StoredForm form();

    /** See {@link FrozenWeights#errors}. */
    Map<String, Double> errors();

    /** All that makes up its content. */
    void digest(MessageDigest digest);

    /** What {@link #digest} takes, as a file holds it. */
    default void write(OutputStream out) throws IOException {
        for (int part = 0; part < parts(); part++) {
            writePart(part, out);
        }
    }

    /** Gives arrays back that nobody else has; matrices in fewer bits are the collector's. */
    void discard();

    /** In how many pieces a file may hold it. */
    int parts();

    /** As {@link #write}, one piece. */
    void writePart(int part, OutputStream out) throws IOException;
}
