package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.internal.content.AdapterContent;
import io.github.dl4jlora.internal.content.Kind;
import io.github.dl4jlora.variant.Variant;
import org.jspecify.annotations.Nullable;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;

/**
 * Where an adapter comes from, and what else PEFT's configuration has no field for: the metadata of a file's tensors. Files of
 * other programs do not have it.
 *
 * @param metadata by key
 */
public record Provenance(Map<String, String> metadata) {

    /** What safetensors calls PyTorch's orientation. */
    private static final String FRAMEWORK = "format";
    private static final String FORMAT = "dl4j_lora.format";
    private static final String FORMAT_VERSION = "1";
    private static final String WRITTEN_BY = "dl4j_lora.version";
    private static final String CONFIG = "dl4j_lora.adapter_config";
    private static final String VARIANT = "dl4j_lora.variant";
    private static final String INIT = "dl4j_lora.init";
    /** How a layer started that is stored as a plain one of twice the rank. */
    private static final String DOUBLED = "dl4j_lora.doubled.";
    private static final String SCALING = "dl4j_lora.scaling.";
    private static final String ALPHA = "dl4j_lora.alpha.";
    private static final String BASE_ID = "dl4j_lora.base.";
    private static final String STORED_AS = "dl4j_lora.stored.";
    private static final String CUT = "dl4j_lora.cut.";
    /** Says that modules trained in full have PyTorch's names and shapes, except those whose names follow {@link #OWN}. */
    private static final String NAMES = "dl4j_lora.names";
    private static final String TORCH = "torch";
    private static final String OWN = "dl4j_lora.own.";
    private static final String IN_BY_OUT = "dl4j_lora.in_by_out.";

    /** @param config the text of {@code adapter_config.json} */
    static Provenance of(PeftForm form, byte[] config) {
        AdapterContent adapter = form.adapter();
        Map<String, String> metadata = new LinkedHashMap<>();
        metadata.put(FRAMEWORK, "pt");
        metadata.put(FORMAT, FORMAT_VERSION);
        metadata.put(WRITTEN_BY, PluginVersion.get());
        metadata.put(CONFIG, new String(config, StandardCharsets.UTF_8));
        Kind first = adapter.deltas().values().iterator().next().kind();
        metadata.put(VARIANT, first.variant().name());
        metadata.put(INIT, first.init().name());
        adapter.deltas().forEach((name, delta) -> {
            Kind kind = delta.kind();
            if (!kind.variant().equals(first.variant())) {
                metadata.put(VARIANT + "." + name, kind.variant().name());
            }
            if (kind.init() != first.init()) {
                metadata.put(INIT + "." + name, kind.init().name());
            }
            metadata.put(SCALING + name, delta.scaling().name());
            metadata.put(ALPHA + name, Double.toString(delta.alpha()));
            if (delta.baseId() != null) {
                metadata.put(BASE_ID + name, delta.baseId());
            }
            if (delta.storedAs() != null) {
                metadata.put(STORED_AS + name, delta.storedAs());
            }
            if (delta.cut()) {
                metadata.put(CUT + name, "");
            }
            if (delta.layout().inByOut()) {
                metadata.put(IN_BY_OUT + name, TORCH);
            }
        });
        metadata.put(NAMES, TORCH);
        adapter.own().forEach(name -> metadata.put(OWN + name, ""));
        form.doubled().forEach((name, kind) -> metadata.put(DOUBLED + name, KindNames.init(kind).toString()));
        return new Provenance(metadata);
    }

    /**
     * How a layer started that is stored as a plain one of twice the rank; null for other layers.
     *
     * @param folder for the message
     * @throws AdapterFormatException for an unknown start
     */
    @Nullable Kind doubled(PeftFolder folder, String layer, Variant variant) throws AdapterFormatException {
        String recorded = metadata.get(DOUBLED + layer);
        if (recorded == null) {
            return null;
        }
        Kind started = KindNames.recorded(recorded, variant);
        if (!started.init().isTakenFromW()) {
            throw new AdapterFormatException(folder + ": layer \"" + layer + "\" has the unknown start " + recorded);
        }
        return started;
    }

    /** A copy of {@code adapter_config.json} as it was written with these tensors. */
    public Optional<byte[]> config() {
        return Optional.ofNullable(metadata.get(CONFIG)).map(text -> text.getBytes(StandardCharsets.UTF_8));
    }

    /** The name of a layer's variant; null if the file does not say. */
    public @Nullable String variant(String layer) {
        return metadata.getOrDefault(VARIANT + "." + layer, metadata.get(VARIANT));
    }

    /** The name of a layer's start; null if the file does not say. */
    public @Nullable String init(String layer) {
        return metadata.getOrDefault(INIT + "." + layer, metadata.get(INIT));
    }

    /** Whether PyTorch has W of an adapted layer as {@code [nIn, nOut]}. */
    boolean isInByOut(String layer) {
        return metadata.containsKey(IN_BY_OUT + layer);
    }

    /** Whether a module in full, or a bias, has DL4J's names and shapes. Asked of files of this library alone. */
    boolean isOwn(String name) {
        return !metadata.containsKey(NAMES) || metadata.containsKey(OWN + name);
    }

    /** Content id of the frozen layer; null if the file does not say. */
    public @Nullable String baseId(String layer) {
        return metadata.get(BASE_ID + layer);
    }

    /** How the frozen layer was kept in training, by scheme or data type; null if the file does not say. */
    @Nullable String storedAs(String layer) {
        return metadata.get(STORED_AS + layer);
    }

    /** Whether the frozen layer was kept in fewer bits in training; false if the file does not say. */
    boolean isInFewerBits(String layer) {
        return Arrays.stream(Quantization.values()).anyMatch(scheme -> scheme.name().equals(storedAs(layer)));
    }

    /** Whether directions of a layer were cut off after training. */
    boolean isCut(String layer) {
        return metadata.containsKey(CUT + layer);
    }

    /**
     * What alpha means for a layer; empty if the file does not say.
     *
     * @param folder for the message
     * @throws AdapterFormatException for an unknown scaling
     */
    public Optional<Scaling> scaling(PeftFolder folder, String layer) throws AdapterFormatException {
        String recorded = metadata.get(SCALING + layer);
        try {
            return Optional.ofNullable(recorded).map(Scaling::valueOf);
        } catch (IllegalArgumentException e) {
            throw new AdapterFormatException(folder + ": layer \"" + layer + "\" has the unknown scaling " + recorded, e);
        }
    }

    /**
     * A layer's alpha; empty if the file does not say.
     *
     * @param folder for the message
     * @throws AdapterFormatException if it is no number
     */
    public OptionalDouble alpha(PeftFolder folder, String layer) throws AdapterFormatException {
        String recorded = metadata.get(ALPHA + layer);
        try {
            return recorded == null ? OptionalDouble.empty() : OptionalDouble.of(Double.parseDouble(recorded));
        } catch (NumberFormatException e) {
            throw new AdapterFormatException(folder + ": layer \"" + layer + "\" has an alpha that is not a number", e);
        }
    }
}
