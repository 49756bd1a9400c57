package io.github.dl4jlora.transformers.checkpoint;

import io.github.dl4jlora.conf.TorchParameter;
import io.github.dl4jlora.internal.file.AtomicFile;
import io.github.dl4jlora.internal.untrusted.Few;
import io.github.dl4jlora.internal.untrusted.RawValues;
import io.github.dl4jlora.internal.untrusted.Safetensors;
import io.github.dl4jlora.transformers.Family;
import io.github.dl4jlora.transformers.Head;
import io.github.dl4jlora.transformers.TextSettings;
import io.github.dl4jlora.transformers.Transformer;
import io.github.dl4jlora.transformers.TransformerShape;
import io.github.dl4jlora.transformers.layer.VocabularyMatrix;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.layers.BaseLayer;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.activations.impl.ActivationIdentity;
import org.nd4j.linalg.activations.impl.ActivationSigmoid;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;

/** Writes a stock network as a folder that transformers reads, with the names of transformers for the network's layers. */
public final class CheckpointWriter {

    private static final Map<String, String> METADATA = Map.of("format", "pt");
    private static final Map<DataType, String> TYPES = Map.of(DataType.FLOAT, "float32", DataType.HALF, "float16",
            DataType.BFLOAT16, "bfloat16", DataType.DOUBLE, "float64");
    private static final Logger LOG = LoggerFactory.getLogger(CheckpointWriter.class);
    private static final String TOKENIZER = TokenizerConfig.FILE;
    /** Tokenizers have one of these at least. A model can have any tokenizer, not only its family's. */
    private static final List<String> VOCABULARIES = List.of("tokenizer.json", "vocab.txt", "vocab.json",
            "sentencepiece.bpe.model", "sentencepiece.model", "spiece.model", "spm.model", "tokenizer.model");
    private static final List<String> BESIDE = Stream.concat(VOCABULARIES.stream(), Stream.of("merges.txt", "bpe.codes",
            TOKENIZER, "special_tokens_map.json", "added_tokens.json", "chat_template.jinja", "generation_config.json")).toList();
    private static final String REMEDY = "A checkpoint cannot hold anything else: ModelSerializer writes any network";

    private final CheckpointFolder origin;
    private final ComputationGraph network;
    private final List<String> labels;
    private final TransformerShape shape;
    private final Map<String, Layer> layers;
    private final SentenceModules sentences;
    private final Head.Kind kind;
    /** Null for the origin's. */
    private final TextSettings texts;

    /**
     * @param origin whose settings the network has
     * @param texts  prompts and longest text of a sentence model; null for the origin's
     * @param labels names of the head's classes; empty for the origin's
     * @throws IllegalArgumentException if the network is not initialised, adapted or frozen, or does not have the origin's
     *                                  family, sizes and settings; if there are texts, but it is no sentence model
     */
    public CheckpointWriter(CheckpointFolder origin, ComputationGraph network, TextSettings texts, List<String> labels) {
        this.origin = origin;
        this.network = network;
        this.texts = texts;
        this.labels = labels;
        requireInitialised(network);
        this.layers = stockLayers(network);
        boolean isUntied = layers.values().stream().anyMatch(VocabularyMatrix.class::isInstance);
        this.shape = isUntied ? origin.config().shape().untied() : origin.config().shape();
        this.sentences = SentenceNetwork.of(network.getConfiguration(), shape);
        if (sentences != null) {
            sentences.dense().forEach(dense -> layers.remove(dense.layer()));
        }
        this.kind = kind();
        requireNothingElse();
        if (texts != null && sentences == null) {
            throw new IllegalArgumentException("The network gives no vector for each text, so that prompts and the longest text "
                    + "have no place in its folder. Write it without withTextSettings, or put a pooling on top: "
                    + "sentenceEncoder(Pooling.MEAN)");
        }
        requireSizes();
        LayerSettings.require(expectedVertices(kind), network.getConfiguration().getVertices(), origin.path(),
                "Write it with the checkpoint that it was made from");
    }

    private static void requireInitialised(ComputationGraph network) {
        if (network.getVertices() == null) {
            throw new IllegalArgumentException("The network is not initialised, so it has no weights to write: call init(), "
                    + "train it or restore it first");
        }
    }

    private static Map<String, Layer> stockLayers(ComputationGraph network) {
        Map<String, Layer> layers = new LinkedHashMap<>();
        for (Map.Entry<String, GraphVertex> vertex : network.getConfiguration().getVertices().entrySet()) {
            Object configured = vertex.getValue() instanceof LayerVertex layer ? layer.getLayerConf().getLayer()
                    : vertex.getValue();
            String room = configured.getClass().getPackageName();
            if (room.startsWith("io.github.dl4jlora.layer") || room.startsWith("io.github.dl4jlora.frozen")) {
                throw new IllegalArgumentException("Layer \"" + vertex.getKey() + "\" is a "
                        + configured.getClass().getSimpleName() + ": the network is adapted or frozen. Write the result of "
                        + "LoRA.merge, or only the adapter: LoRAAdapter.of(network).save(folder)");
            }
            if (vertex.getValue().numParams(true) > 0) {
                layers.put(vertex.getKey(), configured instanceof Layer layer ? layer : null);
            }
        }
        return layers;
    }

    private Head.Kind kind() {
        Family family = shape.family();
        Set<String> fewest = null;
        for (Head.Kind kind : Head.Kind.values()) {
            Set<String> differing = family.hasHead(kind) ? difference(layers.keySet(), expected(kind).keySet()) : layers.keySet();
            if (differing.isEmpty()) {
                return kind == Head.Kind.CLASSIFIER ? textHead() : kind == Head.Kind.MASKED_WORDS ? words() : kind;
            }
            fewest = fewest == null || differing.size() < fewest.size() ? differing : fewest;
        }
        throw new IllegalArgumentException("The network is none of " + Architectures.of(family).keySet() + " with "
                + shape.layers() + " layers: it differs from the closest in " + Few.of(fewest) + ". A checkpoint cannot hold a "
                + "custom head: ModelSerializer writes any network");
    }

    /** The kind of a head for sequence classification, by what goes on top of its dense layer. */
    private Head.Kind textHead() {
        Layer output = layers.get(Transformer.output(shape, Head.classifier(2)));
        IActivation activation = output instanceof BaseLayer layer ? layer.getActivationFn() : null;
        return activation instanceof ActivationSigmoid ? Head.Kind.MULTI_LABEL
                : activation instanceof ActivationIdentity ? Head.Kind.REGRESSION : Head.Kind.CLASSIFIER;
    }

    /** The kind of a masked language model, whose layers are the same for all words and for some. */
    private Head.Kind words() {
        return network.getConfiguration().getNetworkInputs().contains(Transformer.MASKED_POSITIONS)
                ? Head.Kind.MASKED_WORDS_AT_POSITIONS : Head.Kind.MASKED_WORDS;
    }

    /** Vertices without parameters are no tensors, but change what the network computes. */
    private void requireNothingElse() {
        ComputationGraphConfiguration found = network.getConfiguration();
        ComputationGraphConfiguration expected = LayerSettings.graph(shape, read(head(kind)));
        LayerSettings.requireInputs(expected, found, REMEDY);
        String last = expected.getNetworkOutputs().get(0);
        // A class with a pooler gives the vectors of all tokens, too.
        List<String> outputs = List.of(last, Transformer.output(shape, Head.tokenVectors()));
        for (String output : found.getNetworkOutputs()) {
            if (sentences == null && !outputs.contains(LayerSettings.source(output, expected, found))) {
                throw new IllegalArgumentException("The network's output \"" + output + "\" is not \"" + last + "\", that of "
                        + architecture() + (kind != Head.Kind.TOKEN_VECTORS ? "" : ", and not what a sentence model makes of "
                        + "this: a Pooling of Checkpoint.shape(), and then dense layers named as \"2_Dense.linear\" and "
                        + "L2NormalizeVertex") + ". " + REMEDY);
            }
        }
    }

    private static Set<String> difference(Set<String> one, Set<String> other) {
        Set<String> differing = new TreeSet<>(one);
        differing.addAll(other);
        differing.removeIf(name -> one.contains(name) && other.contains(name));
        return differing;
    }

    private Map<String, Layer> expected(Head.Kind kind) {
        Map<String, Layer> expected = new LinkedHashMap<>();
        expectedVertices(kind).forEach((name, vertex) -> {
            if (vertex.numParams(true) > 0) {
                expected.put(name, ((LayerVertex) vertex).getLayerConf().getLayer());
            }
        });
        return expected;
    }

    private Map<String, GraphVertex> expectedVertices(Head.Kind kind) {
        return LayerSettings.vertices(shape, head(kind));
    }

    private Head head(Head.Kind kind) {
        int fewest = Head.fewest(kind);
        return fewest == 0 ? new Head(kind, 0) : new Head(kind, Math.max(fewest, outputs(new Head(kind, fewest))));
    }

    private Head read(Head head) {
        return network.getConfiguration().getNetworkInputs().contains(Transformer.TOKEN_TYPE_IDS) ? head.ofPairs() : head;
    }

    /** The number of outputs, if the network has the last layer of such a head. */
    private int outputs(Head head) {
        List<String> names = head.layers(shape.family());
        Layer output = layers.get(names.get(names.size() - 1));
        return output instanceof FeedForwardLayer layer ? (int) layer.getNOut() : 0;
    }

    private void requireSizes() {
        expected(kind).forEach((name, layer) -> {
            List<TorchParameter> found = layers.get(name) == null ? List.of()
                    : shape.family().names().parameters(name, layers.get(name));
            List<TorchParameter> wanted = shape.family().names().parameters(name, layer);
            if (!shapes(found).equals(shapes(wanted))) {
                throw new IllegalArgumentException("Layer \"" + name + "\" has " + (found.isEmpty() ? "another type: it is a "
                        + (layers.get(name) == null ? "vertex" : LayerSettings.kind(layers.get(name)))
                        : "the tensors " + shapes(found)) + ", but according to " + origin.path() + " it is a "
                        + layer.getClass().getSimpleName() + " with " + shapes(wanted));
            }
        });
    }

    private static List<String> shapes(List<TorchParameter> parameters) {
        return parameters.stream().map(parameter -> parameter.tensor() + Arrays.toString(parameter.shape())).toList();
    }

    /**
     * Writes the folder. A new one appears completely or not at all; in an empty one, config.json comes last.
     *
     * @param shardBytes the largest size of a file of tensors, unless a single tensor is larger
     * @throws IllegalArgumentException if a weight is NaN or infinite, the head has not as many classes as there are names, or
     *                                  these are of a head of pairs, and it is of single texts
     * @throws IOException              if the folder is not empty, or cannot be written
     */
    public void write(Path folder, long shardBytes) throws IOException {
        requireNew(folder);
        DataType type = network.params().dataType();
        Map<String, AtomicFile.Content> files = new LinkedHashMap<>();
        byte[] config = origin.config().with(architecture(), read(head(kind)), isTextHeadStored(), labels, TYPES.get(type),
                shape.tied());
        files.put("config.json", out -> out.write(config));
        Shards.addTo(files, tensors(type), METADATA, shardBytes);
        if (sentences != null) {
            files.putAll(SentenceFiles.of(sentences, shape, origin.path(), texts));
            for (SentenceModules.Dense dense : sentences.dense()) {
                Map<String, Safetensors.Later> tensors = tensors(dense, type);
                files.put(dense.path() + "/" + TensorFiles.WHOLE, out -> Safetensors.writeOneByOne(out, tensors, METADATA));
            }
        }
        for (String name : BESIDE) {
            if (Files.exists(origin.path().resolve(name))) {
                Path file = TensorFiles.inside(origin.path(), name);
                files.put(name, out -> Files.copy(file, out));
            }
        }
        if (files.containsKey(TOKENIZER) && Collections.disjoint(files.keySet(), VOCABULARIES)) {
            LOG.warn("{} has {}, but none of {}: the tokenizer's vocabulary is not written. Copy it into {} yourself",
                    origin.path(), TOKENIZER, VOCABULARIES, folder);
        }
        if (sentences == null) {
            AtomicFile.writeFolder(folder, files);
        } else {
            NewFolder.write(folder, files);
        }
    }

    /** Whether the head gives classes of texts, and has the folder's values: those of a new or a trained one are others. */
    private boolean isTextHeadStored() throws IOException {
        if (!architecture().equals(Architectures.classifier(shape.family()))) {
            return false;
        }
        String output = Transformer.output(shape, Head.classifier(2));
        TorchParameter matrix = shape.family().names().parameters(output, layers.get(output)).get(0);
        try (INDArray values = copy(matrix)) {
            return origin.holds(matrix.tensor(), values);
        }
    }

    private static void requireNew(Path folder) throws IOException {
        if (Files.isDirectory(folder)) {
            try (Stream<Path> there = Files.list(folder)) {
                if (there.allMatch(NewFolder::isNothing)) {
                    return;
                }
            }
        } else if (Files.notExists(folder)) {
            return;
        }
        throw new FileAlreadyExistsException(folder.toString(), null, "it exists and is not empty, and a checkpoint could be "
                + "mixed up with its files. Choose another name. Nothing was written");
    }

    private String architecture() {
        Head.Kind saved = switch (kind) {
            case MEAN_POOLING, FIRST_TOKEN, MAX_POOLING, POOLER -> Head.Kind.TOKEN_VECTORS;
            case MASKED_WORDS_AT_POSITIONS -> Head.Kind.MASKED_WORDS;
            case REGRESSION, MULTI_LABEL -> Head.Kind.CLASSIFIER;
            default -> kind;
        };
        return Architectures.of(shape.family()).entrySet().stream().filter(entry -> entry.getValue() == saved).findFirst()
                .orElseThrow().getKey();
    }

    private Map<String, Safetensors.Later> tensors(DataType type) {
        Map<String, Safetensors.Later> tensors = new LinkedHashMap<>();
        expectedVertices(kind).forEach((name, vertex) -> {
            List<TorchParameter> parameters = vertex instanceof LayerVertex layer
                    ? shape.family().names().parameters(name, layer.getLayerConf().getLayer()) : List.of();
            // transformers 5 reads the bias of an untied decoder by the decoder's name only.
            parameters.stream().filter(parameter -> parameter.layer().equals(name) || !shape.tied()).forEach(parameter ->
                    tensors.put(parameter.tensor(), new Safetensors.Later(type, parameter.shape(), () -> copy(parameter))));
        });
        if (architecture().endsWith("Model") && kind != Head.Kind.NEXT_WORD) {
            origin.pooler(type).forEach(tensors::putIfAbsent);
        }
        return tensors;
    }

    private Map<String, Safetensors.Later> tensors(SentenceModules.Dense dense, DataType type) {
        Map<String, Safetensors.Later> tensors = new LinkedHashMap<>();
        Layer layer = ((LayerVertex) dense.vertex()).getLayerConf().getLayer();
        shape.family().names().parameters(dense.layer(), layer).forEach(parameter -> tensors.put(
                parameter.tensor().substring(dense.path().length() + 1),
                new Safetensors.Later(type, parameter.shape(), () -> copy(parameter))));
        return tensors;
    }

    private INDArray copy(TorchParameter parameter) {
        INDArray values = parameter.oriented(network.getLayer(parameter.layer()).getParam(parameter.key())).dup('c');
        if (RawValues.firstNotFinite(values) >= 0) {
            values.close();
            throw new IllegalArgumentException("Layer \"" + parameter.layer() + "\": " + parameter.key()
                    + " holds NaN or infinity");
        }
        return values;
    }
}
