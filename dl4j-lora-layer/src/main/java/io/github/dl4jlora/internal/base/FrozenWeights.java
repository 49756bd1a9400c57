package io.github.dl4jlora.internal.base;

import io.github.dl4jlora.internal.untrusted.RawValues;
import org.nd4j.linalg.api.buffer.DataBuffer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.lang.ref.WeakReference;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.TreeMap;

/**
 * The frozen parameters of one layer: a flat array in DL4J's own order, named by its content.
 *
 * <p>id = SHA-256(signature, values), the signature being the data type and the shape of each parameter, the values
 * the array's little-endian bytes. Two layers with equal parameters have equal ids, wherever they come from.
 *
 * <p>The array is usually lent: a view of the base network's own parameters, not a copy. {@link #verify} finds out whether
 * somebody has trained, overwritten or closed that network since. Of others no network has hold (copies, what a file held):
 * these are {@linkplain #isOwn own}.
 */
public final class FrozenWeights {

    private final String id;
    private final String signature;
    private final INDArray values;
    private final boolean own;
    private final BaseProbe probe;
    /** Weakly, by the buffer, which any view holds: layers keep what they compute with, and it goes with the last of them. */
    private final Map<DataType, WeakReference<DataBuffer>> casts = new EnumMap<>(DataType.class);
    private Object siblings;

    private FrozenWeights(INDArray values, String signature, boolean own) {
        this.values = values.reshape(values.length());
        this.id = hash(signature, this.values);
        this.signature = signature;
        this.own = own;
        this.probe = new BaseProbe(this.values);
    }

    /**
     * @param values flat parameters of the layer, kept as they are (no copy), shape {@code [n]} or {@code [1, n]}
     * @param shapes the layer's parameter table, read for names and shapes
     * @return the weights, hashed and registered in {@link FrozenWeightsRegistry}
     */
    public static FrozenWeights of(INDArray values, Map<String, INDArray> shapes) {
        return FrozenWeightsRegistry.register(unregistered(values, shapes));
    }

    /** As {@link #of}, of an array that no network trains or closes. */
    public static FrozenWeights ofOwn(INDArray values, Map<String, INDArray> shapes) {
        return FrozenWeightsRegistry.register(new FrozenWeights(values, signature(values.dataType(), shapes), true));
    }

    /**
     * Weights that were read from a file.
     *
     * @param values    flat, in nobody else's hands
     * @param signature as {@link #signature()} spells it
     * @param expected  the id that they are to have
     * @return the weights, registered; where equal ones of that kind are alive already, these
     * @throws IllegalArgumentException if they have another id
     */
    public static FrozenWeights read(INDArray values, String signature, String expected) {
        FrozenWeights read = new FrozenWeights(values, signature, true);
        if (!read.id.equals(expected)) {
            values.close();
            throw new IllegalArgumentException("the frozen weights " + expected + " (" + signature + ") hash to " + read.id);
        }
        FrozenWeights alive = FrozenWeightsRegistry.findOwn(expected).orElse(null);
        if (alive != null) {
            values.close();
            return alive;
        }
        return FrozenWeightsRegistry.register(read);
    }

    /** Data type and shapes as {@link #signature()} spells them. */
    public static String signature(DataType type, Map<String, INDArray> table) {
        StringBuilder text = new StringBuilder(type.name());
        new TreeMap<>(table).forEach((key, array) ->
                text.append(' ').append(key).append(Arrays.toString(array.shape()).replace(" ", "")));
        return text.toString();
    }

    /** The shapes of a signature, without the data type. */
    static String shapes(String signature) {
        return signature.substring(signature.indexOf(' ') + 1);
    }

    /** Content id, 64 hexadecimal digits. */
    public String id() {
        return id;
    }

    /** Data type and shapes, for people: {@code FLOAT W[784,256] b[1,256]}. */
    public String signature() {
        return signature;
    }

    /** The values, shape {@code [n]}; not to be written to. */
    public INDArray values() {
        return values;
    }

    /**
     * These, if no network trains or closes them; else a copy of them, one for all who ask while somebody has it.
     *
     * @param layer name for the message
     * @throws IllegalStateException if they are not what they were
     */
    public FrozenWeights copied(String layer) {
        if (own) {
            return this;
        }
        FrozenWeights alive = FrozenWeightsRegistry.findOwn(id).orElse(null);
        if (alive != null) {
            return alive;
        }
        requireOpen(values, layer);
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            FrozenWeights copy = new FrozenWeights(values.dup(), signature, true);
            if (!copy.id.equals(id)) {
                throw moved(layer, "id was " + id + ", is " + copy.id);
            }
            return FrozenWeightsRegistry.register(copy);
        }
    }

    /** Whether no network trains or closes the values: they are a copy, or from a file, not a base network's. */
    boolean isOwn() {
        return own;
    }

    /** As {@link #of}, but not registered: to be compared first. */
    public static FrozenWeights unregistered(INDArray values, Map<String, INDArray> shapes) {
        return new FrozenWeights(values, signature(values.dataType(), shapes), false);
    }

    /**
     * The values in another data type, which all who have hold of them share; the id stays that of the original.
     */
    public synchronized INDArray valuesAs(DataType type) {
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

    /** Ties the other layers of a loaded base to this one, so that the base is not read again while one is in use. */
    void keepAlive(Object others) {
        siblings = others;
    }

    /**
     * @param values frozen weights that a layer is about to compute with
     * @param layer  name for the message
     * @throws IllegalStateException if they were closed, with the base network they are from
     */
    public static void requireOpen(INDArray values, String layer) {
        if (values.wasClosed()) {
            throw new IllegalStateException("Layer \"" + layer + "\": the base network's weights were closed. A base is for "
                    + "inference while adapted or frozen networks stand on it: keep it open, give this network another copy "
                    + "of it with LoRA.attach, or adapt with LoRAConfig.copyBase(true).");
        }
    }

    /**
     * Hashes the values again.
     *
     * @param layer name for the message
     * @throws IllegalStateException if they are not what they were: the base was trained, overwritten or closed
     */
    public void verify(String layer) {
        requireOpen(values, layer);
        String now = hash(signature, values);
        if (!now.equals(id)) {
            throw moved(layer, "id was " + id + ", is " + now);
        }
    }

    /**
     * A look at a few values in place of {@link #verify}: cheap enough for every training step.
     *
     * @param layer name for the message
     * @throws IllegalStateException if the base was closed, or one of these values is not what it was
     */
    public void requireUnmoved(String layer) {
        requireOpen(values, layer);
        // On a device each look would wait for a copy.
        if (Nd4j.getBackend().getEnvironment().isCPU() && !probe.isUnmoved()) {
            throw moved(layer, "values differ from those that were hashed to " + id);
        }
    }

    private static IllegalStateException moved(String layer, String how) {
        return new IllegalStateException("Layer \"" + layer + "\": the base's weights have changed since the adapter was "
                + "attached (" + how + "). A base is for inference while adapted or frozen networks stand on it: do not call "
                + "fit or setParams on it. Attach a copy of the base as it was with LoRA.attach, or adapt with "
                + "LoRAConfig.copyBase(true).");
    }

    /** Whether the values still hash to the id. */
    boolean isIntact() {
        return !values.wasClosed() && hash(signature, values).equals(id);
    }

    private static String hash(String signature, INDArray flat) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            digest.update(signature.getBytes(StandardCharsets.UTF_8));
            RawValues.digest(flat, digest);
            return HexFormat.of().formatHex(digest.digest());
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("This JVM has no SHA-256", e);
        }
    }
}
