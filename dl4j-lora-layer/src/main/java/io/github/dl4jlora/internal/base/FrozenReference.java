package io.github.dl4jlora.internal.base;

import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.exception.FrozenWeightsMissingException;
import io.github.dl4jlora.internal.common.Named;
import io.github.dl4jlora.internal.common.UriSecrets;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.annotation.JsonIgnore;
import org.nd4j.shade.jackson.annotation.JsonInclude;
import org.nd4j.shade.jackson.annotation.JsonProperty;

import java.io.Serializable;
import java.net.URI;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Supplier;

/**
 * What a layer configuration says about its frozen weights: id, signature and, on request, where the base can be
 * loaded from. Only these go into JSON. The weights themselves are looked for in this order: the live reference, the base
 * location if it has been read, the {@link FrozenWeightsRegistry}, the base location.
 *
 * <p>One reference of an adapted network also records what the base holds for the layers that train in full: those are DL4J's own
 * layers, whose configurations have no room for it.
 */
public final class FrozenReference implements Serializable {

    private static final long serialVersionUID = 1L;

    private static final String UNHASHED = "(not hashed)";

    private final String id;
    private final String signature;
    private final @Nullable URI baseLocation;
    /** Whether the weights must be such that no network trains or closes them. */
    private final boolean own;
    @JsonInclude(JsonInclude.Include.NON_NULL)
    private final @Nullable Map<String, FrozenReference> trainedInFull;
    @JsonInclude(JsonInclude.Include.NON_NULL)
    private final @Nullable StoredForm form;
    private volatile boolean packed;
    private transient volatile @Nullable FrozenWeights weights;

    /**
     * @param own           see {@link #isOwn}
     * @param trainedInFull see {@link #getTrainedInFull}
     * @param form          see {@link #getForm}
     * @param packed        see {@link #isPacked}
     * @throws IllegalArgumentException if id or signature is null, or a layer is recorded without a reference
     */
    public FrozenReference(@JsonProperty("id") String id, @JsonProperty("signature") String signature,
                           @JsonProperty("baseLocation") @Nullable URI baseLocation, @JsonProperty("own") boolean own,
                           @JsonProperty("trainedInFull") @Nullable Map<String, FrozenReference> trainedInFull,
                           @JsonProperty("form") @Nullable StoredForm form, @JsonProperty("packed") boolean packed) {
        if (id == null || signature == null || trainedInFull != null && trainedInFull.containsValue(null)) {
            throw new IllegalArgumentException("A reference to frozen weights is damaged: its id is " + id + ", its signature "
                    + signature + ", and it records " + trainedInFull + ". Restore the configuration from its file, or adapt "
                    + "the base again");
        }
        this.id = id;
        this.signature = signature;
        this.baseLocation = baseLocation;
        this.own = own;
        this.trainedInFull = trainedInFull == null ? null : new LinkedHashMap<>(trainedInFull);
        this.form = form;
        this.packed = packed;
    }

    /** A reference that is already bound. */
    public static FrozenReference to(FrozenWeights weights, @Nullable URI baseLocation) {
        FrozenReference reference = new FrozenReference(weights.id(), weights.signature(), baseLocation, weights.isOwn(),
                null, weights.form(), false);
        reference.weights = weights;
        return reference;
    }

    /**
     * A reference to weights of which only type and shapes are known: they have not been hashed, and cannot be found.
     *
     * @param table of the layer's parameters, read for names and shapes
     */
    public static FrozenReference unhashed(DataType type, Map<String, INDArray> table) {
        return new FrozenReference(UNHASHED, FrozenWeights.signature(type, table), null, false, null, null, false);
    }

    /** The same reference to weights in fewer bits. */
    public FrozenReference planned(Quantization scheme, List<StoredForm.Part> parts) {
        return new FrozenReference(UNHASHED, signature, null, true, null, new StoredForm(scheme, id, parts), packed);
    }

    /** The same reference, not bound to any weights: what is done with it changes nothing that runs. */
    public FrozenReference unbound() {
        return new FrozenReference(id, signature, baseLocation, own, trainedInFull, form, packed);
    }

    /** The same reference, which also records what the base holds for layers that train in full, by name. */
    public FrozenReference recording(Map<String, FrozenReference> trained) {
        FrozenReference recording = new FrozenReference(id, signature, baseLocation, own, trained, form, packed);
        recording.weights = weights;
        return recording;
    }

    /** Content id, 64 hexadecimal digits. */
    public String getId() {
        return id;
    }

    /** What quantised weights were made of, and how; null for an array. */
    public @Nullable StoredForm getForm() {
        return form;
    }

    /** Whether products use packed copies of the matrices, where oneDNN has them. */
    @JsonInclude(JsonInclude.Include.NON_DEFAULT)
    public boolean isPacked() {
        return packed;
    }

    /** Lets products use packed copies from now on. */
    public void pack() {
        packed = true;
    }

    /** How the weights are kept in fewer bits; null for an array. */
    public @Nullable Quantization scheme() {
        return form == null ? null : form.scheme();
    }

    /** How the weights are kept, in words: the scheme, or the data type; and whether they are packed. */
    public String storedAs() {
        String kept = form == null ? signature.substring(0, Math.max(0, signature.indexOf(' '))) : form.scheme().name();
        return packed ? kept + ", packed" : kept;
    }

    /** Content id of the original values; {@link #getId} if they are not quantised. */
    public String baseId() {
        return form == null ? id : form.baseId();
    }

    /** Bytes of a parameter's values as they are kept, and of packed copies that were made, without looking at them. */
    public long bytes(String key) {
        Signature of = Signature.of(signature);
        return (form == null ? of.bytes(key) : form.part(key).bytes(form.scheme(), of.type())) + packedBytes(key);
    }

    /** The same of all values. */
    public long bytes() {
        return new StoredWeights(signature, form, Map.of()).bytes()
                + Signature.of(signature).shapes().keySet().stream().mapToLong(this::packedBytes).sum();
    }

    /** Of packed copies of a matrix that were made so far. */
    private long packedBytes(String key) {
        FrozenWeights here = weights;
        return here == null || !packed ? 0 : here.packedBytes(key);
    }

    /** What quantising lost of each matrix, see {@link FrozenWeights#errors}; empty also if the weights are not here. */
    public Map<String, Double> errors() {
        FrozenWeights here = resolveHere();
        return here == null ? Map.of() : here.errors();
    }

    /**
     * The base's own weights in the form that this reference needs.
     *
     * @param original whose id the caller has compared with {@link #baseId}
     */
    public FrozenWeights formed(FrozenWeights original) {
        return form == null || original.form() != null ? original : original.quantized(form.scheme(), form.parts());
    }

    /** Data type and shapes, see {@link FrozenWeights#signature()}. */
    public String getSignature() {
        return signature;
    }

    /** Where the base can be loaded from, without user info and query, which may be secrets; null if not recorded. */
    public @Nullable URI getBaseLocation() {
        return baseLocation == null ? null : UriSecrets.without(baseLocation);
    }

    /**
     * Whether the weights were a copy ({@code copyBase}), or otherwise did not belong to a base network. Then weights that are
     * found by content are copied before this refers to them.
     */
    @JsonInclude(JsonInclude.Include.NON_DEFAULT)
    public boolean isOwn() {
        return own;
    }

    /**
     * What the base holds for the layers that train in full, by name. Empty if no layer did when the network was adapted; null if
     * another reference of the network records this, or none does.
     */
    public @Nullable Map<String, FrozenReference> getTrainedInFull() {
        return trainedInFull == null ? null : Collections.unmodifiableMap(trainedInFull);
    }

    /** Whether this refers to weights of the same shapes as a signature's, in the same or another data type. */
    public boolean hasShapesOf(String otherSignature) {
        return shapes(signature).equals(shapes(otherSignature));
    }

    private static String shapes(String signature) {
        return signature.substring(signature.indexOf(' ') + 1);
    }

    /**
     * What may be bound for weights whose id the caller has compared with {@link #getId}.
     *
     * @param layer name for the message
     * @return the weights, findable by their id from now on; a copy of them if they must be {@linkplain #isOwn own}
     */
    public FrozenWeights admit(FrozenWeights found, String layer) {
        return own ? found.copied(layer) : FrozenWeightsRegistry.register(found);
    }

    /** Binds weights that were {@linkplain #admit admitted}. */
    public void bind(FrozenWeights admitted) {
        weights = admitted;
    }

    /**
     * Binds weights that were read from a file, also to the references that this one records; those that the file lacks are
     * looked for in this JVM.
     *
     * @param verified own weights that hash to their ids, by these
     */
    public void bindAny(Map<String, FrozenWeights> verified) {
        FrozenWeights found = verified.get(id);
        if (trainedInFull != null) {
            trainedInFull.values().forEach(recorded -> recorded.bindAny(verified));
        }
        if (found != null) {
            weights = found;
        } else {
            resolveHere();
        }
    }

    /**
     * @return the weights; null if this JVM does not have them yet; the base location is not read, so that a network can be
     *         restored, and attached, even if nobody answers there
     */
    private @Nullable FrozenWeights resolveHere() {
        FrozenWeights found = weights;
        if (found == null && baseLocation != null) {
            // Nobody else can change these, so they need not be hashed again, as those of the registry do.
            found = BaseLocation.alreadyLoaded(baseLocation, this);
        }
        if (found == null) {
            found = FrozenWeightsRegistry.find(id).map(alive -> own ? alive.copied(signature) : alive).orElse(null);
        }
        if (found != null) {
            if (weights == null && trainedInFull != null) {
                // Nobody else holds these, and the registry holds them weakly.
                trainedInFull.values().forEach(FrozenReference::resolveHere);
            }
            // Never writes null over weights that another thread has bound meanwhile, through a clone that shares this reference.
            weights = found;
        }
        return found;
    }

    /** The weights that were last looked up or bound; null before that. It is another object once others have been bound. */
    public @Nullable FrozenWeights bound() {
        return weights;
    }

    /**
     * Whether this JVM has the weights; this is not part of the configuration in JSON. A base location that has not been read is
     * not asked.
     */
    @JsonIgnore
    public boolean isHere() {
        return resolveHere() != null;
    }

    /**
     * @param layer name for the message
     * @return the weights
     * @throws FrozenWeightsMissingException if they cannot be found
     */
    public FrozenWeights require(@Nullable String layer) {
        FrozenWeights found = resolveHere();
        if (found == null && baseLocation != null) {
            found = BaseLocation.load(baseLocation, this);
            weights = found;
        }
        if (found == null) {
            throw new FrozenWeightsMissingException(layer, id);
        }
        return found;
    }

    /**
     * If the weights are not here, computes them again.
     *
     * @param derivation may yield other weights: the ids are compared
     * @return whether they are here now
     */
    public boolean bindOr(Supplier<FrozenWeights> derivation) {
        if (resolveHere() == null) {
            FrozenWeights derived = derivation.get();
            if (!derived.id().equals(id)) {
                return false;
            }
            weights = derived;
        }
        return true;
    }

    /**
     * As {@link #values}, but in whatever form they are kept.
     */
    public FrozenWeights weights(@Nullable String layer, long length) {
        return requireLength(require(layer), layer, length);
    }

    /**
     * @param layer  name for the message
     * @param length how many parameters the layer has
     * @return the values in the data type, shape {@code [length]}
     * @throws FrozenWeightsMissingException if they cannot be found
     * @throws IllegalStateException         if their number differs from that, or if they were closed
     */
    public INDArray values(@Nullable String layer, DataType type, long length) {
        return weights(layer, length).valuesAs(type);
    }

    /**
     * Takes hold of the weights if they are here, so that they stay. Layers call it before they make arrays of that
     * length.
     *
     * @return whether they are here
     * @throws IllegalStateException if the weights are here and their number differs from that
     */
    public boolean takeHold(@Nullable String layer, long length) {
        FrozenWeights here = resolveHere();
        return here != null && requireLength(here, layer, length) != null;
    }

    /**
     * A quick look at the weights, if they are here, for running layers, once per training step. See {@link BaseProbe}.
     *
     * @param layer name for the message
     * @throws IllegalStateException if the base was closed, or has changed at one of a few places
     */
    public void requireUnmoved(@Nullable String layer) {
        FrozenWeights found = weights;
        if (found != null) {
            found.requireUnmoved(layer);
        }
    }

    private static FrozenWeights requireLength(FrozenWeights found, @Nullable String layer, long length) {
        if (found.length() != length) {
            throw new IllegalStateException(Named.layer(layer) + ": its configuration asks for " + length + " frozen values, "
                    + "but refers to " + found.signature() + ". The configuration is damaged: restore it from its file, or adapt "
                    + "the base again");
        }
        found.requireOpen(layer);
        return found;
    }

    @Override
    public boolean equals(@Nullable Object other) {
        return other instanceof FrozenReference that && Objects.equals(id, that.id);
    }

    @Override
    public int hashCode() {
        return Objects.hashCode(id);
    }

    @Override
    public String toString() {
        return signature + " " + id;
    }
}
