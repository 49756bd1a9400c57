package io.github.dl4jlora.internal.base;

import io.github.dl4jlora.internal.common.GuardedBy;
import io.github.dl4jlora.internal.quantized.QuantizedMatrix;
import io.github.dl4jlora.internal.untrusted.RawValues;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataBuffer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.io.OutputStream;
import java.lang.ref.WeakReference;
import java.security.MessageDigest;
import java.util.EnumMap;
import java.util.Map;

/** Values as they are: a view of a base network's values, a copy, or a file's values. */
final class ArrayStorage implements Storage {

    private final INDArray values;
    private final boolean own;
    /** Null where nothing can move. */
    private final @Nullable BaseProbe probe;
    /**
     * Held weakly, by the buffer, which any view holds: layers keep the cast that they compute with, and it goes with the last
     * of them.
     */
    @GuardedBy("this")
    private final Map<DataType, WeakReference<DataBuffer>> casts = new EnumMap<>(DataType.class);

    /**
     * @param values flat
     * @param own    whether no network trains or closes them
     */
    ArrayStorage(INDArray values, boolean own) {
        this(flat(values), own, new BaseProbe(flat(values)));
    }

    /** The array itself if it is flat: only the array itself, not a view, can give memory back. */
    private static INDArray flat(INDArray values) {
        return values.rank() == 1 ? values : values.reshape(values.length());
    }

    private ArrayStorage(INDArray values, boolean own, @Nullable BaseProbe probe) {
        this.values = values;
        this.own = own;
        this.probe = probe;
    }

    /**
     * Values that nobody can write to; none of them is read here.
     *
     * @param values shape {@code [n]}
     */
    static ArrayStorage mapped(INDArray values) {
        return new ArrayStorage(values, true, null);
    }

    @Override
    public long length() {
        return values.length();
    }

    @Override
    public DataType type() {
        return values.dataType();
    }

    @Override
    public long bytes() {
        return values.length() * values.dataType().width();
    }

    @Override
    public boolean isOwn() {
        return own;
    }

    @Override
    public boolean wasClosed() {
        return values.wasClosed();
    }

    @Override
    public boolean isUnmoved() {
        // On a device each look would wait for a copy.
        return probe == null || !Nd4j.getBackend().getEnvironment().isCPU() || probe.isUnmoved();
    }

    @Override
    public boolean isInFile() {
        return probe == null;
    }

    @Override
    public boolean isAt(Storage other) {
        return other instanceof ArrayStorage that && !wasClosed() && !that.wasClosed() && length() == that.length()
                && type() == that.type() && values.data().address() == that.values.data().address();
    }

    @Override
    public synchronized INDArray values(DataType type) {
        if (type == values.dataType()) {
            return values;
        }
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            WeakReference<DataBuffer> before = casts.get(type);
            DataBuffer alive = before == null ? null : before.get();
            if (alive != null && !alive.wasClosed()) {
                return Nd4j.create(alive, values.length());
            }
            INDArray cast = values.castTo(type);
            casts.put(type, new WeakReference<>(cast.data()));
            return cast;
        }
    }

    @Override
    public @Nullable QuantizedMatrix quantized(String key) {
        return null;
    }

    @Override
    public @Nullable Map<String, INDArray> rest(DataType type) {
        return null;
    }

    @Override
    public @Nullable StoredForm form() {
        return null;
    }

    @Override
    public Map<String, Double> errors() {
        return Map.of();
    }

    @Override
    public void digest(MessageDigest digest) {
        RawValues.digest(values, digest);
    }

    @Override
    public void discard() {
        values.close();
    }

    @Override
    public int parts() {
        return 1;
    }

    @Override
    public void writePart(int part, OutputStream out) throws IOException {
        RawValues.write(values, out);
    }
}
