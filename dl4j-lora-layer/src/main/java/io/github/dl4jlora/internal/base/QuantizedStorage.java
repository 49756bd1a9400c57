package io.github.dl4jlora.internal.base;

import io.github.dl4jlora.internal.quantized.QuantizedMatrix;
import io.github.dl4jlora.internal.untrusted.RawValues;
import org.jspecify.annotations.Nullable;
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
import java.util.Objects;

/** The matrices of a layer in fewer bits, its other parameters as they were; a copy that belongs to no network. */
final class QuantizedStorage implements Storage {

    private final StoredForm form;
    private final Signature signature;
    private final Map<String, QuantizedMatrix> matrices;
    private final Map<String, INDArray> rest;
    private final Map<String, Double> errors;

    /**
     * @param form      of the signature's parameters
     * @param signature of the original values
     * @param matrices  by key
     * @param rest      the other parameters, flat, by key
     * @param errors    of the matrices, by key
     */
    QuantizedStorage(StoredForm form, Signature signature, Map<String, QuantizedMatrix> matrices, Map<String, INDArray> rest,
                     Map<String, Double> errors) {
        this.form = form;
        this.signature = signature;
        this.matrices = matrices;
        this.rest = rest;
        this.errors = errors;
    }

    /**
     * Quantises.
     *
     * @throws IllegalArgumentException if form and signature describe different parameters, or a value is NaN or infinite
     */
    static QuantizedStorage of(StoredForm form, Signature signature, INDArray flat) {
        signature.requireOf(form);
        Map<String, QuantizedMatrix> matrices = new LinkedHashMap<>();
        Map<String, INDArray> rest = new LinkedHashMap<>();
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            intervals(form, flat).forEach((part, values) -> {
                if (part.isQuantized()) {
                    matrices.put(part.key(), QuantizedMatrix.of(form.scheme(), part.lines(), part.length(),
                            new LineReader(columns(part, values))::read));
                } else {
                    rest.put(part.key(), values.dup());
                }
            });
        }
        Map<String, Double> errors = new LinkedHashMap<>();
        matrices.forEach((key, matrix) -> errors.put(key, matrix.relativeError()));
        return new QuantizedStorage(form, signature, matrices, rest, errors);
    }

    /** Each part's values, as views. */
    private static Map<StoredForm.Part, INDArray> intervals(StoredForm form, INDArray flat) {
        Map<StoredForm.Part, INDArray> intervals = new LinkedHashMap<>();
        long at = 0;
        for (StoredForm.Part part : form.parts()) {
            intervals.put(part, flat.get(NDArrayIndex.interval(at, at + part.size())));
            at += part.size();
        }
        return intervals;
    }

    /** {@code [length, lines]}, a view. */
    private static INDArray columns(StoredForm.Part part, INDArray values) {
        return Nd4j.create(values.data(), new long[] {part.length(), part.lines()},
                part.interleaved() ? new long[] {part.lines(), 1} : new long[] {1, part.length()}, values.offset(),
                part.interleaved() ? 'c' : 'f');
    }

    @Override
    public long length() {
        return form.length();
    }

    @Override
    public DataType type() {
        return signature.type();
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
            intervals(form, flat).forEach((part, to) -> {
                if (part.isQuantized()) {
                    matrix(part).restoreInto(to, part.interleaved());
                } else {
                    to.assign(array(part));
                }
            });
            return flat;
        }
    }

    @Override
    public @Nullable QuantizedMatrix quantized(String key) {
        return matrices.get(key);
    }

    private QuantizedMatrix matrix(StoredForm.Part part) {
        return Objects.requireNonNull(matrices.get(part.key()));
    }

    private INDArray array(StoredForm.Part part) {
        return Objects.requireNonNull(rest.get(part.key()));
    }

    /** See {@link FrozenWeights#lost}. */
    INDArray lost(INDArray original, String key) {
        StoredForm.Part part = form.part(key);
        INDArray restored = Nd4j.createUninitialized(original.dataType(), part.size());
        matrix(part).restoreInto(restored, part.interleaved());
        return columns(part, Objects.requireNonNull(intervals(form, original).get(part))).sub(columns(part, restored));
    }

    @Override
    public Map<String, INDArray> rest(DataType asked) {
        Map<String, INDArray> table = new LinkedHashMap<>();
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            rest.forEach((key, values) -> table.put(key, values.castTo(asked).reshape('c', signature.shapes().get(key))));
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
                matrix(part).digest(digest);
            } else {
                RawValues.digest(array(part), digest);
            }
        }
    }

    @Override
    public void discard() {
        rest.values().forEach(INDArray::close);
    }

    @Override
    public int parts() {
        return form.parts().size();
    }

    @Override
    public void writePart(int number, OutputStream out) throws IOException {
        StoredForm.Part part = form.parts().get(number);
        if (part.isQuantized()) {
            matrix(part).write(out);
        } else {
            RawValues.write(array(part), out);
        }
    }
}
