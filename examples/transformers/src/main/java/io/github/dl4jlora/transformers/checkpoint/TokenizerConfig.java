package io.github.dl4jlora.transformers.checkpoint;

import io.github.dl4jlora.transformers.Family;
import io.github.dl4jlora.transformers.TokenizerSettings;
import org.nd4j.shade.jackson.databind.node.NullNode;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Settings that transformers 4 sets over tokenizer.json. Which ones depends on the tokenizer's class: that of
 * tokenizer_config.json or, if it names none, of config.json or, if that names none either, of the model. A class without Fast at
 * the end stands for the one with it.
 *
 * <p>Python writes tokenizer_config.json with every tokenizer. A folder without it mostly comes from somebody who took
 * tokenizer.json alone, and then that is right: transformers would set the defaults of the class over it, and so make small
 * letters of the texts of a model that knows capitals.
 */
final class TokenizerConfig {

    static final String FILE = "tokenizer_config.json";

    private static final Logger LOG = LoggerFactory.getLogger(TokenizerConfig.class);
    private static final String CLASS = "tokenizer_class";
    private static final Pattern KIND = Pattern.compile("(.+)Tokenizer(Fast)?");
    private static final String SIDE = "truncation_side";
    private static final String LEFT = "left";
    /** With the defaults of these classes for all that the file does not say. */
    private static final Set<String> LIKE_BERT = Set.of("Bert", "DistilBert", "Electra", "MobileBert", "ConvBert", "SqueezeBert",
            "LayoutLM", "Funnel", "Lxmert", "DPRContextEncoder", "DPRQuestionEncoder", "DPRReader");
    /** The same, but they leave Chinese characters to tokenizer.json. */
    private static final String MPNET = "MPNet";
    /** Classes that set nothing over the normalizer, of the other families or of any. */
    private static final Set<String> PLAIN = Set.of("PreTrained", "Roberta", "XLMRoberta", "Camembert", "GPT2");
    /** What transformers 5 calls PreTrainedTokenizerFast. */
    private static final String BACKEND = "TokenizersBackend";

    private TokenizerConfig() {
    }

    /**
     * {@return what is set over the folder's tokenizer.json}
     *
     * @param config of the model in the folder
     * @throws IOException if one of these settings in the file is not as transformers has it
     */
    static TokenizerSettings read(Path folder, CheckpointConfig config) throws IOException {
        if (!Files.exists(folder.resolve(FILE))) {
            return new TokenizerSettings(Map.of(), Optional.empty());
        }
        ConfigFile file = ConfigFile.read(TensorFiles.inside(folder, FILE));
        return new TokenizerSettings(normalizer(file, config), cutsBeginnings(file));
    }

    private static Map<String, Optional<Boolean>> normalizer(ConfigFile file, CheckpointConfig config) throws IOException {
        String ofModel = config.file().text(ofFamily(config.shape().family()), CLASS);
        String named = file.text(ofModel, CLASS);
        Matcher matcher = KIND.matcher(named);
        String kind = matcher.matches() ? matcher.group(1) : "";
        boolean isMpnet = kind.equals(MPNET);
        if (!isMpnet && !LIKE_BERT.contains(kind)) {
            if (!PLAIN.contains(kind) && !named.equals(BACKEND)) {
                LOG.warn("{} has a tokenizer of the class \"{}\". It is not known here what that sets over tokenizer.json, so "
                        + "texts become tokens as tokenizer.json says, which may be others than in Python. If tokenizer.json is "
                        + "right, set {} to PreTrainedTokenizerFast in {}", file.folder(), ConfigFile.shown(named), CLASS, FILE);
            }
            return Map.of();
        }
        Map<String, Optional<Boolean>> settings = new HashMap<>();
        settings.put("do_lower_case", flag(file, "do_lower_case"));
        settings.put("strip_accents", file.flag("strip_accents"));
        if (!isMpnet) {
            settings.put("tokenize_chinese_chars", flag(file, "tokenize_chinese_chars"));
        }
        return settings;
    }

    private static String ofFamily(Family family) {
        return Architectures.name(family) + "Tokenizer";
    }

    /** A setting that is true by default, but for which Python takes no null. */
    private static Optional<Boolean> flag(ConfigFile file, String key) throws IOException {
        requireNotNull(file, key, "true or false");
        return Optional.of(file.flag(true, key));
    }

    private static Optional<Boolean> cutsBeginnings(ConfigFile file) throws IOException {
        String expected = "\"left\" or \"right\"";
        requireNotNull(file, SIDE, expected);
        String side = file.text(null, SIDE);
        if (side != null && !Set.of(LEFT, "right").contains(side)) {
            throw file.refused(SIDE, side, expected);
        }
        return Optional.ofNullable(side).map(LEFT::equals);
    }

    private static void requireNotNull(ConfigFile file, String key, String expected) throws IOException {
        if (file.isExplicitlyNull(key)) {
            throw file.refused(new String[] {key}, NullNode.getInstance(), expected + ", or to leave it out");
        }
    }
}
