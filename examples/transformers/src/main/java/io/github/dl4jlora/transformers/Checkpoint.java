package io.github.dl4jlora.transformers;

import io.github.dl4jlora.BaseSource;
import io.github.dl4jlora.transformers.checkpoint.CheckpointFolder;
import io.github.dl4jlora.transformers.checkpoint.CheckpointWriter;
import io.github.dl4jlora.transformers.checkpoint.KeptRandom;
import io.github.dl4jlora.transformers.checkpoint.SentenceModules;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.learning.config.IUpdater;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;

/**
 * A Hugging Face folder of one of the {@link Family families}: {@code config.json} and {@code model.safetensors}, in one file or
 * in the shards that {@code model.safetensors.index.json} names.
 *
 * <pre>
 * Checkpoint checkpoint = Checkpoint.open(folder);
 * ComputationGraph network = checkpoint.maskedLanguageModel().network();
 * ComputationGraph tuned = LoRA.loadQuantized(checkpoint.classifier(2, new Adam(1e-3), 42), config);
 * LoRA.writeBase(checkpoint.encoder(), file, Quantization.INT8);
 * </pre>
 *
 * <p>Each method that names a model gives a {@link BaseSource}, which holds no values in memory. The values are read tensor by
 * tensor when a network is made from it, as FLOAT whatever their stored type. Layers have the names of PyTorch's modules in the
 * class of that model, so that PEFT's adapters for it load by name. Settings of config.json for training (such as dropout) or for
 * generating text are not used; a setting that changes what the model computes is either followed or refused.
 *
 * <p>A folder is not trusted: sizes are compared with its files before anything of that size is allocated. Whatever is wrong with
 * it ends in a {@link CheckpointException} that names file and tensor. A missing part is never made up: a layer starts at random
 * only if a new head was asked for.
 */
public final class Checkpoint {

    /** The output of {@link #sentenceEncoder}. */
    public static final String SENTENCE = "sentence";

    /** The default in transformers. */
    private static final long SHARD_BYTES = 5_000_000_000L;

    private final CheckpointFolder folder;
    private final TransformerShape shape;
    private final boolean pairs;
    /** Of the user's own, instead of the folder's; null for none. */
    private final TextSettings texts;
    /** Of a new head, instead of the folder's; empty for none. */
    private final List<String> labels;

    private Checkpoint(CheckpointFolder folder, TransformerShape shape, boolean pairs, TextSettings texts,
                       List<String> labels) {
        this.folder = folder;
        this.shape = shape;
        this.pairs = pairs;
        this.texts = texts;
        this.labels = labels;
    }

    /**
     * Reads config.json and the tensors' names and shapes.
     *
     * @param folder which holds them; nothing in it stays open
     * @throws CheckpointException if a file is missing, damaged or of another kind, the files contradict each other, or
     *                             config.json asks for what is not supported; the message names the file, and the key or tensor
     * @throws IOException         if a file cannot be read
     */
    public static Checkpoint open(Path folder) throws IOException {
        CheckpointFolder opened = CheckpointFolder.open(Objects.requireNonNull(folder, "The folder to open is null"));
        return new Checkpoint(opened, opened.config().shape(), false, null, List.of());
    }

    /**
     * {@return this folder, but with language models whose decoder has a matrix of its own} If the folder's decoder is tied to
     * the word embeddings, the matrix starts as a copy of these, so that the model computes the same, and either can be trained
     * without the other. PEFT unties a decoder in the same way when it saves decoder or word embeddings ({@code modules_to_save})
     * without {@code ensure_weight_tying}; such an adapter fits networks of the untied checkpoint.
     */
    public Checkpoint untied() {
        return new Checkpoint(folder, shape.untied(), pairs, texts, labels);
    }

    /**
     * {@return this folder, but with models of pairs of texts} In families whose token types tell texts apart (BERT), they have
     * {@link Transformer#TOKEN_TYPE_IDS} as a second input, {@code [minibatch, tokens]}, 0 in a first text and 1 in a second. In
     * others (RoBERTa, DistilBERT) they are the same, since nothing but separators tells texts apart there.
     */
    public Checkpoint pairs() {
        return new Checkpoint(folder, shape, true, texts, labels);
    }

    /**
     * {@return this folder, but with prompts and a longest text of your own: {@link #textSettings} gives them, and
     * {@link #writeCheckpoint} writes them with a sentence model}
     *
     * @throws IllegalArgumentException if the longest text has more tokens than the network has positions
     */
    public Checkpoint withTextSettings(TextSettings settings) {
        Objects.requireNonNull(settings, "The settings of texts are null; leave withTextSettings out for the folder's");
        if (settings.maxTokens() > shape.longestText()) {
            throw new IllegalArgumentException("The longest text is to have " + settings.maxTokens() + " tokens, but the network "
                    + "has positions for " + shape.longestText() + ". Choose at most that: withMaxTokens("
                    + shape.longestText() + ")");
        }
        return new Checkpoint(folder, shape, pairs, settings, labels);
    }

    /**
     * {@return this folder, but with other names of classes or labels in what {@link #writeCheckpoint} writes} Without, a head of
     * the class and the number of classes that the folder's own has is written with the folder's names, and any other head with
     * {@code LABEL_0}, {@code LABEL_1} and so on.
     *
     * @param names of a new head's classes, in their order
     * @throws IllegalArgumentException if there is none, or one is empty or twice there
     */
    public Checkpoint withLabels(String... names) {
        List<String> all = Arrays.asList(Objects.requireNonNull(names, "withLabels: the names are null; leave it out for "
                + "the folder's"));
        if (all.isEmpty() || all.contains(null) || all.contains("") || Set.copyOf(all).size() < all.size()) {
            throw new IllegalArgumentException("withLabels" + all + ": give each class a name of its own, in their order");
        }
        return new Checkpoint(folder, shape, pairs, texts, List.copyOf(all));
    }

    /** {@return what kind of transformer it is, and its sizes; {@code tied} is what config.json says, or {@link #untied}} */
    public TransformerShape shape() {
        return shape;
    }

    /** {@return the classes that the weights were saved from according to config.json, such as {@code BertForMaskedLM}} */
    public List<String> architectures() {
        return folder.config().architectures();
    }

    /** {@return the data type of the stored weights, as PyTorch calls it; they are read as FLOAT} */
    public Optional<String> storedType() {
        return Optional.ofNullable(folder.config().dataType());
    }

    /**
     * {@return the folder's tokenizer.json; this class does not read texts} Empty if there is none, or if it is a link to a file
     * outside of the folder.
     *
     * @throws CheckpointException if it is a Git LFS pointer instead of the file
     */
    public Optional<Path> tokenizer() throws IOException {
        return folder.tokenizer();
    }

    /**
     * {@return what transformers sets over tokenizer.json, from {@code tokenizer_config.json} or by default; nothing without
     * that file} Whoever reads tokenizer.json without these settings may get other tokens than Python does. A class of tokenizers
     * that is not known is told of in the log.
     *
     * @throws CheckpointException if a setting is neither true nor false, or {@code truncation_side} neither left nor right
     * @throws IOException         if a file that says it cannot be read
     */
    public TokenizerSettings tokenizerSettings() throws IOException {
        return folder.tokenizerSettings();
    }

    /**
     * {@return the model as the class that config.json names first: bare, …ForMaskedLM, GPT2LMHeadModel,
     * …ForSequenceClassification, …ForTokenClassification or …ForQuestionAnswering} A head for sequence classification is one of
     * classes, numbers or labels, as {@code problem_type} says; without it, of numbers if it has one output, and else of classes.
     *
     * @throws IOException if it names none of these, or the tensors are not those of the class; if the head is for pairs,
     *                     according to config.json, in a family that tells texts apart by token types, and this is not
     *                     {@link #pairs}
     */
    public BaseSource<ComputationGraph> model() throws IOException {
        return model(head());
    }

    /** {@return the head of the class that config.json names first, as {@link #model()} has it} */
    public Head head() throws IOException {
        return folder.head();
    }

    /** {@return token ids {@code [minibatch, tokens]} in, the vectors of all tokens {@code [minibatch · tokens, hidden]} out} */
    public BaseSource<ComputationGraph> encoder() throws IOException {
        return model(Head.tokenVectors());
    }

    /**
     * {@return token ids {@code [minibatch, tokens]} in, embeddings {@code [minibatch, width]} out, as sentence-transformers
     * computes them} What is on top of the transformer is what the folder's {@code modules.json} says: a pooling, dense layers,
     * normalisation. Without that file it is the mean of a text's token vectors, of length 1.
     *
     * @param pooling to be used instead of the folder's modules, several side by side; the embeddings are of length 1 then
     * @throws IOException if {@code modules.json} asks for what is not supported, and as {@link #model(Head)}
     */
    public BaseSource<ComputationGraph> sentenceEncoder(Pooling... pooling) throws IOException {
        return model(addSentenceEncoder(builder(), pooling).build());
    }

    /**
     * {@return a graph with the layers of {@link #sentenceEncoder}, whose output is {@link #SENTENCE}} A loss goes on top of it,
     * and then it is one for {@link #model(ComputationGraphConfiguration, String...)}.
     *
     * @param graph   with the updater, seed and data type that the network is to have
     * @param pooling as there
     * @throws IOException as there
     */
    public GraphBuilder addSentenceEncoder(GraphBuilder graph, Pooling... pooling) throws IOException {
        SentenceModules modules = pooling.length == 0 ? folder.sentenceModules() : SentenceModules.normalized(List.of(pooling));
        return modules.addTo(graph, shape, read(Head.tokenVectors()), SENTENCE);
    }

    /**
     * {@return what sentence-transformers does with a text before it is cut into tokens: prompts, the longest text} Empty prompts
     * if the folder does not say; those of {@link #withTextSettings}, if it was called.
     *
     * @throws IOException if a file that says it is damaged
     */
    public TextSettings textSettings() throws IOException {
        return texts == null ? folder.textSettings() : texts;
    }

    /** {@return the encoder under BERT's or RoBERTa's pooler, {@code [minibatch, hidden]}} */
    public BaseSource<ComputationGraph> pooler() throws IOException {
        return model(Head.pooler());
    }

    /** {@return logits {@code [minibatch · tokens, vocabulary]} of the word at every token, of all families but GPT-2} */
    public BaseSource<ComputationGraph> maskedLanguageModel() throws IOException {
        return model(Head.maskedWords());
    }

    /** {@return logits {@code [minibatch · tokens, vocabulary]} of the word after every token, of GPT-2} */
    public BaseSource<ComputationGraph> causalLanguageModel() throws IOException {
        return model(Head.nextWord());
    }

    /**
     * {@return probabilities {@code [minibatch, classes]} by the stored head for sequence classification}
     *
     * @throws IOException if there is none, or it gives numbers or labels, as {@link #model()}
     */
    public BaseSource<ComputationGraph> classifier() throws IOException {
        return model(folder.classifier());
    }

    /**
     * {@return the probability {@code [minibatch, 1]} that a passage answers a query: the sigmoid of the stored head's one logit}
     * Its inputs are those of {@link #pairs}. With an identity on top instead, as some models have it, the order is the same;
     * {@code pairs().model()} gives the logit of heads that were saved as such.
     *
     * @throws IOException if the folder has no head for sequence classification, or one with several outputs
     */
    public BaseSource<ComputationGraph> reranker() throws IOException {
        return model(folder.reranker());
    }

    /** {@return probabilities {@code [minibatch, classes]} by a new head, as {@link #model(Head, IUpdater, long)}} */
    public BaseSource<ComputationGraph> classifier(int classes, IUpdater updater, long seed) throws IOException {
        return model(Head.classifier(classes), updater, seed);
    }

    /**
     * {@return the model with a new head, whatever head the folder has}
     *
     * @param head    a classifier of texts or tokens, regression, labels, reranker or question answering
     * @param updater of everything that trains, including adapters, unless their configuration has another
     * @param seed    of the new head's weights
     * @throws IllegalArgumentException if the head has no layers that could be new
     */
    public BaseSource<ComputationGraph> model(Head head, IUpdater updater, long seed) throws IOException {
        if (labels.isEmpty()) {
            folder.tellNames(read(head));
        }
        // DL4J's builder seeds ND4J's generator.
        try (KeptRandom kept = new KeptRandom()) {
            GraphBuilder graph = new NeuralNetConfiguration.Builder().seed(seed).updater(updater).graphBuilder();
            return model(Transformer.addTo(graph, shape, read(head)).build(), newHead(head).toArray(String[]::new));
        }
    }

    /** {@return the layers of a new classifier, as {@link #newHead(Head)}} */
    public List<String> newHead() {
        return newHead(Head.classifier(2));
    }

    /**
     * {@return the layers that {@link #model(Head, IUpdater, long)} adds to a pretrained model, the output layer last} They
     * start at random, so they are to be trained beside adapters: {@code LoRAConfig.trainable}, PEFT's {@code modules_to_save}.
     *
     * @throws IllegalArgumentException if the head is none of those
     */
    public List<String> newHead(Head head) {
        List<String> layers = head.layers(shape.family());
        if (layers.isEmpty()) {
            throw new IllegalArgumentException("A head of kind " + head.kind() + " has no layers that start at random: use "
                    + "model(head)");
        }
        return layers;
    }

    /** With pairs of texts, if they were asked for. */
    private Head read(Head head) {
        return pairs ? head.ofPairs() : head;
    }

    /**
     * {@return the model with a head, all of which is stored}
     *
     * @param head of a kind that the family has
     * @throws IOException              if a tensor of it is missing or of another shape, or there are tensors that are unknown
     * @throws IllegalArgumentException if the family has no such head
     */
    public BaseSource<ComputationGraph> model(Head head) throws IOException {
        return model(Transformer.addTo(builder(), shape, read(head)).build());
    }

    /**
     * {@return a custom graph with the folder's values}
     *
     * @param graph     {@link Transformer#addTo} and what goes on top of it, of this checkpoint's {@link #shape}; with the
     *                  updater, seed and data type that the network is to have
     * @param newLayers layers that are not in the folder: they start as configured, with the graph's seed
     * @throws IOException              if a tensor of another layer is missing or of another shape, or there are unknown ones
     * @throws IllegalArgumentException if another layer does not belong to a transformer, or has other settings (heads, padding,
     *                                  epsilon, activation, tied or not) than this folder's config.json says, or {@link #untied}
     */
    public BaseSource<ComputationGraph> model(ComputationGraphConfiguration graph, String... newLayers) throws IOException {
        return BaseSource.of(graph, folder.values(shape, graph, Set.of(newLayers)));
    }

    private static GraphBuilder builder() {
        return new NeuralNetConfiguration.Builder().graphBuilder();
    }

    /**
     * Writes a network that was made from this checkpoint, trained or merged, as a folder that transformers reads: config.json
     * with this folder's settings, model.safetensors in the network's data type, in shards above 5 GB, and this folder's
     * tokenizer. A bare model keeps this folder's pooler if the network has none. A decoder with a matrix of its own is written
     * with {@code tie_word_embeddings: false}. A sentence model gets this folder's prompts and longest text, or those of
     * {@link #withTextSettings}; those of a CrossEncoder's folder and the like are not kept. A new folder appears completely or
     * not at all; in an empty one, config.json comes last.
     *
     * @param network a stock network, with a head of the family or none
     * @param target  a folder that does not exist, or is empty
     * @throws IllegalArgumentException if the network is adapted or frozen: merge it first; if it is not initialised; if it is of
     *                                  another family, sizes or settings (heads, padding, epsilon, activation) than this folder,
     *                                  or has a custom head, or a vertex or an output that the family does not have; if it is no
     *                                  sentence model, but there are text settings of your own to write, or has not as many
     *                                  classes as {@link #withLabels} names, or these are of pairs of texts (entailment) and the
     *                                  network's input is not; or a weight is NaN or infinite. The message names the layer
     * @throws IOException              if the folder is not empty, or cannot be written
     */
    public void writeCheckpoint(ComputationGraph network, Path target) throws IOException {
        writeCheckpoint(network, target, SHARD_BYTES);
    }

    /**
     * As {@link #writeCheckpoint(ComputationGraph, Path)}.
     *
     * @param network    as there
     * @param target     as there
     * @param shardBytes size above which there are shards; none is larger, unless it has a single larger tensor
     * @throws IOException as there
     */
    public void writeCheckpoint(ComputationGraph network, Path target, long shardBytes) throws IOException {
        new CheckpointWriter(folder, Objects.requireNonNull(network, "The network is null"), texts, labels)
                .write(target, shardBytes);
    }
}
