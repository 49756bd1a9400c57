package io.github.dl4jlora.transformers.checkpoint;

import io.github.dl4jlora.BaseSource;
import io.github.dl4jlora.internal.untrusted.Safetensors;
import io.github.dl4jlora.transformers.CheckpointException;
import io.github.dl4jlora.transformers.Family;
import io.github.dl4jlora.transformers.Head;
import io.github.dl4jlora.transformers.TextSettings;
import io.github.dl4jlora.transformers.TokenizerSettings;
import io.github.dl4jlora.transformers.Transformer;
import io.github.dl4jlora.transformers.TransformerShape;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** A folder whose config.json and tensors agree in all sizes, so that the files limit how large a graph of its shape is. */
public final class CheckpointFolder {

    private static final String CONFIG = "config.json";
    private static final String ADAPTER = "adapter_config.json";
    /** Ten times as many as in the largest GPT-2: a graph has twenty vertices for each, however small their tensors are. */
    private static final int MOST_LAYERS = 512;

    private final Path path;
    private final CheckpointConfig config;
    private final TensorFiles files;
    private final TensorNames names;

    private CheckpointFolder(Path path, CheckpointConfig config, TensorFiles files) throws IOException {
        this.path = path;
        this.config = config;
        this.files = files;
        this.names = names(files);
    }

    private TensorNames names(TensorFiles of) throws IOException {
        return new TensorNames(config.shape(), of, path + (config.architectures().isEmpty() ? ""
                : ", saved from " + ConfigFile.shown(config.architectures()) + ","));
    }

    /**
     * Reads config.json and the headers of the tensors' files.
     *
     * @throws IOException if one of them is missing, damaged or not supported, they contradict each other, or the folder is an
     *                     adapter's
     */
    public static CheckpointFolder open(Path path) throws IOException {
        requireNoAdapter(path);
        if (!Files.exists(path.resolve(CONFIG)) && Files.exists(path.resolve(SentenceModules.MODULES))) {
            // Of a model without a transformer, or with one in another folder.
            SentenceSettings.parts(path);
        }
        CheckpointFolder folder = new CheckpointFolder(path,
                CheckpointConfig.read(TensorFiles.inside(path, CONFIG)).padded(path),
                TensorFiles.open(path));
        folder.requireSizes();
        return folder;
    }

    /** transformers opens the base that an adapter names, whatever model lies beside the adapter. */
    private static void requireNoAdapter(Path path) throws IOException {
        if (!Files.exists(path.resolve(ADAPTER))) {
            return;
        }
        String base = ConfigFile.read(TensorFiles.inside(path, ADAPTER)).text(null, "base_model_name_or_path");
        throw new CheckpointException(path.resolve(ADAPTER) + " says that the folder holds an adapter"
                + (Files.exists(path.resolve(CONFIG)) ? ", which transformers applies when it opens the folder"
                : ", not a model: there is no " + CONFIG) + ". Open its base" + (base == null ? ""
                : ", \"" + ConfigFile.shown(base) + "\",") + " and call LoRA.apply(network, LoRAAdapter.load(folder))"
                + (Files.exists(path.resolve(CONFIG)) ? ". To open the model without the adapter, move " + ADAPTER
                + " and adapter_model.safetensors elsewhere" : ""));
    }

    public Path path() {
        return path;
    }

    public CheckpointConfig config() {
        return config;
    }

    /**
     * {@return tokenizer.json, if the folder has one}
     *
     * @throws IOException if it is a Git LFS pointer
     */
    public Optional<Path> tokenizer() throws IOException {
        return TensorFiles.tokenizer(path);
    }

    /**
     * {@return what transformers sets over tokenizer.json}
     *
     * @throws IOException if a file that says it is damaged there
     */
    public TokenizerSettings tokenizerSettings() throws IOException {
        return TokenizerConfig.read(path, config);
    }

    /**
     * {@return the kind of head of the class that config.json names first}
     *
     * @throws IOException if it names none, or an unknown one
     */
    public Head.Kind kind() throws IOException {
        Map<String, Head.Kind> known = Architectures.of(config.shape().family());
        List<String> said = config.architectures();
        Head.Kind kind = said.isEmpty() ? null : known.get(said.get(0));
        if (kind == null) {
            throw new CheckpointException(
                    path + ": " + CONFIG + " says \"architectures\": " + ConfigFile.shown(said) + ", but expected "
                    + "is one of " + known.keySet() + ". Call the method for the model instead: encoder(), "
                    + "maskedLanguageModel(), "
                    + "classifier(2, updater, seed)…");
        }
        return kind;
    }

    /**
     * {@return the head of the class that config.json names first}
     *
     * @throws IOException as {@link #kind}, and if the tensors are not those of this head
     */
    public Head head() throws IOException {
        Head.Kind kind = kind();
        return switch (kind) {
            case CLASSIFIER -> textHead();
            case TOKEN_CLASSES -> config.tokenHead(outputs(Head.tokenClassifier(2), "tokens",
                    Architectures.tokenClassifier(config.shape().family())));
            default -> new Head(kind, 0);
        };
    }

    private void requireSizes() throws IOException {
        TransformerShape shape = config.shape();
        Family family = shape.family();
        require(family.words(), shape.vocabulary(), shape.hidden());
        require(family.positions(), shape.positions(), shape.hidden());
        if (shape.tokenTypes() > 0) {
            require(family.types(), shape.tokenTypes(), shape.hidden());
        }
        for (int layer = 0; layer < shape.layers(); layer++) {
            String module = family.name(layer, family.wide());
            if (names.find(module + ".weight") == null) {
                throw new CheckpointException(
                        path + ": " + CONFIG + " has " + shape.layers() + " layers, but the tensors are those of "
                        + layer + ": there is no \"" + module + ".weight\"");
            }
            if (family.storesInByOut()) {
                require(module, shape.hidden(), shape.intermediate());
            } else {
                require(module, shape.intermediate(), shape.hidden());
            }
        }
        if (shape.layers() > MOST_LAYERS) {
            throw new CheckpointException(path + ": " + CONFIG + " has " + shape.layers() + " layers; at most " + MOST_LAYERS
                    + " are supported");
        }
    }

    private void require(String module, long... shape) throws IOException {
        String found = names.find(module + ".weight");
        if (found == null) {
            throw new CheckpointException(path + " lacks the tensor \"" + module + ".weight\", with or without \""
                    + config.shape().family().prefix() + "\" before it");
        }
        files.requireShape(found, shape);
    }

    /**
     * {@return the stored head for sequence classification}
     *
     * @throws IOException if there is none, or config.json does not say what its outputs are
     */
    public Head textHead() throws IOException {
        return config.textHead(textOutputs());
    }

    private int textOutputs() throws IOException {
        return outputs(Head.classifier(2), "sequence", Architectures.classifier(config.shape().family()));
    }

    /**
     * Warns if a new head would be written with the names of the stored head's classes.
     *
     * @throws IOException if config.json is damaged there
     */
    public void tellNames(Head head) throws IOException {
        Family family = config.shape().family();
        switch (head.kind()) {
            case CLASSIFIER, MULTI_LABEL, REGRESSION -> config.tellNames(Architectures.classifier(family), head);
            case TOKEN_CLASSES -> config.tellNames(Architectures.tokenClassifier(family), head);
            default -> { }
        }
    }

    /**
     * {@return the stored head, which is a classifier of texts}
     *
     * @throws IOException as {@link #textHead}, and if it is another
     */
    public Head classifier() throws IOException {
        Head head = textHead();
        if (head.kind() != Head.Kind.CLASSIFIER) {
            throw new CheckpointException(path + ": " + CONFIG + " describes a head of kind " + head.kind() + " with "
                    + head.classes() + " outputs, not a classifier: model() gives the model with this head; for a new head use "
                    + "classifier(classes, updater, seed)");
        }
        return head;
    }

    /**
     * {@return the stored head, which has one output, as a reranker} A problem_type is about losses, and no loss is asked for.
     *
     * @throws IOException if there is none, it has more outputs, or config.json gives another number
     */
    public Head reranker() throws IOException {
        int outputs = textOutputs();
        config.requireLabels(outputs);
        if (outputs != 1) {
            throw new CheckpointException(path + ": the stored head has " + outputs + " outputs, but a reranker's has one"
                    + ": for a new head use model(Head.reranker(), updater, seed)");
        }
        return Head.reranker();
    }

    /** The rows of a stored head's last layer. */
    private int outputs(Head head, String of, String architecture) throws IOException {
        List<String> layers = head.layers(config.shape().family());
        String module = layers.get(layers.size() - 1);
        String found = names.find(module + ".weight");
        if (found == null) {
            throw new CheckpointException(path + ", saved from " + ConfigFile.shown(config.architectures()) + ", has no head for "
                    + of + " classification, which would hold the tensor \"" + module + ".weight\". Ask for a new one: "
                    + "classifier(classes, updater, seed) or model(head, updater, seed)");
        }
        config.requireClass(architecture);
        long[] shape = files.shape(found);
        if (shape.length != 2 || shape[0] > Integer.MAX_VALUE) {
            files.requireShape(found, config.file().number(2, 2, "num_labels"), config.shape().hidden());
        }
        return (int) shape[0];
    }

    /**
     * {@return what sentence-transformers has on top of the transformer}
     *
     * @throws IOException if that is not supported, or the files that say it are damaged
     */
    public SentenceModules sentenceModules() throws IOException {
        SentenceModules modules = SentenceModules.read(path, config.shape().hidden());
        SentenceTexts.tellDefaultPrompt(path, config.shape().longestText());
        return modules;
    }

    /** {@return what sentence-transformers does with texts} */
    public TextSettings textSettings() throws IOException {
        return SentenceTexts.read(path, config.shape().longestText());
    }

    /**
     * {@return the values of a graph}
     *
     * @param shape this folder's, or the same untied: then the decoder's own matrix gets the values of the word embeddings
     * @param added layers that start as their configuration says
     * @throws IOException              if the tensors of the others are not all there, in their shapes, or there are unknown ones
     * @throws IllegalArgumentException if a layer that was not added is not of the family, or has other settings than config.json
     */
    public BaseSource.Values values(TransformerShape shape, ComputationGraphConfiguration graph, Set<String> added)
            throws IOException {
        if (hasStoredClassifier(graph, added)) {
            config.requireClass(Architectures.classifier(config.shape().family()));
            if (!graph.getNetworkInputs().contains(Transformer.TOKEN_TYPE_IDS)) {
                config.requireSingleTexts();
            }
        }
        if (graph.getVertices().containsKey(Transformer.TOKEN_CLASSES)
                && !added.containsAll(graph.getVertexInputs().get(Transformer.TOKEN_CLASSES))) {
            config.requireClass(Architectures.tokenClassifier(config.shape().family()));
        }
        Map<String, GraphVertex> expected = LayerSettings.vertices(shape);
        TensorFiles all = files;
        for (SentenceModules.Dense dense : dense(graph, added)) {
            all = all.with(path, dense.path());
            expected.put(dense.layer(), dense.vertex());
        }
        BaseSource.Values values = StoredModel.of(graph, config.shape().family(), all, all == files ? names : names(all), added);
        // Which pooling is the user's choice.
        expected.remove(Transformer.POOLING);
        expected.putAll(LayerSettings.poolings(graph, shape.padding()));
        expected.keySet().retainAll(graph.getVertices().keySet());
        expected.keySet().removeAll(added);
        LayerSettings.require(expected, graph.getVertices(), path, "Build the graph on Checkpoint.shape()");
        return values;
    }

    /** {@return the dense layers of the folder's sentence model that a graph has and that are not new} */
    private List<SentenceModules.Dense> dense(ComputationGraphConfiguration graph, Set<String> added) throws IOException {
        boolean isPossible = graph.getVertices().keySet().stream().anyMatch(name -> name.endsWith(SentenceModules.Dense.LINEAR)
                && !added.contains(name));
        return !isPossible ? List.of() : SentenceModules.read(path, config.shape().hidden()).dense().stream()
                .filter(dense -> graph.getVertices().containsKey(dense.layer()) && !added.contains(dense.layer())).toList();
    }

    /** {@return whether the graph has the family's classifier of texts, and not only a layer of the same name on other inputs} */
    private boolean hasStoredClassifier(ComputationGraphConfiguration graph, Set<String> added) {
        Head head = Head.classifier(2);
        String output = Transformer.output(config.shape(), head);
        return !added.contains(output) && LayerSettings.inputs(config.shape(), head, output)
                .equals(graph.getVertexInputs().get(output));
    }

    /** {@return whether the folder has a tensor with these values, in their data type} */
    boolean holds(String tensor, INDArray values) throws IOException {
        String found = names.find(tensor);
        if (found == null || !Arrays.equals(files.shape(found), values.shape())) {
            return false;
        }
        try (INDArray stored = Nd4j.createUninitialized(values.dataType(), values.shape())) {
            files.readInto(found, stored);
            return stored.equals(values);
        }
    }

    /** {@return the folder's pooler, by the names of its tensors in a bare model, for a network without a pooler} */
    Map<String, Safetensors.Later> pooler(DataType type) {
        Map<String, Safetensors.Later> tensors = new LinkedHashMap<>();
        for (String name : List.of("pooler.dense.weight", "pooler.dense.bias")) {
            String found = names.find(name);
            if (found != null) {
                tensors.put(name, new Safetensors.Later(type, files.shape(found), () -> {
                    INDArray read = Nd4j.createUninitialized(type, files.shape(found));
                    files.readInto(found, read);
                    return read;
                }));
            }
        }
        return tensors;
    }
}
