package io.github.dl4jlora.onnx;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.SaveOption;
import io.github.dl4jlora.internal.file.AtomicFile;
import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Networks;
import io.github.dl4jlora.internal.undo.MergedValues;
import io.github.dl4jlora.onnx.adapter.AdapterInputs;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import io.github.dl4jlora.onnx.transformer.TextForm;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * Writes DL4J's networks as ONNX, so that ONNX Runtime and others compute what they compute: any MultiLayerNetwork or
 * ComputationGraph, stock, frozen, quantised or adapted. What adapters learned is merged on the way, layer by layer, as
 * {@code LoRA.merge} does; neither the network nor its base changes, and no second copy of it is in memory. Dropout, noise and
 * all else that only training needs disappears. Networks of DOUBLE, HALF and BFLOAT16 are written in FLOAT.
 *
 * <pre>{@code
 * OnnxExport.write(network, Path.of("network.onnx"));
 *
 * OnnxExport.of(tuned).inputs("image").outputs("digit").logits(true).weights(WeightType.INT8)
 *         .write(Path.of("digits.onnx"));
 * }</pre>
 *
 * <p>Tensors have DL4J's shapes: {@code [batch, size]}, {@code [batch, size, time]} or {@code [batch, time, size]},
 * {@code [batch, channels, height, width]} or {@code [batch, height, width, channels]}, and so on. Inputs are FLOAT; ids that
 * only embeddings read are INT64: {@code [batch, time]} for sequences, or {@code [batch, 1, time]} where a layer before the
 * embedding, or the type that you give, says so, {@code [batch, 1]} otherwise. The number of examples and the length of
 * sequences are open: one session takes any.
 */
public final class OnnxExport {

    private static final int OLDEST = 17;
    private static final int NEWEST = 21;

    private final Network<?> network;
    private int opset = OLDEST;
    private List<String> inputs = List.of();
    private List<String> outputs = List.of();
    private List<InputType> types = List.of();
    private List<LoRAAdapter> adapters = List.of();
    private long batch;
    private boolean openImages;
    private boolean masks;
    private @Nullable TextForm form;
    private boolean logits;
    private boolean externalData;
    private WeightType weights = WeightType.FLOAT;
    private final Map<String, String> metadata = new LinkedHashMap<>();

    private OnnxExport(Network<?> network) {
        this.network = network;
    }

    /**
     * Writes a network with all defaults.
     *
     * @param network a MultiLayerNetwork or ComputationGraph, initialised; not changed
     * @param path    of the file; an existing one is replaced, unless an option forbids that
     * @return what the file takes and gives
     * @throws OnnxExportException      if the network has a layer that ONNX has nothing like, or shapes that are not known
     * @throws IllegalArgumentException if the network is not initialised, was closed, or holds NaN or infinity; and of
     *                                  {@link WeightType#FLOAT16} for a weight of 65520 or more
     * @throws IllegalStateException    if the base of an adapted network has changed, its adapters are disabled, or a merged
     *                                  weight would be NaN or infinite
     * @throws IOException              if the file cannot be written; an existing one stays as it was
     */
    public static OnnxForm write(Model network, Path path, SaveOption... options) throws IOException {
        return of(network).write(path, options);
    }

    /**
     * Writes a base that takes adapters, see {@link #adapters}, with all defaults.
     *
     * @param base    a MultiLayerNetwork or ComputationGraph, not adapted; not changed
     * @param adapter of that base
     * @param path    of the file; an existing one is replaced, unless an option forbids that
     * @param options each at most once
     * @return what the file takes and gives, but for what adapters fill
     * @throws OnnxExportException      as {@link #write(Model, Path, SaveOption...)}, and for an adapter that does more than
     *                                  inputs can
     * @throws IllegalArgumentException as there, and if the adapter was made for another base
     * @throws IllegalStateException    as there
     * @throws IOException              as there
     */
    public static OnnxForm write(Model base, LoRAAdapter adapter, Path path, SaveOption... options) throws IOException {
        return of(base).adapters(adapter).write(path, options);
    }

    /**
     * An export with settings of its own.
     *
     * @param network a MultiLayerNetwork or ComputationGraph, initialised; not changed
     * @throws IllegalArgumentException if it is not initialised
     */
    public static OnnxExport of(Model network) {
        return new OnnxExport(Networks.of(network));
    }

    /**
     * The version of ONNX's operators: 17, the default, to 21. ONNX Runtime reads 17 from 1.12 on, 21 from 1.18 on. The version
     * of the file's form goes with it: 8 for 17 and 18, 9 for 19 and 20, 10 for 21.
     *
     * @return this
     * @throws OnnxExportException for another version
     */
    public OnnxExport opset(int version) {
        if (version < OLDEST || version > NEWEST) {
            throw new OnnxExportException("opset(" + version + "): " + OLDEST + " to " + NEWEST + " can be written. Leave the "
                    + "call out for " + OLDEST + ", which most runtimes read");
        }
        this.opset = version;
        return this;
    }

    /**
     * Names of the inputs, in the network's order. Default: a graph's own, "input" for a chain of layers.
     *
     * @return this
     * @throws OnnxExportException if there are more or fewer than the network has, or one is empty or given twice
     */
    public OnnxExport inputs(String... names) {
        inputs = checked("inputs", names, network.inputs().size());
        return this;
    }

    /**
     * Names of the outputs, in the network's order. Default: a graph's own, "output" for a chain of layers; but see
     * {@link #forText}.
     *
     * @return this
     * @throws OnnxExportException if there are more or fewer than the network has, or one is empty or given twice
     */
    public OnnxExport outputs(String... names) {
        outputs = checked("outputs", names, network.outputs().size());
        return this;
    }

    private static List<String> checked(String call, String[] names, int count) {
        Objects.requireNonNull(names, () -> call + "(null): give names, or leave the call out");
        List<String> checked = Arrays.asList(names.clone());
        if (checked.size() != count || checked.stream().anyMatch(name -> name == null || name.isBlank())
                || new HashSet<>(checked).size() < count) {
            throw new OnnxExportException(call + "(" + checked + "): the network has " + count + " of them. Give each a name of "
                    + "its own");
        }
        return checked;
    }

    /**
     * Types of the inputs, in the network's order. Default: what the network's first layers and preprocessors say of them. A
     * sequence's length is fixed if the type has one, as in {@code InputType.recurrent(12, 80)}, and otherwise open; sizes of
     * images are fixed, but see {@link #openImages}. Sizes that nobody knows are open as well, where no layer depends on them.
     * A type of ids may have as many values as there are different ids, as DL4J's have: the input has one value then.
     *
     * @return this
     * @throws OnnxExportException if there are more or fewer than the network has; and {@link #write(Path, SaveOption...)}
     *                             throws one if a layer does not read what is given
     */
    public OnnxExport inputTypes(InputType... types) {
        Objects.requireNonNull(types, "inputTypes(null): give types, or leave the call out");
        if (types.length != network.inputs().size() || Arrays.stream(types).anyMatch(Objects::isNull)) {
            throw new OnnxExportException("inputTypes(" + Arrays.toString(types) + "): the network has " + network.inputs().size()
                    + " inputs. Give each a type, in the network's order");
        }
        this.types = List.of(types);
        return this;
    }

    /**
     * {@return types of the inputs, in the network's order: those that were given, or what the layers say of them, with a size or
     * length that the network takes wherever it is open}
     *
     * @throws OnnxExportException if the layers do not tell, or do not read what was given
     */
    public List<InputType> typesOfInputs() {
        try (MergedValues values = MergedValues.of(network, "OnnxExport.typesOfInputs")) {
            return shapes(values).values().stream().map(shape -> shape.example().apply(0)).toList();
        }
    }

    private Map<String, Shape> shapes(MergedValues values) {
        Shapes read = new Shapes(network, values);
        return types.isEmpty() ? read.of(inputNames()) : read.given(inputNames(), types);
    }

    /**
     * Fixes the number of examples, for runtimes that plan ahead. Default: open.
     *
     * @param examples at least 1
     * @return this
     * @throws OnnxExportException if it is less
     */
    public OnnxExport batch(long examples) {
        if (examples < 1) {
            throw new OnnxExportException("batch(" + examples + "): a batch has at least 1 example. Leave the call out for "
                    + "batches of any size");
        }
        this.batch = examples;
        return this;
    }

    /**
     * Whether heights, widths and depths of images are left open even where they are known. Default: false. Layers that flatten
     * an image need its size, and are refused then. {@link #write(Path, SaveOption...)} refuses it of a network without images.
     *
     * @return this
     */
    public OnnxExport openImages(boolean open) {
        this.openImages = open;
        return this;
    }

    /**
     * Whether each sequence among the inputs has a mask {@code [batch, time]}, 1 for steps that count and 0 for others: an input
     * of its own, behind all features, called as those with {@code _mask} at the end. Default: false.
     * {@link #write(Path, SaveOption...)} refuses it of a network without sequences.
     *
     * @return this
     */
    public OnnxExport masks(boolean masked) {
        this.masks = masked;
        return this;
    }

    /**
     * Inputs and outputs as programs expect them that run Hugging Face's models, such as langchain4j's OnnxEmbeddingModel and
     * Spring AI's TransformersEmbeddingModel. For transformers of dl4j-lora-transformers.
     *
     * <pre>
     * inputs   input_ids, attention_mask, token_type_ids  INT64 [batch, length]; the last only of models with several types
     * outputs  last_hidden_state                          [batch, length, hidden]
     *          logits                                     [batch, length, vocabulary], of a language model
     *          start_logits, end_logits                   [batch, length], of a network that answers questions
     *          sentence_embedding                         [batch, hidden], of a network that pools; behind last_hidden_state
     * </pre>
     *
     * <p>The mask is 1 for tokens and 0 for padding, whatever its id. A program that pools last_hidden_state by itself must do so
     * as the network does: the mean of a text's vectors, or the first. A classifier has its own output alone. Names that
     * {@link #inputs} and {@link #outputs} give to the network's own inputs and outputs hold here, too; that of answers stands
     * behind {@code start_} and {@code end_}. It has the mask of the texts: {@link #masks} is refused beside it.
     *
     * @return this
     * @throws OnnxExportException if the network is no transformer, or makes ids of its inputs
     */
    public OnnxExport forText() {
        form = Transformers.form(network);
        return this;
    }

    /**
     * Whether softmax and sigmoid of the outputs are left out. Default: false.
     *
     * @return this
     */
    public OnnxExport logits(boolean bare) {
        this.logits = bare;
        return this;
    }

    /**
     * How weights are stored. Default: {@link WeightType#FLOAT}.
     *
     * @return this
     */
    public OnnxExport weights(WeightType stored) {
        this.weights = Objects.requireNonNull(stored, "weights(null): give a WeightType");
        return this;
    }

    /**
     * Whether weights go into a file of their own, called as the file with {@code .data} at the end, which must stay beside it.
     * Default: only above 2 GB, which is more than a file of ONNX may have. Both files are written before either appears; a
     * program that is killed just then may leave the first without the other.
     *
     * @return this
     */
    public OnnxExport externalData(boolean beside) {
        this.externalData = beside;
        return this;
    }

    /**
     * Gives each parameter that these adapters change inputs of its own: A, B and the scale of a matrix, or the new values of a
     * bias or of a layer that was trained in full. Their defaults give the base. {@link OnnxAdapter} writes files that ONNX
     * Runtime fills them from, and says what they are called. Ranks are open. Default: none.
     *
     * @param adapters of this network, which is not adapted itself; at least one
     * @return this
     * @throws OnnxExportException if there is none
     */
    public OnnxExport adapters(LoRAAdapter... adapters) {
        Objects.requireNonNull(adapters, "adapters(null): give adapters, or leave the call out");
        if (adapters.length == 0) {
            throw new OnnxExportException("adapters(): give adapters, or leave the call out");
        }
        for (LoRAAdapter adapter : adapters) {
            Objects.requireNonNull(adapter, "adapters(null): give adapters, or leave the call out");
        }
        this.adapters = List.of(adapters);
        return this;
    }

    /**
     * Adds an entry to the file's metadata, or replaces one of the library's: its version, how weights are stored and, for
     * adapted and frozen networks, each layer's content id and each adapter's settings.
     *
     * @return this
     */
    public OnnxExport metadata(String key, String value) {
        metadata.put(Objects.requireNonNull(key, "metadata: the key is null"),
                Objects.requireNonNull(value, () -> "metadata: the value of \"" + key + "\" is null"));
        return this;
    }

    /**
     * Writes the file. Whatever can be refused is refused before that.
     *
     * @param path    of the file; an existing one is replaced, unless an option forbids that
     * @return what the file takes and gives
     * @throws OnnxExportException      as {@link #write(Model, Path, SaveOption...)}, and if names are ambiguous
     * @throws IllegalArgumentException as there
     * @throws IllegalStateException    as there
     * @throws IOException              as there
     */
    public OnnxForm write(Path path, SaveOption... options) throws IOException {
        AtomicFile.requireNew(Objects.requireNonNull(path, "write(null): give the path of the file"), options);
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces();
             MergedValues values = MergedValues.of(network, "OnnxExport.write")) {
            OnnxGraph graph = graph(values);
            Map<String, String> entries = Metadata.of(network, weights);
            entries.putAll(metadata);
            new OnnxFile(graph, "network", entries).write(path, externalData, options);
            return OnnxForm.of(graph);
        }
    }

    private List<String> inputNames() {
        if (!inputs.isEmpty()) {
            return inputs;
        }
        if (form == null) {
            return network.isGraph() ? network.inputs() : List.of("input");
        }
        Map<String, String> usual = form.inputNames();
        return network.inputs().stream().map(input -> usual.getOrDefault(input, input)).toList();
    }

    private List<String> outputNames() {
        return !outputs.isEmpty() ? outputs : form != null ? form.outputNames()
                : network.isGraph() ? network.outputs() : List.of("output");
    }

    private OnnxGraph graph(MergedValues values) {
        if (masks && form != null) {
            throw new OnnxExportException("masks(true) and forText(): a text's mask is attention_mask already. Leave masks(true) "
                    + "out");
        }
        List<String> names = inputNames();
        List<String> named = outputNames();
        Map<String, Shape> shapes = shapes(values);
        if (openImages) {
            shapes.replaceAll((input, shape) -> shape.opened());
        }
        if (openImages && shapes.values().stream().noneMatch(Shape::isImage)) {
            throw new OnnxExportException("openImages(true): none of the inputs " + names + " is an image or a volume. Leave "
                    + "openImages(true) out");
        }
        requireUnambiguous(names, named);
        AdapterInputs changes = adapters.isEmpty() ? AdapterInputs.NONE : AdapterInputs.of(network.model(), adapters);
        OnnxGraph graph = new Drafts(network, values, changes, () -> new OnnxGraph(opset, weights.storage(), named), shapes,
                names, named, form).graph(batch, masks, logits);
        if (masks && names.stream().noneMatch(name -> graph.hasInput(name + Drafts.MASK))) {
            throw new OnnxExportException("masks(true): none of the inputs " + names + " is a sequence, so there is nothing to "
                    + "mask. Leave masks(true) out");
        }
        String twice = graph.ambiguous();
        if (twice != null) {
            throw new OnnxExportException("Two tensors would be called \"" + twice + "\". Choose other names for the inputs and "
                    + "outputs with OnnxExport.inputs(...) and outputs(...), or rename the layer");
        }
        return graph;
    }

    private static void requireUnambiguous(List<String> inputs, List<String> outputs) {
        if (inputs.stream().anyMatch(String::isBlank) || outputs.stream().anyMatch(String::isBlank)) {
            throw new OnnxExportException("An input or output of the network has an empty name, which ONNX takes for nothing. "
                    + "Give names with OnnxExport.inputs(...) and outputs(...)");
        }
        Set<String> names = new HashSet<>(inputs);
        for (String output : outputs) {
            if (!names.add(output)) {
                throw new OnnxExportException("An output is called \"" + output + "\", as an input or another output. Choose "
                        + "other names with OnnxExport.inputs(...) and outputs(...)");
            }
        }
    }
}
