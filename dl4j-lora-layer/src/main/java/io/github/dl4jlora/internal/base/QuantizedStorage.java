package io.github.dl4jlora.internal.base;

import io.github.dl4jlora.internal.quantized.QuantizedMatrix;
import io.github.dl4jlora.internal.untrusted.RawValues;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.NoSuchElementException;

/** The matrices of a layer in fewer bits, whatever else it has as it was; a copy in nobody's hands. */
final class QuantizedStorage implements Storage {

    private final StoredForm form;
    private final DataType type;
    private final Map<String, long[]> shapes;
    private final Map<String, QuantizedMatrix> matrices;
    private final Map<String, INDArray> rest;
    private final Map<String, Double> errors;

    /**
     * @param type     of the original values
     * @param shapes   of all parameters, by key
     * @param matrices by key
     * @param rest     the other parameters, flat, by key
     * @param errors   of the matrices, by key
     * @throws IllegalArgumentException if shapes and form tell of different parameters
     */
    QuantizedStorage(StoredForm form, DataType type, Map<String, long[]> shapes, Map<String, QuantizedMatrix> matrices,
                     Map<String, INDArray> rest, Map<String, Double> errors) {
        this.form = form;
        this.type = type;
        this.shapes = shapes;
        this.matrices = matrices;
        this.rest = rest;
        this.errors = errors;
        requireLikeShapes(form, shapes);
    }

    /** @throws IllegalArgumentException if shapes and form tell of different parameters */
    static void requireLikeShapes(StoredForm form, Map<String, long[]> shapes) {
        boolean alike = form.parts().size() == shapes.size()
                && form.parts().stream().map(StoredForm.Part::key).distinct().count() == shapes.size()
                && form.parts().stream().allMatch(part ->
                shapes.containsKey(part.key()) && part.size() == product(shapes.get(part.key())));
        if (!alike) {
            throw new IllegalArgumentException("quantised weights of the parts " + form.parts() + " are not of the parameters "
                    + shapes.keySet());
        }
    }

    static long product(long[] shape) {
        long size = 1;
        for (long side : shape) {
            size = Math.multiplyExact(size, side);
        }
        return size;
    }

    /** Quantises. */
    static QuantizedStorage of(StoredForm form, Map<String, long[]> shapes, INDArray flat) {
        Map<String, QuantizedMatrix> matrices = new LinkedHashMap<>();
        Map<String, INDArray> rest = new LinkedHashMap<>();
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            long at = 0;
            for (StoredForm.Part part : form.parts()) {
                INDArray values = interval(flat, at, part.size());
                if (part.isQuantized()) {
                    matrices.put(part.key(), QuantizedMatrix.of(form.scheme(), part.lines(), part.length(),
                            new LineReader(columns(part, values))::read));
                } else {
                    rest.put(part.key(), values.dup());
                }
                at += part.size();
            }
        }
        Map<String, Double> errors = new LinkedHashMap<>();
        matrices.forEach((key, matrix) -> errors.put(key, matrix.relativeError()));
        return new QuantizedStorage(form, flat.dataType(), shapes, matrices, rest, errors);
    }

    /** {@code [length, lines]}, a view. */
    private static INDArray columns(StoredForm.Part part, INDArray values) {
        return Nd4j.create(values.data(), new long[] {part.length(), part.lines()},
                part.interleaved() ? new long[] {part.lines(), 1} : new long[] {1, part.length()}, values.offset(),
                part.interleaved() ? 'c' : 'f');
    }

    private static INDArray interval(INDArray flat, long from, long length) {
        return flat.get(NDArrayIndex.interval(from, from + length));
    }

    @Override
    public long length() {
        return form.length();
    }

    @Override
    public DataType type() {
        return type;
    }

    @Override
    public long bytes() {
        return matrices.values().stream().mapToLong(QuantizedMatrix::bytes).sum()
                + rest.values().stream().mapToLong(array -> array.length() * array.dataType().width()).sum();
    }

    @Override
    public boolean isOwn() {
        return true;
    }

    @Override
    public boolean wasClosed() {
        return false;
    }

    @Override
    public boolean isUnmoved() {
        return true;
    }

    @Override
    public INDArray values(DataType asked) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            INDArray flat = Nd4j.createUninitialized(asked, length());
            long at = 0;
            for (StoredForm.Part part : form.parts()) {
                INDArray to = interval(flat, at, part.size());
                if (part.isQuantized()) {
                    matrices.get(part.key()).restoreInto(to, part.interleaved());
                } else {
                    to.assign(rest.get(part.key()));
                }
                at += part.size();
            }
            return flat;
        }
    }

    @Override
    public QuantizedMatrix quantized(String key) {
        return matrices.get(key);
    }

    /** See {@link FrozenWeights#lost}. */
    INDArray lost(INDArray original, String key) {
        long at = 0;
        for (StoredForm.Part part : form.parts()) {
            if (part.key().equals(key)) {
                INDArray columns = columns(part, interval(original, at, part.size()));
                INDArray restored = Nd4j.createUninitialized(original.dataType(), part.size());
                matrices.get(key).restoreInto(restored, part.interleaved());
                return columns.sub(columns(part, restored));
            }
            at += part.size();
        }
        throw new NoSuchElementException(key);
    }

    @Override
    public Map<String, INDArray> rest(DataType asked) {
        Map<String, INDArray> table = new LinkedHashMap<>();
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            rest.forEach((key, values) -> table.put(key, values.castTo(asked).reshape('c', shapes.get(key))));
        }
        return table;
    }

    @Override
    public StoredForm form() {
        return form;
    }

    @Override
    public Map<String, Double> errors() {
        return errors;
    }

    @Override
    public void digest(MessageDigest digest) {
        digest.update(form.text().getBytes(StandardCharsets.UTF_8));
        for (StoredForm.Part part : form.parts()) {
            if (part.isQuantized()) {
                matrices.get(part.key()).digest(digest);
            } else {
                RawValues.digest(rest.get(part.key()), digest);
            }
        }
    }

    @Override
    public int parts() {
        return form.parts().size();
    }

    @Override
    public void writePart(int number, OutputStream out) throws IOException {
        StoredForm.Part part = form.parts().get(number);
        if (part.isQuantized()) {
            matrices.get(part.key()).write(out);
        } else {
            RawValues.write(rest.get(part.key()), out);
        }
    }
}
