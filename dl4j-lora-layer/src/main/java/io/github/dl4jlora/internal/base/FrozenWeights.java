package io.github.dl4jlora.internal.base;

import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.common.Named;
import io.github.dl4jlora.internal.onednn.PackedCopies;
import io.github.dl4jlora.internal.quantized.QuantizedMatrix;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;

/**
 * The frozen parameters of one layer, named by their content: a flat array in DL4J's own order, or {@linkplain #quantized
 * quantised}.
 *
 * <p>id = SHA-256(signature, values), the signature being the data type and the shape of each parameter, the values
 * the array's little-endian bytes. Two layers with equal parameters have equal ids, wherever they come from. Quantised weights
 * have an id of their own, of the scheme, the original's id and what is stored: quantising the same values gives the same id.
 *
 * <p>An array is usually lent: a view of the base network's own parameters, not a copy. {@link #verify} finds out whether
 * somebody has trained, overwritten or closed that network since. Other weights (copies, values from a file, all quantised
 * weights) belong to no network: they are {@linkplain #isOwn own}.
 */
public final class FrozenWeights {

    private static final int DIGITS_SHOWN = 12;

    private final String id;
    private final String signature;
    private final Storage storage;
    private volatile Map<String, PackedCopies> packed = new ConcurrentHashMap<>();
    /** Never read, only held. */
    @SuppressWarnings("UnusedVariable")
    private @Nullable Object siblings;

    private FrozenWeights(INDArray values, String signature, boolean own) {
        this(new ArrayStorage(values, own), signature);
    }

    private FrozenWeights(Storage storage, String signature) {
        this(storage, signature, hash(signature, storage));
    }

    private FrozenWeights(Storage storage, String signature, String id) {
        this.storage = storage;
        this.signature = signature;
        this.id = id;
    }

    /** Weights whose id is taken on trust, so that nothing of them is read; for callers that do not hand them to others. */
    static FrozenWeights claimed(Storage storage, String signature, String id) {
        return new FrozenWeights(storage, signature, id);
    }

    /**
     * @param values flat parameters of the layer, kept as they are (no copy), shape {@code [n]} or {@code [1, n]}
     * @param shapes the layer's parameter table, read for names and shapes
     * @return the weights, hashed and registered in {@link FrozenWeightsRegistry}
     */
    public static FrozenWeights of(INDArray values, Map<String, INDArray> shapes) {
        return FrozenWeightsRegistry.register(unregistered(values, shapes));
    }

    /** As {@link #of}, for an array that no network trains or closes. */
    public static FrozenWeights ofOwn(INDArray values, Map<String, INDArray> shapes) {
        return FrozenWeightsRegistry.register(new FrozenWeights(values, signature(values.dataType(), shapes), true));
    }

    /** As {@link #ofOwn}, but not registered: others find them only once it is known that nothing is wrong with them. */
    public static FrozenWeights unregisteredOwn(INDArray values, Map<String, INDArray> shapes) {
        return new FrozenWeights(values, signature(values.dataType(), shapes), true);
    }

    /**
     * Weights that were read from a file.
     *
     * @param values    flat; nobody else uses them
     * @param signature as {@link #signature()} spells it
     * @param expected  the id that they must have
     * @return the weights, registered; if equal own weights are alive already, those
     * @throws IllegalArgumentException if they have another id
     */
    public static FrozenWeights read(INDArray values, String signature, String expected) {
        return read(new ArrayStorage(values, true), signature, expected);
    }

    /** As {@link #read(INDArray, String, String)}, in any form. */
    static FrozenWeights read(Storage storage, String signature, String expected) {
        FrozenWeights read = new FrozenWeights(storage, signature);
        if (!read.id.equals(expected)) {
            storage.discard();
            throw new IllegalArgumentException("the frozen weights " + expected + " (" + signature + ") hash to " + read.id);
        }
        FrozenWeights alive = read.shared();
        if (alive != read) {
            storage.discard();
        }
        return alive;
    }

    /**
     * A copy in fewer bits. All callers get the same copy as long as any of them holds it.
     *
     * @param parts of the layer, see {@link StoredForm#parts}
     * @throws IllegalArgumentException if these weights are quantised already, or a value is NaN or infinite
     */
    public FrozenWeights quantized(Quantization scheme, List<StoredForm.Part> parts) {
        if (storage.form() != null) {
            throw new IllegalArgumentException("the weights are already kept as " + storage.form().scheme());
        }
        StoredForm form = new StoredForm(scheme, id, parts);
        INDArray values = storage.values(storage.type());
        return new FrozenWeights(QuantizedStorage.of(form, Signature.of(signature), values), signature).shared();
    }

    /** These weights, or equal own weights that somebody holds already. */
    private FrozenWeights shared() {
        return FrozenWeightsRegistry.findOwn(id).orElseGet(() -> FrozenWeightsRegistry.register(this));
    }

    /** Data type and shapes as {@link #signature()} spells them. */
    public static String signature(DataType type, Map<String, INDArray> table) {
        StringBuilder text = new StringBuilder(type.name());
        new TreeMap<>(table).forEach((key, array) ->
                text.append(' ').append(key).append(Arrays.toString(array.shape()).replace(" ", "")));
        return text.toString();
    }

    /** Content id, 64 hexadecimal digits. */
    public String id() {
        return id;
    }

    /** Content id of the original values; {@link #id} unless these weights are quantised. */
    public String baseId() {
        return storage.form() == null ? id : storage.form().baseId();
    }

    /** How the matrices are kept in fewer bits; null if nothing is. */
    public @Nullable Quantization scheme() {
        return storage.form() == null ? null : storage.form().scheme();
    }

    /** How the weights are kept, in words: the scheme, or the data type. */
    public String storedAs() {
        return scheme() == null ? dataType().name() : scheme().name();
    }

    /** What quantised weights were made of; null for others. */
    public @Nullable StoredForm form() {
        return storage.form();
    }

    /** A matrix that is kept in fewer bits, by DL4J's key; null for a parameter that is not. */
    public @Nullable QuantizedMatrix quantized(String key) {
        return storage.quantized(key);
    }

    /** Packed copies of a matrix, by DL4J's key; for networks of FLOAT. */
    public PackedCopies packed(String key) {
        return packed.computeIfAbsent(key, own -> new PackedCopies(() -> !storage.wasClosed() && storage.isUnmoved()));
    }

    /** From now on shares packed copies with other weights, if both are views of the same memory. */
    void sharePacked(FrozenWeights other) {
        if (storage.isAt(other.storage)) {
            packed = other.packed;
        }
    }

    /** Bytes of the packed copies of a matrix that were made so far. */
    long packedBytes(String key) {
        PackedCopies copies = packed.get(key);
        return copies == null ? 0 : copies.bytes();
    }

    /**
     * What quantising lost of a matrix.
     *
     * @param original what these weights were made of
     * @return {@code [length, lines]}, original − restored, an array of its own
     */
    public INDArray lost(FrozenWeights original, String key) {
        return ((QuantizedStorage) storage).lost(original.values(), key);
    }

    /** What quantising lost of each matrix: ‖W − Q(W)‖ / ‖W‖, by key; empty if nothing is quantised. */
    public Map<String, Double> errors() {
        return storage.errors();
    }

    /** All parameters but quantised matrices, by key, in the stock layer's shapes; null if nothing is quantised. */
    public @Nullable Map<String, INDArray> rest(DataType type) {
        return storage.rest(type);
    }

    /** Shapes of all parameters, by key. */
    public Map<String, long[]> shapes() {
        return Signature.of(signature).shapes();
    }

    /** The number of values. */
    public long length() {
        return storage.length();
    }

    /** The type of the original values. */
    public DataType dataType() {
        return storage.type();
    }

    /** Bytes that the values take. */
    public long bytes() {
        return storage.bytes();
    }

    /** Writes the values as a file holds them. */
    public void write(OutputStream out) throws IOException {
        storage.write(out);
    }

    /** The number of pieces in which a file may hold the values. */
    int parts() {
        return storage.parts();
    }

    /** As {@link #write}, but one piece. */
    void writePart(int part, OutputStream out) throws IOException {
        storage.writePart(part, out);
    }

    /** Data type and shapes, for people: {@code FLOAT W[784,256] b[1,256]}. */
    public String signature() {
        return signature;
    }

    /** The values, shape {@code [n]}; not to be written to. If they are quantised, each call makes a new array. */
    public INDArray values() {
        return valuesAs(storage.type());
    }

    /**
     * These weights, if no network trains or closes them; otherwise a copy. All callers get the same copy as long as any of them
     * holds it.
     *
     * @param layer name for the message
     * @throws IllegalStateException if they have changed
     */
    public FrozenWeights copied(String layer) {
        if (isOwn()) {
            return this;
        }
        FrozenWeights alive = FrozenWeightsRegistry.findOwn(id).orElse(null);
        if (alive != null) {
            return alive;
        }
        requireOpen(layer);
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            FrozenWeights copy = new FrozenWeights(values().dup(), signature, true);
            if (!copy.id.equals(id)) {
                throw moved(layer, "id was " + abridged(id) + ", is " + abridged(copy.id));
            }
            return FrozenWeightsRegistry.register(copy);
        }
    }

    /**
     * These weights, or a copy if they are an array that lies in a file, where a write would end the JVM. The copy is findable by
     * the id, too: soon nobody may hold these any more.
     */
    public FrozenWeights inMemory() {
        if (!storage.isInFile()) {
            return this;
        }
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            return FrozenWeightsRegistry.register(new FrozenWeights(new ArrayStorage(values().dup(), true), signature, id));
        }
    }

    /** Whether no network trains or closes the values: they are a copy, or from a file, not a base network's. */
    boolean isOwn() {
        return storage.isOwn();
    }

    /** As {@link #of}, but not registered: they are to be compared first. */
    public static FrozenWeights unregistered(INDArray values, Map<String, INDArray> shapes) {
        return new FrozenWeights(values, signature(values.dataType(), shapes), false);
    }

    /**
     * The values in another data type. All callers share them, unless they are quantised; the id stays that of the original.
     */
    public INDArray valuesAs(DataType type) {
        return storage.values(type);
    }

    /** Ties the other layers of a loaded base to this layer, so that the base is not read again while one of them is in use. */
    void keepAlive(Object others) {
        siblings = others;
    }

    /**
     * @param values frozen weights that a layer is about to compute with
     * @param layer  name for the message
     * @throws IllegalStateException if they were closed, with the base network they are from
     */
    public static void requireOpen(INDArray values, @Nullable String layer) {
        if (values.wasClosed()) {
            throw new IllegalStateException(Named.layer(layer) + ": the base network's weights were closed. A base may only be "
                    + "used for inference while adapted or frozen networks share it: keep it open, give this network another "
                    + "copy of it with LoRA.attach, or adapt with LoRAConfig.copyBase(true)");
        }
    }

    /** As {@link #requireOpen(INDArray, String)}, for these weights. */
    public void requireOpen(@Nullable String layer) {
        if (storage.wasClosed()) {
            requireOpen(storage.values(storage.type()), layer);
        }
    }

    /**
     * Hashes the values again.
     *
     * @param layer name for the message
     * @throws IllegalStateException if they have changed: the base was trained, overwritten or closed
     */
    public void verify(String layer) {
        requireOpen(layer);
        String now = hash(signature, storage);
        if (!now.equals(id)) {
            throw moved(layer, "id was " + abridged(id) + ", is " + abridged(now));
        }
    }

    /**
     * Looks at a few values, where {@link #verify} hashes all of them: cheap enough for every training step.
     *
     * @param layer name for the message
     * @throws IllegalStateException if the base was closed, or one of these values has changed
     */
    public void requireUnmoved(@Nullable String layer) {
        requireOpen(layer);
        if (!storage.isUnmoved()) {
            throw moved(layer, "values differ from those that were hashed to " + abridged(id));
        }
    }

    private static IllegalStateException moved(@Nullable String layer, String how) {
        return new IllegalStateException(Named.layer(layer) + ": the base's weights have changed since the network was adapted "
                + "or the base attached (" + how + "). A base may only be used for inference while adapted or frozen networks "
                + "share it: do not call fit or setParams on it. Attach a copy of the base as it was with LoRA.attach, or adapt "
                + "with LoRAConfig.copyBase(true)");
    }

    /** All 64 digits of two ids would hide the sentence that they are in. */
    private static String abridged(String id) {
        return id.substring(0, Math.min(DIGITS_SHOWN, id.length()));
    }

    /** Whether the values still hash to the id. */
    boolean isIntact() {
        return !storage.wasClosed() && hash(signature, storage).equals(id);
    }

    private static String hash(String signature, Storage storage) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            digest.update(signature.getBytes(StandardCharsets.UTF_8));
            storage.digest(digest);
            return HexFormat.of().formatHex(digest.digest());
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("This JVM has no SHA-256", e);
        }
    }
}
