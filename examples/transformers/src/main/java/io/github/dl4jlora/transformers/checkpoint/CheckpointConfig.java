package io.github.dl4jlora.transformers.checkpoint;

import io.github.dl4jlora.transformers.CheckpointException;
import io.github.dl4jlora.transformers.Family;
import io.github.dl4jlora.transformers.Head;
import io.github.dl4jlora.transformers.Nonlinearity;
import io.github.dl4jlora.transformers.TransformerShape;
import io.github.dl4jlora.transformers.layer.RelativeAttentionBias;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.node.MissingNode;
import org.nd4j.shade.jackson.databind.node.ObjectNode;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.StreamSupport;

/**
 * The content of config.json. Missing keys have the defaults of transformers; keys that only matter to training or to generating
 * text, such as dropout, are not used.
 *
 * @param shape         its sizes are only claims until they have been compared with the tensors
 * @param architectures classes that the weights were saved from
 * @param dataType      what the weights were trained in, as PyTorch calls it; null if the file does not say
 */
public record CheckpointConfig(TransformerShape shape, List<String> architectures, String dataType, ConfigFile file) {

    private static final Map<String, Family> FAMILIES = Map.of("bert", Family.BERT, "roberta", Family.ROBERTA,
            "distilbert", Family.DISTILBERT, "gpt2", Family.GPT2, "xlm-roberta", Family.XLM_ROBERTA,
            "camembert", Family.CAMEMBERT, "mpnet", Family.MPNET);
    private static final Map<String, Nonlinearity> ACTIVATIONS = Map.of("gelu", Nonlinearity.GELU,
            "gelu_python", Nonlinearity.GELU, "gelu_new", Nonlinearity.GELU_NEW, "gelu_fast", Nonlinearity.GELU_NEW,
            "gelu_pytorch_tanh", Nonlinearity.GELU_NEW, "relu", Nonlinearity.RELU);
    private static final Logger LOG = LoggerFactory.getLogger(CheckpointConfig.class);
    private static final String PADDING = "pad_token_id";
    private static final String TIED = "tie_word_embeddings";
    private static final String PROBLEM = "problem_type";
    private static final String LABELS = "id2label";
    private static final Map<Head.Kind, String> PROBLEMS = Map.of(Head.Kind.CLASSIFIER, "single_label_classification",
            Head.Kind.REGRESSION, "regression", Head.Kind.MULTI_LABEL, "multi_label_classification");
    private static final String SENTENCE_TRANSFORMERS = "sentence_transformers";
    /** What sentence-transformers' CrossEncoder writes. */
    private static final List<String> CROSS_ENCODER = List.of("sbert_ce_default_activation_function",
            "sbert_ce_default_activation_fn", SENTENCE_TRANSFORMERS);
    /** What CrossEncoder puts on top of the logits. */
    private static final String ACTIVATION = "activation_fn";
    private static final String SIGMOID = "torch.nn.modules.activation.Sigmoid";
    private static final String IDENTITY = "torch.nn.modules.linear.Identity";

    /**
     * @throws IOException if the file is missing, is not such a configuration, or has a setting that is not supported and changes
     *                     what the model computes; the message names key and value
     */
    static CheckpointConfig read(Path path) throws IOException {
        ConfigFile file = ConfigFile.read(path);
        String type = file.text(null, "model_type");
        if (type == null) {
            throw new CheckpointException(file + " lacks \"model_type\", which says what kind of transformer it is. Write it "
                    + "there, as in the config.json that transformers saves: one of "
                    + FAMILIES.keySet().stream().sorted().toList());
        }
        Family family = FAMILIES.get(type);
        if (family == null) {
            throw file.refused("model_type", type, "one of " + FAMILIES.keySet().stream().sorted().toList());
        }
        for (String key : List.of("quantization_config", "is_decoder", "is_encoder_decoder", "add_cross_attention",
                "pruned_heads", "scale_attn_by_inverse_layer_idx")) {
            file.requireNone(key);
        }
        file.requireOnly("position_embedding_type", "absolute");
        file.requireOnly("scale_attn_weights", true);
        try {
            TransformerShape shape = shape(file, family);
            // Another is that of a factorised embedding; BertConfig itself does not know the key.
            file.requireOnly("embedding_size", shape.hidden());
            return new CheckpointConfig(file.flag(true, TIED) ? shape : shape.untied(), file.texts("architectures"),
                    file.text(null, "torch_dtype", "dtype"), file);
        } catch (IllegalArgumentException e) {
            throw new CheckpointException(path + ": " + e.getMessage(), e);
        }
    }

    /** {@return the same with the padding of the folder's tokenizer, where positions do not count from the padding on} */
    CheckpointConfig padded(Path folder) throws IOException {
        boolean isFree = shape.family() == Family.BERT || shape.family() == Family.DISTILBERT;
        int padding = isFree ? TokenizerPadding.of(folder).orElse(shape.padding()) : shape.padding();
        if (padding == shape.padding()) {
            return this;
        }
        if (padding >= shape.vocabulary()) {
            throw new CheckpointException(file + " has a vocabulary of " + shape.vocabulary() + ", but the folder's tokenizer "
                    + "pads with the id " + padding + ": config.json and the files of the tokenizer are of different models");
        }
        LOG.info("{} has {} {}, but the folder's tokenizer pads with {}, which is followed", file, PADDING, shape.padding(),
                padding);
        return new CheckpointConfig(shape.padded(padding), architectures, dataType, file);
    }

    private static TransformerShape shape(ConfigFile file, Family family) throws IOException {
        return switch (family) {
            case BERT -> bert(file, family, 30522, 0);
            case ROBERTA -> bert(file, family, 50265, 1);
            case XLM_ROBERTA, CAMEMBERT -> bert(file, family, 30522, 1);
            case MPNET -> mpnet(file);
            case DISTILBERT -> new TransformerShape(family, file.number(1, 30522, "vocab_size"),
                    file.number(1, 512, "max_position_embeddings"), 0, file.number(1, 768, "dim", "hidden_size"),
                    file.number(1, 3072, "hidden_dim"), file.number(1, 6, "n_layers", "num_hidden_layers"),
                    file.number(1, 12, "n_heads", "num_attention_heads"), 1e-12, activation(file, "activation", "gelu"),
                    padding(file, 0));
            case GPT2 -> gpt2(file, file.number(1, 768, "n_embd", "hidden_size"));
        };
    }

    private static TransformerShape bert(ConfigFile file, Family family, int vocabulary, int padding) throws IOException {
        return new TransformerShape(family, file.number(1, vocabulary, "vocab_size"),
                file.number(1, 512, "max_position_embeddings"), file.number(0, 2, "type_vocab_size"),
                file.number(1, 768, "hidden_size"), file.number(1, 3072, "intermediate_size"),
                file.number(1, 12, "num_hidden_layers"), file.number(1, 12, "num_attention_heads"),
                file.fraction(1e-12, "layer_norm_eps"), activation(file, "hidden_act", "gelu"), padding(file, padding));
    }

    /** MPNet's code has numbers of its own for padding and buckets, whatever the file says. */
    private static TransformerShape mpnet(ConfigFile file) throws IOException {
        file.requireOnly(PADDING, 1);
        file.requireOnly("relative_attention_num_buckets", RelativeAttentionBias.BUCKETS);
        return new TransformerShape(Family.MPNET, file.number(1, 30527, "vocab_size"),
                file.number(1, 512, "max_position_embeddings"), 0, file.number(1, 768, "hidden_size"),
                file.number(1, 3072, "intermediate_size"), file.number(1, 12, "num_hidden_layers"),
                file.number(1, 12, "num_attention_heads"), file.fraction(1e-12, "layer_norm_eps"),
                activation(file, "hidden_act", "gelu"), 1);
    }

    private static TransformerShape gpt2(ConfigFile file, int hidden) throws IOException {
        file.requireOnly("is_causal", true);
        return new TransformerShape(Family.GPT2, file.number(1, 50257, "vocab_size"),
                file.number(1, 1024, "n_positions", "max_position_embeddings"), 0, hidden,
                file.number(1, (int) Math.min(4L * hidden, Integer.MAX_VALUE), "n_inner"),
                file.number(1, 12, "n_layer", "num_hidden_layers"), file.number(1, 12, "n_head", "num_attention_heads"),
                file.fraction(1e-5, "layer_norm_epsilon"), activation(file, "activation_function", "gelu_new"),
                padding(file, TransformerShape.NO_TOKEN));
    }

    private static int padding(ConfigFile file, int ifMissing) throws IOException {
        return file.isExplicitlyNull(PADDING) ? TransformerShape.NO_TOKEN
                : file.number(TransformerShape.NO_TOKEN, ifMissing, PADDING);
    }

    private static Nonlinearity activation(ConfigFile file, String key, String ifMissing) throws IOException {
        String name = file.text(ifMissing, key);
        Nonlinearity activation = ACTIVATIONS.get(name);
        if (activation == null) {
            throw file.refused(key, name, "one of " + ACTIVATIONS.keySet().stream().sorted().toList());
        }
        return activation;
    }

    /**
     * Tensors do not show it: BERT's heads for token classification and for multiple choice have the same names and shapes as the
     * head for sequence classification.
     *
     * @param classifier the class whose head is asked for
     * @throws IOException if the weights were saved from another class, or the file does not say
     */
    void requireClass(String classifier) throws IOException {
        if (architectures.isEmpty() || !architectures.get(0).equals(classifier)) {
            String what = classifier.endsWith("TokenClassification") ? "token" : "text";
            throw new CheckpointException(file + " says \"architectures\": " + ConfigFile.shown(architectures) + ", but expected "
                    + "is [" + classifier + "], whose head gives a " + what + " one of several classes. For a head of another "
                    + "class use model(), or encoder() with a layer of your own on top: model(graph, newLayers…); for a new head "
                    + "use classifier(classes, updater, seed) or model(head, updater, seed)"
                    + (architectures.isEmpty() ? "; if the stored head is of that class, write it into config.json" : ""));
        }
    }

    /**
     * {@return the stored head for sequence classification, as transformers reads problem_type and the number of labels}
     *
     * @param outputs that the stored head has
     * @throws IOException if the file gives another number, or a problem that is unknown or has more outputs
     */
    Head textHead(int outputs) throws IOException {
        requireLabels(outputs);
        String problem = file.text(PROBLEMS.get(textHeadIfUnsaid(outputs)), PROBLEM);
        Head.Kind kind = PROBLEMS.entrySet().stream().filter(known -> known.getValue().equals(problem)).findFirst()
                .orElseThrow(() -> file.refused(PROBLEM, problem, "one of " + PROBLEMS.values().stream().sorted().toList()))
                .getKey();
        if (outputs < Head.fewest(kind)) {
            throw file.refused(PROBLEM, problem, "\"" + PROBLEMS.get(Head.Kind.REGRESSION) + "\" for a head with one output; "
                    + "classifiers have at least two");
        }
        return new Head(kind, outputs);
    }

    /**
     * {@return the stored head for classes of tokens}
     *
     * @throws IOException as {@link #textHead}
     */
    Head tokenHead(int outputs) throws IOException {
        requireLabels(outputs);
        if (outputs < 2) {
            throw new CheckpointException(file + " describes a head with one class of tokens, but classifiers have at least two");
        }
        return Head.tokenClassifier(outputs);
    }

    /** @throws IOException if the file has names for another number of outputs than the stored head has */
    void requireLabels(int outputs) throws IOException {
        ObjectNode labels = file.object(LABELS);
        if (labels != null && names(labels).isEmpty() && !labels.isEmpty()) {
            throw file.refused(new String[] {LABELS}, labels, "the keys \"0\" to \"" + (labels.size() - 1) + "\", one for "
                    + "each of " + labels.size() + " labels");
        }
        int said = classes(outputs);
        if (said != outputs) {
            throw new CheckpointException(file + " has " + said + " labels, but the stored head has " + outputs + " classes");
        }
    }

    /**
     * Neither tensors nor ids show whether a classifier was trained on pairs, but some files do.
     *
     * @throws IOException if this file does so, and the types of tokens tell texts apart
     */
    void requireSingleTexts() throws IOException {
        String why = signOfPairs();
        if (why != null && shape.hasTextTypes()) {
            throw new CheckpointException(file + " has " + why + ", so the stored head is for pairs of texts, which this model "
                    + "tells apart by the types of tokens: open the folder with Checkpoint.open(folder).pairs(), which adds the "
                    + "input token_type_ids");
        }
    }

    /** {@return what in this file, or beside it, shows that its head is for pairs; null for nothing} */
    private String signOfPairs() throws IOException {
        String sign = signOfPairs(file.content());
        return sign == null && !crossEncoder().isMissingNode()
                ? "\"model_type\": \"CrossEncoder\" in the " + SentenceTexts.PROMPTS + " beside it" : sign;
    }

    /** {@return what CrossEncoder writes beside this file from version 5.4 on; a missing node if there is nothing of it} */
    private JsonNode crossEncoder() throws IOException {
        if (!Files.exists(file.folder().resolve(SentenceTexts.PROMPTS))) {
            return MissingNode.getInstance();
        }
        ObjectNode beside = ConfigFile.read(TensorFiles.inside(file.folder(), SentenceTexts.PROMPTS)).content();
        return "CrossEncoder".equals(beside.path("model_type").asText()) ? beside : MissingNode.getInstance();
    }

    private static String signOfPairs(ObjectNode content) {
        boolean isInference = StreamSupport.stream(content.path(LABELS).spliterator(), false)
                .anyMatch(label -> label.asText().equalsIgnoreCase("entailment"));
        return isInference ? "a label \"entailment\"" : CROSS_ENCODER.stream().filter(content::hasNonNull)
                .findFirst().map(key -> "\"" + key + "\"").orElse(null);
    }

    private static Head.Kind textHeadIfUnsaid(int outputs) {
        return outputs == 1 ? Head.Kind.REGRESSION : Head.Kind.CLASSIFIER;
    }

    /** {@return names of classes in their order; none if one is missing} */
    private static List<String> names(ObjectNode labels) {
        List<String> names = new ArrayList<>();
        while (labels.has(String.valueOf(names.size()))) {
            names.add(labels.get(String.valueOf(names.size())).asText());
        }
        return names.size() == labels.size() ? names : List.of();
    }

    /**
     * Warns of names that {@link #with} would give a new head.
     *
     * @param architecture of the head
     * @param head         of pairs if the network reads these
     */
    void tellNames(String architecture, Head head) throws IOException {
        int classes = head.classes();
        ObjectNode labels = file.object(LABELS);
        List<String> names = labels == null ? List.of() : names(labels);
        if (names.size() == classes && architectures.contains(architecture) && !names.equals(numbered(classes))
                && !isOther(head)) {
            LOG.warn("{} calls the classes of its own head {}, and a new head with as many classes is written with these names. "
                    + "If it has others, write it by checkpoint.withLabels(\"…\", …).writeCheckpoint(network, folder)", file,
                    ConfigFile.shown(names));
        }
    }

    /** Whether it is not this file's head, which is of pairs and needs types. */
    private boolean isOther(Head head) throws IOException {
        return isOfSingleTexts(head) && signOfPairs() != null;
    }

    /** Whether its texts are single ones in a family whose types of tokens tell those of a pair apart. */
    private boolean isOfSingleTexts(Head head) {
        return PROBLEMS.containsKey(head.kind()) && !head.pairs() && shape.hasTextTypes();
    }

    private static List<String> numbered(int classes) {
        return IntStream.range(0, classes).mapToObj(i -> "LABEL_" + i).toList();
    }

    private int classes(int ifMissing) throws IOException {
        ObjectNode labels = file.object(LABELS);
        return file.number(1, labels == null ? ifMissing : labels.size(), "num_labels");
    }

    /**
     * {@return the text of config.json for a network of that class, with everything else unchanged}
     *
     * @param head     of the network, of pairs if it has types of tokens as an input
     * @param stored   whether the head is this folder's own, as it is there
     * @param names    of its classes; empty for this file's, if it has them for a head of that class, and numbers otherwise
     * @param dataType of the weights, as PyTorch calls it
     * @param tied     whether a language model's decoder is
     * @throws IllegalArgumentException if the head has not as many classes as there are names, or is of single texts, and one of
     *                                  the names says that it is of pairs
     */
    byte[] with(String architecture, Head head, boolean stored, List<String> names, String dataType, boolean tied)
            throws IOException {
        int classes = head.kind() == Head.Kind.ANSWER ? 2 : head.classes();
        if (!names.isEmpty() && names.size() != head.classes()) {
            throw new IllegalArgumentException("withLabels" + names + " are " + names.size() + " names, but the network has "
                    + (head.classes() == 0 ? "no classes" : head.classes() + " classes or labels") + ": give as many, in their "
                    + "order, or none");
        }
        ObjectNode content = file.content();
        if (tied != shape.tied()) {
            content.put(TIED, tied);
        }
        content.putArray("architectures").add(architecture);
        content.put(content.has("dtype") ? "dtype" : "torch_dtype", dataType);
        String problem = PROBLEMS.get(head.kind());
        if (problem != null && (content.has(PROBLEM) || head.kind() != textHeadIfUnsaid(classes))) {
            // The original's may be another.
            content.put(PROBLEM, problem);
        }
        boolean isOther = isOther(head);
        boolean areForPairs = problem != null && !isOfSingleTexts(head);
        if (isOther || areForPairs && !stored) {
            content.remove(CROSS_ENCODER);
        }
        ObjectNode old = file.object(LABELS);
        boolean areOthers = isOther || classes(0) != classes
                || (old == null ? classes != 2 : !architectures.contains(architecture) || names(old).size() != classes);
        if (classes > 0 && (areOthers || !names.isEmpty())) {
            putNames(content, names.isEmpty() ? numbered(classes) : names);
        }
        if (isOfSingleTexts(head) && signOfPairs(content) != null) {
            throw new IllegalArgumentException("withLabels" + names + " has " + signOfPairs(content) + ", which says that a head "
                    + "is for pairs of texts, but the network has no input token_type_ids to tell these apart: give the label "
                    + "another name, or make the network with checkpoint.pairs()");
        }
        String activation = areForPairs ? activation(head, stored) : null;
        if (activation != null) {
            content.putObject(SENTENCE_TRANSFORMERS).put(ACTIVATION, activation);
        } else if (areForPairs && shape.hasTextTypes() && signOfPairs(content) == null) {
            // CrossEncoder's default. Without, folders of pairs and of single texts look alike.
            content.putObject(SENTENCE_TRANSFORMERS).put(ACTIVATION, classes == 1 ? SIGMOID : IDENTITY);
        }
        return ConfigFile.text(content);
    }

    /** {@return what CrossEncoder is to put on top; null for what config.json says, or the default} */
    private String activation(Head head, boolean stored) throws IOException {
        if (stored) {
            return crossEncoder().path(ACTIVATION).textValue();
        }
        return switch (head.kind()) {
            case REGRESSION -> IDENTITY;
            case MULTI_LABEL -> SIGMOID;
            default -> null;
        };
    }

    private static void putNames(ObjectNode content, List<String> names) {
        content.remove("num_labels");
        ObjectNode labels = content.putObject(LABELS);
        ObjectNode ids = content.putObject("label2id");
        for (int i = 0; i < names.size(); i++) {
            labels.put(String.valueOf(i), names.get(i));
            ids.put(names.get(i), i);
        }
    }
}
