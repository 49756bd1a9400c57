package io.github.dl4jlora.internal.untrusted;

import org.nd4j.common.primitives.Triple;
import org.nd4j.linalg.api.buffer.BaseDataBuffer;
import org.nd4j.linalg.api.buffer.DataBuffer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.compression.CompressedDataBuffer;
import org.nd4j.linalg.factory.Nd4j;

import java.io.DataInputStream;
import java.io.IOException;

/**
 * A vector as {@code Nd4j.write} writes it: shape information, then values, a header before each. Unlike
 * {@code Nd4j.read} it believes no header: the length is known beforehand, and the shape information, whose strides
 * would say where in memory to look, is skipped.
 */
public final class StoredVector {

    /** Of ND4J's shape information: rank, shape, strides, three more, for at most 32 dimensions. */
    private static final long LONGEST_SHAPE = 2 * 32 + 4;

    private StoredVector() {
    }

    /**
     * @param length    how many values there must be
     * @param mostBytes how many bytes of them the source can hold
     * @return shape {@code [1, length]}
     * @throws IOException if the headers say otherwise, before anything is allocated, or if the values end early or go on
     */
    static INDArray read(DataInputStream in, long length, long mostBytes) throws IOException {
        Triple<DataBuffer.AllocationMode, Long, DataType> shape = header(in);
        if (shape.getMiddle() < 0 || shape.getMiddle() > LONGEST_SHAPE) {
            throw new IOException("its shape takes " + shape.getMiddle() + " numbers");
        }
        in.skipNBytes(shape.getMiddle() * shape.getRight().width());
        Triple<DataBuffer.AllocationMode, Long, DataType> values = header(in);
        DataType type = values.getRight();
        if (!type.isFPType() || values.getMiddle() != length) {
            throw new IOException("it declares " + values.getMiddle() + " values of type " + type
                    + ", but the configuration asks for " + length + " floating-point values");
        }
        if (length > mostBytes / type.width()) {
            throw new IOException(length + " values of type " + type + " would expand the file's entry far more than trained "
                    + "weights do");
        }
        DataBuffer content = CompressedDataBuffer.readUnknown(in, values.getLeft(), length, type);
        boolean ended = false;
        try {
            ended = in.read() < 0;
        } finally {
            if (!ended) {
                content.close();
            }
        }
        if (!ended) {
            throw new IOException("its values are followed by more than belongs to them");
        }
        return Nd4j.create(content, 1, length);
    }

    private static Triple<DataBuffer.AllocationMode, Long, DataType> header(DataInputStream in) throws IOException {
        try {
            return BaseDataBuffer.readHeader(in);
        } catch (RuntimeException e) {
            throw new IOException("it has no header of an array", e);
        }
    }
}
