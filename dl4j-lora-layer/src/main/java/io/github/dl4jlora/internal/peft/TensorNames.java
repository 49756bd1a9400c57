package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.internal.content.Biases;
import io.github.dl4jlora.internal.content.TensorLayout;
import io.github.dl4jlora.internal.untrusted.Budget;
import io.github.dl4jlora.internal.untrusted.UntrustedJson;
import org.jspecify.annotations.Nullable;

import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** Finds out what each of a file's tensors is. */
final class TensorNames {

    private static final List<String> ENDS_OF_A = List.of(TensorLayout.LINEAR.nameOfA(), TensorLayout.EMBEDDING.nameOfA());
    private static final List<String> ENDS_OF_B = List.of(TensorLayout.LINEAR.nameOfB(), TensorLayout.EMBEDDING.nameOfB());
    /** What VeLoRA and MonteCLoRA keep for training. */
    private static final List<String> FOR_TRAINING_ONLY = List.of(".lora_velora_embed", ".lora_monteclora_sampler.");
    /** What PEFT's wrapper calls the two modules that it chooses from: with bias "all" it saves their biases once more. */
    private static final List<String> WITHIN_WRAPPER = List.of(".original_module.", ".modules_to_save.");
    /** How often a batch normalisation was trained, a whole number that DL4J does not count. */
    private static final String BATCHES = "num_batches_tracked";
    /** PEFT adds every name that a task's head may have; a model has one of them. */
    private static final List<String> HEADS = List.of("classifier", "score", "qa_outputs");
    /**
     * Word embeddings, and decoders to words, as transformers call them. With save_embedding_layers, and for a vocabulary that
     * was resized, PEFT saves them although modules_to_save names none.
     */
    private static final Set<String> EMBEDDINGS = Set.of("word_embeddings", "embed_tokens", "wte", "lm_head", "lm_head.decoder",
            "predictions.decoder", "vocab_projector");
    private static final String LORA = ".lora_";
    private static final Pattern ADAPTERS_NAME = Pattern.compile(".*\\.(?:lora_[AB]|lora_embedding_[AB]|lora_magnitude_vector)"
            + "\\.(?!weight$|bias$)([^.]+)(?:\\.weight|\\.bias)?");
    private static final String WEIGHT = ".weight";

    private final PeftConfig config;
    private final Budget budget;
    private final SavedModules saved;
    private final Set<String> savedInFull;
    private final Set<String> adapted;
    /** Modules of which there is a parameter other than a bias. */
    private final Set<String> withWeights;

    TensorNames(Collection<String> names, PeftConfig config, Budget budget) {
        this.config = config;
        this.budget = budget;
        this.saved = config.saved();
        this.savedInFull = config.isOurs() ? SavedModules.inFull(config.modulesToSave()) : Set.of();
        this.adapted = names.stream().map(TensorNames::module).map(module -> layer(module, ENDS_OF_A))
                .filter(layer -> layer != null).collect(Collectors.toCollection(HashSet::new));
        this.withWeights = names.stream().map(TensorNames::module)
                .filter(module -> module.lastIndexOf('.') > 0 && !module.endsWith(Biases.SUFFIX))
                .map(module -> module.substring(0, module.lastIndexOf('.'))).collect(Collectors.toSet());
    }

    /** Without PEFT's prefix. */
    static String module(String name) {
        return name.startsWith(TensorName.PREFIX) ? name.substring(TensorName.PREFIX.length()) : name;
    }

    TensorName of(String name) throws AdapterFormatException {
        String module = module(name);
        int dot = module.lastIndexOf('.');
        // This comes first, since a layer may have any name, even lora_A.
        if (dot > 0 && savedInFull.contains(module.substring(0, dot))) {
            return new TensorName.Parameter(module.substring(0, dot), module.substring(dot + 1));
        }
        TensorName part = partOfAdapted(module);
        if (part != null) {
            return part;
        }
        boolean isBias = config.bias() != BiasTraining.NONE && module.endsWith(Biases.SUFFIX);
        // With an entry PEFT saves all that is inside the module, but here a layer's name may begin as another's.
        if (isBias && config.isOurs() && !withWeights.contains(module.substring(0, dot))) {
            return new TensorName.Bias(module.substring(0, dot));
        }
        boolean isSaved = dot > 0 && !saved.of(module.substring(0, dot), budget).isEmpty();
        if (isSaved && (module.endsWith(BATCHES) || WITHIN_WRAPPER.stream().anyMatch(module::contains))) {
            return new TensorName.Idle(module.substring(0, dot));
        }
        if (isSaved) {
            return new TensorName.Parameter(module.substring(0, dot), module.substring(dot + 1));
        }
        if (isBias) {
            return new TensorName.Bias(module.substring(0, dot));
        }
        // A module that is tied to a saved one has no entry of its own. With bias "all" PEFT saves what has "bias" in its name.
        return config.tiesWeights() && module.endsWith(WEIGHT) || isEmbedding(module)
                || dot > 0 && config.bias() == BiasTraining.ALL && !config.isOurs() && module.contains("bias")
                ? new TensorName.Parameter(module.substring(0, dot), module.substring(dot + 1)) : new TensorName.Stranger();
    }

    private boolean isEmbedding(String module) {
        int dot = module.lastIndexOf('.');
        String layer = dot < 0 ? "" : module.substring(0, dot);
        return !config.isOurs() && (module.endsWith(WEIGHT) || module.endsWith(Biases.SUFFIX))
                && EMBEDDINGS.stream().anyMatch(name -> ("." + layer).endsWith("." + name));
    }

    /**
     * @throws AdapterFormatException if PEFT itself would not read these names, saying which they are and where they come from
     */
    static void requireReadable(Collection<String> names) throws AdapterFormatException {
        for (String name : names) {
            Matcher ofAdapter = ADAPTERS_NAME.matcher(name);
            if (WITHIN_WRAPPER.stream().anyMatch(name::contains) && name.contains(LORA)) {
                throw new AdapterFormatException("Tensor \"" + UntrustedJson.line(name) + "\" adapts a module inside of one "
                        + "that was saved in full, as PEFT before 0.16 wrote it where target_modules matched layers of the head. "
                        + "Merge the adapter in Python (merge_and_unload) with that version and open the merged model, or train "
                        + "it again with a newer one");
            }
            if (ofAdapter.matches()) {
                String adapter = UntrustedJson.line(ofAdapter.group(1));
                throw new AdapterFormatException("Tensor \"" + UntrustedJson.line(name) + "\" has the adapter's name \""
                        + adapter + "\" in it, as model.state_dict() gives it. Save the adapter in Python with "
                        + "model.save_pretrained(folder), or take the name out: save_file({k.replace(\"." + adapter
                        + "\", \"\"): v for k, v in load_file(\"" + PeftFolder.TENSORS + "\").items()}, \"" + PeftFolder.TENSORS
                        + "\")");
            }
        }
    }

    /** Null for a tensor that is no part of an adapted layer. */
    private @Nullable TensorName partOfAdapted(String module) {
        String a = layer(module, ENDS_OF_A);
        String b = layer(module, ENDS_OF_B);
        if (a != null) {
            return new TensorName.Factor(a, true);
        }
        if (b != null) {
            return new TensorName.Factor(b, false);
        }
        for (ExtraPart part : ExtraPart.values()) {
            String layer = layer(module, part.suffixes());
            if (layer != null && config.wants(part)) {
                return new TensorName.Part(layer, part);
            }
        }
        // PEFT's own lora_only, and loralib, leave base_layer out.
        String ofBias = config.wants(ExtraPart.BIAS) ? layer(module, List.of(Biases.SUFFIX)) : null;
        if (ofBias != null && adapted.contains(ofBias)) {
            return new TensorName.Part(ofBias, ExtraPart.BIAS);
        }
        // The base's own bias, which PEFT saves with the base's own weight.
        String ofBase = layer(module, List.of(ExtraPart.BIAS.suffix()));
        if (ofBase != null && withWeights.contains(module.substring(0, module.lastIndexOf('.')))) {
            return new TensorName.Idle(ofBase);
        }
        if (module.contains(LORA)) {
            String layer = module.substring(0, module.lastIndexOf(LORA));
            boolean idle = FOR_TRAINING_ONLY.stream().anyMatch(module::contains);
            return !adapted.contains(layer) ? null : idle ? new TensorName.Idle(layer) : new TensorName.Unknown();
        }
        return null;
    }

    /** The name without the one of these ends that it has; null if it has none. */
    private static @Nullable String layer(String module, List<String> ends) {
        return ends.stream().filter(module::endsWith).findFirst()
                .map(end -> module.substring(0, module.length() - end.length())).orElse(null);
    }

    /** Entries of modules_to_save that save none of these layers, without those that a model need not have. */
    Set<String> unsaved(Collection<String> layers) throws AdapterFormatException {
        // PEFT adds a task's heads once more each time that it saves.
        Set<String> entries = Set.copyOf(config.modulesToSave());
        Set<String> missing = new HashSet<>(entries);
        for (String layer : layers) {
            missing.removeAll(saved.of(layer, budget));
        }
        if (missing.size() < entries.size()) {
            missing.removeAll(HEADS);
        }
        return missing;
    }
}
