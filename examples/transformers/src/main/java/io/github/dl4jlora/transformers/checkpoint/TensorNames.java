package io.github.dl4jlora.transformers.checkpoint;

import io.github.dl4jlora.internal.untrusted.Few;
import io.github.dl4jlora.transformers.CheckpointException;
import io.github.dl4jlora.transformers.Family;
import io.github.dl4jlora.transformers.TransformerShape;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;

/**
 * The names of a folder's tensors. They may vary as transformers allows: those of the bare model with the family's prefix or
 * without, {@code LayerNorm.gamma} and {@code beta} for {@code weight} and {@code bias}.
 */
final class TensorNames {

    private static final Logger LOG = LoggerFactory.getLogger(TensorNames.class);
    /** Buffers of modules beside their weights: positions, masks, and the value for masked scores. */
    private static final Pattern BUFFER = Pattern.compile(
            "(.+\\.)?embeddings\\.(position_ids|token_type_ids)|(transformer\\.)?h\\.\\d+\\.attn\\.(bias|masked_bias)");

    private final Family family;
    private final boolean tied;
    private final TensorFiles files;
    private final String origin;
    /** The files' own names by those without prefix. */
    private final Map<String, String> byModule = new HashMap<>();

    /** @param origin of the names, for messages */
    TensorNames(TransformerShape shape, TensorFiles files, String origin) throws IOException {
        this.family = shape.family();
        this.tied = shape.tied();
        this.files = files;
        this.origin = origin;
        for (String name : files.names()) {
            String twin = byModule.put(module(name), name);
            if (twin != null) {
                throw new CheckpointException(
                        origin + " contains \"" + twin + "\" and \"" + name + "\", which are two names of the "
                        + "same tensor");
            }
        }
    }

    private String module(String name) {
        String current = name.endsWith("LayerNorm.gamma") ? name.replaceAll("gamma$", "weight")
                : name.endsWith("LayerNorm.beta") ? name.replaceAll("beta$", "bias") : name;
        // DistilBERT's modules are called transformer.layer..., which does not contain its prefix.
        return current.startsWith(family.prefix()) ? current.substring(family.prefix().length()) : current;
    }

    /** {@return the files' name of a tensor; null if they have none} */
    String find(String tensor) {
        String module = module(tensor);
        String own = byModule.get(module);
        String twin = byModule.get(twin(module));
        // For untied decoders, transformers 5 stores the head's bias beside the decoder's, and computes only with the decoder's.
        return own == null || !tied && twin != null ? twin : own;
    }

    /** The other name of a decoder's tensor, since a file may have either name; the same name for all other tensors. */
    private String twin(String module) {
        return module.equals(bias()) ? decoder() + ".bias"
                : tied && module.equals(decoder() + ".weight") ? family.words() + ".weight" : module;
    }

    /** The bias of a language model's head, which the decoder adds. */
    private String bias() {
        return switch (family) {
            case BERT -> "cls.predictions.bias";
            case ROBERTA, XLM_ROBERTA, CAMEMBERT, MPNET -> "lm_head.bias";
            default -> decoder() + ".bias";
        };
    }

    /** The module of a language model's decoder. */
    private String decoder() {
        return switch (family) {
            case BERT -> "cls.predictions.decoder";
            case ROBERTA, XLM_ROBERTA, CAMEMBERT, MPNET -> "lm_head.decoder";
            case DISTILBERT -> "vocab_projector";
            case GPT2 -> "lm_head";
        };
    }

    /** Modules of the heads of all classes, including the pooler. */
    private List<String> heads() {
        return switch (family) {
            case BERT -> List.of("cls.predictions", "cls.seq_relationship", "classifier", "qa_outputs", "pooler");
            case ROBERTA, XLM_ROBERTA, CAMEMBERT, MPNET -> List.of("lm_head", "classifier", "qa_outputs", "pooler");
            case DISTILBERT -> List.of("vocab_transform", "vocab_layer_norm", "vocab_projector", "pre_classifier", "classifier",
                    "qa_outputs");
            case GPT2 -> List.of("lm_head", "score", "classifier", "qa_outputs", "multiple_choice_head");
        };
    }

    /** {@return what the decoder of a language model is tied to, by those of the decoder's tensors that the files have} */
    Map<String, String> tied() {
        Map<String, String> pairs = new LinkedHashMap<>();
        if (tied) {
            pairs.put(decoder() + ".weight", family.words() + ".weight");
        }
        pairs.put(decoder() + ".bias", bias());
        Map<String, String> found = new LinkedHashMap<>();
        pairs.forEach((decoder, to) -> {
            if (byModule.containsKey(decoder) && byModule.containsKey(to) && !decoder.equals(to)) {
                found.put(byModule.get(decoder), byModule.get(to));
            }
        });
        return found;
    }

    /**
     * Checks the other tensors of the files.
     *
     * @param used the files' names of what the model takes
     * @throws IOException if there is a tensor that no class of the family has; heads of other classes are logged
     */
    void requireKnown(Set<String> used) throws IOException {
        Set<String> usedHeads = new HashSet<>();
        used.forEach(name -> heads().stream().filter(head -> isBelow(name, head)).forEach(usedHeads::add));
        Set<String> left = new TreeSet<>();
        List<String> unknown = new ArrayList<>();
        for (String name : files.names()) {
            if (used.contains(name) || BUFFER.matcher(name).matches()) {
                continue;
            }
            String head = heads().stream().filter(module -> isBelow(name, module)).findFirst().orElse(null);
            if (head == null || usedHeads.contains(head)) {
                unknown.add(name);
            } else {
                left.add(head);
            }
        }
        if (!unknown.isEmpty()) {
            throw new CheckpointException(origin + " contains tensors that no supported " + family + " with this config.json "
                    + "has: " + Few.of(unknown));
        }
        if (!left.isEmpty()) {
            LOG.info("{}: heads that were not asked for are ignored: {}", origin, left);
        }
    }

    private boolean isBelow(String name, String head) {
        return module(name).startsWith(head + ".");
    }

    @Override
    public String toString() {
        return origin;
    }
}
