package io.github.dl4jlora.adapter;

import io.github.dl4jlora.BiasTraining;
import io.github.dl4jlora.FrozenStorage;
import io.github.dl4jlora.LoRAConfig;
import io.github.dl4jlora.LoRAInit;
import io.github.dl4jlora.Scaling;
import io.github.dl4jlora.internal.file.AtomicFile;
import io.github.dl4jlora.layer.LoRADenseLayer;
import io.github.dl4jlora.internal.rewrite.AdaptedView;
import io.github.dl4jlora.internal.rewrite.DisabledScopes;
import io.github.dl4jlora.internal.rewrite.BaseMatrices;
import io.github.dl4jlora.variant.DoRA;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.BooleanIndexing;
import org.nd4j.linalg.indexing.conditions.Conditions;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeSet;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.UnaryOperator;
import java.util.regex.Pattern;

/**
 * What training added to a base network: A and B of every adapted layer, and the values of layers that were trained in
 * full. A thing of its own, without the base: it knows the content ids of the layers it belongs to.
 *
 * <p>On disk it is PEFT's directory of two files, {@code adapter_model.safetensors} and {@code adapter_config.json},
 * from which PEFT computes the same function.
 */
public final class LoRAAdapter {

    private static final Logger LOG = LoggerFactory.getLogger(LoRAAdapter.class);

    private static final String TENSORS = "adapter_model.safetensors";
    private static final String CONFIG = "adapter_config.json";
    static final String PREFIX = "base_model.model.";
    private static final String SUFFIX_A = TensorLayout.LINEAR.nameOfA();
    private static final String SUFFIX_B = TensorLayout.LINEAR.nameOfB();
    private static final long LONGEST_CONFIG = 16 << 20;

    private static final String FORMAT = "dl4j_lora.format";
    private static final String FORMAT_VERSION = "1";
    private static final String WRITTEN_BY = "dl4j_lora.version";
    private static final String SCALING = "dl4j_lora.scaling.";
    private static final String ALPHA = "dl4j_lora.alpha.";
    private static final String VARIANT = "dl4j_lora.variant";
    private static final String INIT = "dl4j_lora.init";
    private static final String SAVED_CONFIG = "dl4j_lora.adapter_config";
    private static final String BASE_ID = "dl4j_lora.base.";

    private final Map<String, Delta> deltas;
    /** By layer, then by PyTorch's parameter name, in PyTorch's orientation. */
    private final Map<String, Map<String, INDArray>> trained;
    private final Biases biases;
    private final double dropout;
    private final Map<String, double[]> singularValues = new ConcurrentHashMap<>();

    LoRAAdapter(Map<String, Delta> deltas, Map<String, Map<String, INDArray>> trained, double dropout) {
        this(deltas, trained, Biases.NONE, dropout);
    }

    LoRAAdapter(Map<String, Delta> deltas, Map<String, Map<String, INDArray>> trained, Biases biases, double dropout) {
        this.deltas = deltas;
        this.trained = trained;
        this.biases = biases;
        this.dropout = dropout;
    }

    /**
     * Copies the adapter out of a network.
     *
     * @throws IllegalArgumentException if the network is not adapted
     * @throws IllegalStateException    if its base has changed since it was adapted, or its adapters are disabled
     */
    public static LoRAAdapter of(Model adapted) {
        DisabledScopes.requireNone(adapted, "LoRAAdapter.of");
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            AdaptedView view = AdaptedView.of(adapted);
            Map<String, String> ids = view.verifiedIds();
            Map<String, Delta> deltas = new LinkedHashMap<>();
            view.adaptedMatrices().forEach((name, matrix) -> deltas.put(name, delta(matrix, ids.get(matrix.layer()))));
            if (deltas.isEmpty()) {
                throw new IllegalArgumentException("The network has no adapted layer: make one with LoRA.apply");
            }
            Map<String, Map<String, INDArray>> trained = new LinkedHashMap<>();
            view.trainedLayers().forEach((name, layer) -> {
                Map<String, INDArray> values = new LinkedHashMap<>();
                TorchLayout.keysByName(layer.conf(), layer.table().keySet()).forEach((torchName, key) ->
                        values.put(torchName, TorchLayout.toTorch(layer.conf(), key, layer.table().get(key)).dup('c')));
                trained.put(name, values);
            });
            return new LoRAAdapter(deltas, trained, Biases.of(view), view.dropout());
        }
    }

    private static Delta delta(AdaptedView.AdaptedMatrix matrix, String baseId) {
        Map<String, INDArray> more = new LinkedHashMap<>();
        matrix.parts().forEach((key, value) -> more.put(key, value.dup()));
        INDArray a = more.remove(Variant.A);
        INDArray b = more.remove(Variant.B);
        LoRADenseLayer dense = matrix.dense();
        Kind kind = dense == null ? Kind.PLAIN : new Kind(dense.getVariant(), dense.getLoraInit(), dense.getPissaIterations());
        return new Delta(a, b, matrix.alpha(), matrix.scaling(), baseId, TensorLayout.of(matrix.stock()), more, kind);
    }

    /** Names of the adapted layers, in topological order. */
    public List<String> layers() {
        return List.copyOf(deltas.keySet());
    }

    /** Names of the layers that were trained in full. */
    public List<String> trainedLayers() {
        return List.copyOf(trained.keySet());
    }

    /**
     * The rank of a layer's A and B.
     *
     * @throws NoSuchElementException if the adapter has no such layer
     */
    public int rank(String layer) {
        return delta(layer).rank();
    }

    /**
     * Content id of the frozen layer that A and B belong to; empty if the file that they came from does not say.
     *
     * @throws NoSuchElementException if the adapter has no such layer
     */
    public Optional<String> baseId(String layer) {
        return Optional.ofNullable(delta(layer).baseId());
    }

    Map<String, Delta> deltas() {
        return deltas;
    }

    /** By layer, then by PyTorch's parameter name, in PyTorch's orientation. */
    Map<String, Map<String, INDArray>> trained() {
        return trained;
    }

    Biases biases() {
        return biases;
    }

    double dropout() {
        return dropout;
    }

    /**
     * What the adapter adds to a layer's weights: ΔW = s·A·B, less its start where that was taken from W.
     *
     * @return a new array {@code [nIn, nOut]}, for a convolution {@code [nOut, nIn, kernel…]}
     * @throws NoSuchElementException   if the adapter has no such layer
     * @throws IllegalArgumentException for DoRA, which does more than to add
     */
    public INDArray deltaWeight(String layer) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            Delta delta = product(layer, "deltaWeight");
            INDArray product = Nd4j.create(delta.a().dataType(), new long[] {delta.a().size(0), delta.b().size(1)}, 'f');
            return delta.layout().weight(Nd4j.gemm(delta.a(), delta.b(), product, false, false, delta.factor(), 0));
        }
    }

    /** What a layer's adapter adds, as one product. */
    private Delta product(String layer, String purpose) {
        return delta(layer).plain(layer, purpose);
    }

    /**
     * The adapter as one that starts from nothing: where A and B started as a part of W, it gets twice the rank and the same
     * ΔW, and can be used on the base as it is, together with other adapters. PEFT's
     * {@code path_initial_model_for_weight_conversion}. Where nothing was taken from W, this adapter.
     *
     * @throws IllegalArgumentException for DoRA, whose magnitude cannot be added, or a file that lacks the start
     */
    public LoRAAdapter toPlainLoRA() {
        if (deltas.values().stream().noneMatch(delta -> delta.kind().init().isTakenFromW())) {
            return this;
        }
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            Map<String, Delta> plain = new LinkedHashMap<>();
            deltas.forEach((name, delta) -> plain.put(name, delta.plain(name, "toPlainLoRA")));
            return new LoRAAdapter(plain, trained, biases, dropout);
        }
    }

    /**
     * The Frobenius norm of ΔW, which is not formed.
     *
     * @throws NoSuchElementException if the adapter has no such layer
     * @throws IllegalStateException  if A or B holds NaN or infinity
     */
    public double norm(String layer) {
        return Math.sqrt(Arrays.stream(singularValues(layer, "norm")).map(value -> value * value).sum());
    }

    /**
     * The singular values of ΔW, which is not formed: how many directions the adapter uses, and how strongly.
     *
     * @return min(rank, nIn, nOut) values, the largest first
     * @throws NoSuchElementException if the adapter has no such layer
     * @throws IllegalStateException  if A or B holds NaN or infinity
     */
    public double[] spectrum(String layer) {
        return singularValues(layer, "spectrum").clone();
    }

    /** An adapter does not change, and norm, spectrum and effective rank come from the same decomposition. */
    private double[] singularValues(String layer, String purpose) {
        Delta product = product(layer, purpose);
        return singularValues.computeIfAbsent(layer, name -> SlimSvd.of(name, product).values());
    }

    /**
     * How many directions ΔW uses, weak ones counted less: exp(−Σ pᵢ·ln pᵢ) with pᵢ = σᵢ / Σ σ, the effective rank of
     * Roy and Vetterli 2007. Well below the rank, a smaller one would do.
     *
     * @return between 1 and min(rank, nIn, nOut); 0 if ΔW is zero
     * @throws NoSuchElementException if the adapter has no such layer
     * @throws IllegalStateException  if A or B holds NaN or infinity
     */
    public double effectiveRank(String layer) {
        double[] values = spectrum(layer);
        double sum = Arrays.stream(values).sum();
        return sum == 0 ? 0
                : Math.exp(-Arrays.stream(values).map(value -> value / sum).filter(p -> p > 0).map(p -> p * Math.log(p)).sum());
    }

    /**
     * ‖ΔW‖ / ‖W‖, Frobenius norms: how far the adapter moves a layer from its base.
     *
     * @param base the network that the adapter was made for, not adapted
     * @return infinity if only W is zero, 0 if ΔW is
     * @throws NoSuchElementException if the adapter or the network has no such layer
     * @throws IllegalStateException  if A or B holds NaN or infinity
     */
    public double relativeNorm(String layer, Model base) {
        double norm = norm(layer);
        return norm == 0 ? 0 : norm / BaseMatrices.of(base).norm(layer);
    }

    /**
     * The cosine of the angle between ΔW of a layer here and in another adapter, neither of which is formed: 1 for the
     * same direction, 0 for unrelated changes, −1 for opposite ones.
     *
     * @return 0 if one of the two is zero
     * @throws NoSuchElementException   if one of the adapters has no such layer
     * @throws IllegalArgumentException if the layers differ in shape
     * @throws IllegalStateException    if a value of A or B is NaN, infinite, or too large to be squared
     */
    public double cosine(String layer, LoRAAdapter other) {
        Delta here = product(layer, "cosine");
        Delta there = other.product(layer, "cosine");
        return InnerProduct.cosine(InnerProduct.of(layer, here, there), InnerProduct.of(layer, here, here),
                InnerProduct.of(layer, there, there));
    }

    /**
     * As {@link #cosine(String, LoRAAdapter)}, of all layers together; one that an adapter lacks counts as unchanged by
     * it.
     *
     * @throws IllegalArgumentException if a layer differs in shape
     */
    public double cosine(LoRAAdapter other) {
        double common = 0;
        for (String layer : deltas.keySet()) {
            if (other.deltas.containsKey(layer)) {
                common += InnerProduct.of(layer, product(layer, "cosine"), other.product(layer, "cosine"));
            }
        }
        return InnerProduct.cosine(common, squaredNorm(), other.squaredNorm());
    }

    private double squaredNorm() {
        return deltas.keySet().stream().mapToDouble(layer -> {
            Delta product = product(layer, "cosine");
            return InnerProduct.of(layer, product, product);
        }).sum();
    }

    /**
     * A weighted combination of adapters of one base, PEFT's {@code add_weighted_adapter}:
     * {@code LoRAAdapter.combine(Combination.Method.CAT).add(spam, 0.7).add(tone, -0.3).build()}. A negative weight takes
     * a task away.
     */
    public static Combination combine(Combination.Method method) {
        return new Combination(method);
    }

    /**
     * An adapter of smaller rank.
     *
     * @param adapter        layers above the rank have their ΔW replaced by the closest one of that rank, a truncated
     *                       singular value decomposition; the others are as they were
     * @param relativeErrors by layer: Frobenius norm of what was lost, divided by that of ΔW
     */
    public record Compressed(LoRAAdapter adapter, Map<String, Double> relativeErrors) {
    }

    /**
     * @throws IllegalArgumentException for a rank below 1, or for DoRA, which does more than to add
     * @throws IllegalStateException    if A or B holds NaN or infinity
     */
    public Compressed compress(int rank) {
        if (rank < 1) {
            throw new IllegalArgumentException("The rank to compress to is " + rank + ", but must be at least 1");
        }
        Map<String, Delta> smaller = new LinkedHashMap<>();
        Map<String, Double> errors = new LinkedHashMap<>();
        deltas.keySet().forEach(name -> {
            Delta delta = product(name, "compress");
            if (delta.rank() <= rank) {
                smaller.put(name, delta.with(delta));
                errors.put(name, 0.0);
            } else {
                SlimSvd svd = SlimSvd.of(name, delta);
                smaller.put(name, delta.with(svd.truncate(rank, delta.a().dataType(), delta.baseId(), delta.layout())));
                errors.put(name, svd.norm() == 0 ? 0 : svd.errorAt(rank) / svd.norm());
            }
        });
        return new Compressed(new LoRAAdapter(smaller, trained, biases, dropout), Collections.unmodifiableMap(errors));
    }

    private Delta delta(String layer) {
        Delta delta = deltas.get(layer);
        if (delta == null) {
            throw new NoSuchElementException("The adapter has no layer \"" + layer + "\"; it has " + layers());
        }
        return delta;
    }

    /**
     * The configuration that makes a network for this adapter: every layer by name, with its rank and alpha.
     */
    public LoRAConfig config() {
        Delta first = deltas.values().iterator().next();
        // One scaling per configuration: where layers differ, each layer's alpha becomes its raw factor.
        boolean uniform = deltas.values().stream().allMatch(delta -> delta.scaling() == first.scaling());
        LoRAConfig.Builder config = LoRAConfig.builder().rank(first.rank()).alpha(alpha(first, uniform))
                .scaling(uniform ? first.scaling() : Scaling.ALPHA).loraDropout(dropout)
                .variant(first.kind().variant()).loraInit(first.kind().init()).pissaIterations(first.kind().pissaIterations())
                .bias(biasTraining()).storage(FrozenStorage.SHARED)
                .targets(quoted(deltas.keySet())).trainable(quoted(trained.keySet()));
        deltas.forEach((name, delta) -> {
            if (delta.rank() != first.rank() || alpha(delta, uniform) != alpha(first, uniform)) {
                config.override(Pattern.quote(name), o -> o.rank(delta.rank()).alpha(alpha(delta, uniform)));
            }
        });
        return config.build();
    }

    private BiasTraining biasTraining() {
        return biases.values().isEmpty() && deltas.values().stream().anyMatch(Delta::trainsBias) ? BiasTraining.LORA_ONLY
                : biases.training();
    }

    private static double alpha(Delta delta, boolean uniform) {
        return uniform ? delta.alpha() : delta.scaling().factor(delta.alpha(), delta.rank());
    }

    private static String[] quoted(Set<String> names) {
        return names.stream().map(Pattern::quote).toArray(String[]::new);
    }

    /** What {@link #applyTo(Model, ApplyOption...)} does differently. */
    public enum ApplyOption {

        /** Sets the updater's state to zero: momentum that belongs to another task is forgotten. */
        RESET_UPDATER,

        /** Accepts a base other than the adapter's, with a warning that names the layers. Shapes must fit all the same. */
        FORCE
    }

    /**
     * Puts this adapter into a network in place of the one it has: a hot swap, nothing is rebuilt. Everything is
     * checked before the first value changes. Updater state stays what it is.
     *
     * @throws IllegalArgumentException if the network's adapted or trained layers are not this adapter's, differ in
     *                                  shape, or stand on another base
     * @throws IllegalStateException    if the network's base has changed since it was adapted
     */
    public void applyTo(Model adapted) {
        applyTo(adapted, new ApplyOption[0]);
    }

    /** As {@link #applyTo(Model)}, with options. */
    public void applyTo(Model adapted, ApplyOption... options) {
        Set<ApplyOption> chosen = Set.of(options);
        List<String> strangers = new ArrayList<>();
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            AdaptedView view = AdaptedView.of(adapted);
            requireSameNames("adapted", deltas.keySet(), view.adaptedMatrices().keySet());
            requireSameNames("fully trained", trained.keySet(), view.trainedLayers().keySet());
            Map<String, String> ids = view.verifiedIds();
            List<Runnable> assignments = new ArrayList<>();
            deltas.forEach((name, delta) -> {
                AdaptedView.AdaptedMatrix matrix = view.adaptedMatrices().get(name);
                String id = ids.get(matrix.layer());
                if (!chosen.contains(ApplyOption.FORCE)) {
                    requireSameBase(name, delta.baseId(), id);
                } else if (delta.baseId() != null && !delta.baseId().equals(id)) {
                    strangers.add(name);
                }
                requireLayout(name, delta.layout(), TensorLayout.of(matrix.stock()));
                requireSameKind(name, delta, matrix);
                Map<String, INDArray> parts = new LinkedHashMap<>();
                delta.parts().forEach((key, value) -> {
                    requireShape(name, key, value, matrix.parts().get(key));
                    parts.put(key, inTypeOf(matrix.parts().get(key), name, key, value));
                });
                assignments.add(() -> {
                    matrix.rescale(delta.alpha(), delta.scaling());
                    matrix.replace(parts);
                });
            });
            trainedAssignments(view, assignments);
            requireSameNames("biases of", biases.values().keySet(), view.biases().keySet());
            biases.values().forEach((name, value) -> {
                INDArray parameter = view.biases().get(name);
                requireShape(name, "bias", value, parameter);
                INDArray cast = inTypeOf(parameter, name, "bias", value);
                assignments.add(() -> parameter.assign(cast));
            });
            if (!strangers.isEmpty()) {
                LOG.warn("Forced an adapter onto a base that it was not made for: layers {} have other weights there", strangers);
            }
            assignments.forEach(Runnable::run);
            if (chosen.contains(ApplyOption.RESET_UPDATER)) {
                resetUpdater(adapted);
            }
        }
    }

    private void trainedAssignments(AdaptedView view, List<Runnable> assignments) {
        trained.forEach((name, values) -> {
            AdaptedView.TrainedLayer layer = view.trainedLayers().get(name);
            Map<String, String> keys = TorchLayout.keysByName(layer.conf(), layer.table().keySet());
            requireSameNames("layer \"" + name + "\"'s", values.keySet(), keys.keySet());
            values.forEach((torchName, value) -> {
                INDArray parameter = layer.table().get(keys.get(torchName));
                INDArray shaped;
                try {
                    shaped = TorchLayout.fromTorch(layer.conf(), keys.get(torchName), value, parameter);
                } catch (IllegalArgumentException e) {
                    throw new IllegalArgumentException("Layer \"" + name + "\": the adapter's " + torchName + " "
                            + e.getMessage(), e);
                }
                INDArray cast = inTypeOf(parameter, name, torchName, shaped);
                assignments.add(() -> parameter.assign(cast));
            });
        });
    }

    /** Gives a network that has been checked the values of fully trained layers, and nothing else. */
    void assignTrained(AdaptedView view) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            List<Runnable> assignments = new ArrayList<>();
            trainedAssignments(view, assignments);
            assignments.forEach(Runnable::run);
        }
    }

    private static void resetUpdater(Model network) {
        INDArray state = network instanceof ComputationGraph graph
                ? graph.getUpdater(false) == null ? null : graph.getUpdater(false).getStateViewArray()
                : ((MultiLayerNetwork) network).getUpdater(false) == null ? null
                : ((MultiLayerNetwork) network).getUpdater(false).getStateViewArray();
        if (state != null) {
            state.assign(0);
        }
    }

    private static void requireSameNames(String what, Set<String> adapter, Set<String> network) {
        Set<String> missing = new TreeSet<>(network);
        missing.removeAll(adapter);
        Set<String> surplus = new TreeSet<>(adapter);
        surplus.removeAll(network);
        if (!missing.isEmpty() || !surplus.isEmpty()) {
            throw new IllegalArgumentException("The adapter's " + what + " layers or parameters are not the network's: missing in the adapter "
                    + missing + ", surplus in it " + surplus + ". Make the network with LoRA.apply(base, adapter)");
        }
    }

    private static void requireSameKind(String layer, Delta delta, AdaptedView.AdaptedMatrix matrix) {
        Set<String> network = matrix.parts().keySet();
        boolean started = network.contains(Variant.START_A);
        boolean taken = delta.kind().init().isTakenFromW();
        boolean dora = network.contains(DoRA.MAGNITUDE);
        boolean bias = network.contains(DefaultParamInitializer.BIAS_KEY);
        if (dora != delta.has(DoRA.MAGNITUDE) || bias != delta.trainsBias() || started != taken) {
            throw new IllegalArgumentException("Layer \"" + layer + "\": the adapter consists of "
                    + new TreeSet<>(delta.parts().keySet()) + (taken ? " and started from a part of W" : "") + ", but the network's of " + new TreeSet<>(network)
                    + ". Make the network with LoRA.apply(base, adapter)"
                    + (taken && !started ? ", or convert the adapter with toPlainLoRA()" : ""));
        }
    }

    private static void requireSameBase(String layer, String expected, String found) {
        if (expected != null && !expected.equals(found)) {
            throw new IllegalArgumentException("Layer \"" + layer + "\": the adapter was made for the base weights " + expected
                    + ", but the network stands on " + found
                    + ". Use the network that the adapter was trained on, or ApplyOption.FORCE");
        }
    }

    private static void requireLayout(String layer, TensorLayout adapter, TensorLayout network) {
        if (!adapter.equals(network)) {
            throw new IllegalArgumentException("Layer \"" + layer + "\": the adapter is for " + adapter + ", but the network's layer is "
                    + network + ". Use the network that the adapter was trained on");
        }
    }

    private static void requireShape(String layer, String key, INDArray value, INDArray parameter) {
        if (!Arrays.equals(value.shape(), parameter.shape())) {
            throw new IllegalArgumentException("Layer \"" + layer + "\": the adapter's " + key + " has shape " + Arrays.toString(value.shape())
                    + ", but the network's has " + Arrays.toString(parameter.shape())
                    + ". Make the network with LoRA.apply(base, adapter), or set the rank with override");
        }
    }

    /** The value in the parameter's data type, which may have a smaller range than the file's. */
    private static INDArray inTypeOf(INDArray parameter, String layer, String key, INDArray value) {
        INDArray cast = value.castTo(parameter.dataType());
        if (BooleanIndexing.or(cast, Conditions.notFinite())) {
            throw new IllegalArgumentException("Layer \"" + layer + "\": the adapter's " + key + " has values that are not finite or "
                    + "too large for the network's data type " + parameter.dataType());
        }
        return cast;
    }

    @Override
    public String toString() {
        return "LoRAAdapter(layers=" + deltas.keySet() + ", trainedLayers=" + trained.keySet() + ")";
    }

    /**
     * Writes PEFT's two files into a folder, which is made if need be. Each file appears whole or not at all; a reader
     * that finds one new and one old takes the configuration that the tensors' file carries along.
     *
     * @throws IOException           if there is a file of that name, or the folder cannot be written to
     * @throws IllegalStateException if a value is NaN or infinite
     */
    public void save(Path folder) throws IOException {
        if (Files.exists(folder) && !Files.isDirectory(folder)) {
            throw new IOException(folder + " is a file, but an adapter is a folder: choose another name. Nothing was written");
        }
        Files.createDirectories(folder);
        PeftConfig config = peftConfig();
        byte[] json = config.toJson();
        Map<String, INDArray> tensors = new LinkedHashMap<>();
        Map<String, String> metadata = new LinkedHashMap<>();
        metadata.put("format", "pt");
        metadata.put(FORMAT, FORMAT_VERSION);
        metadata.put(WRITTEN_BY, PluginVersion.get());
        metadata.put(SAVED_CONFIG, new String(json, StandardCharsets.UTF_8));
        Kind kind = deltas.values().iterator().next().kind();
        metadata.put(VARIANT, kind.variant().name());
        metadata.put(INIT, kind.init().name());
        deltas.forEach((name, delta) -> {
            tensors.put(PREFIX + name + delta.layout().nameOfA(), delta.layout().fileA(delta.a()));
            tensors.put(PREFIX + name + delta.layout().nameOfB(), delta.layout().fileB(delta.b()));
            delta.more().forEach((key, value) -> tensors.put(PREFIX + name + ExtraParts.nameOf(key), ExtraParts.toFile(key, value)));
            metadata.put(SCALING + name, delta.scaling().name());
            metadata.put(ALPHA + name, Double.toString(delta.alpha()));
            if (delta.baseId() != null) {
                metadata.put(BASE_ID + name, delta.baseId());
            }
            if (name.equals("lora_dropout") || name.equals("lora_A") || name.equals("lora_B") || name.equals("base_layer")) {
                LOG.warn("Layer \"{}\" bears a name that PEFT uses for its own modules; PEFT may adapt the wrong one", name);
            }
        });
        biases.values().forEach((name, value) -> tensors.put(PREFIX + name + Biases.SUFFIX, value.reshape(value.length())));
        trained.forEach((name, values) -> values.forEach((torchName, value) -> tensors.put(PREFIX + name + "." + torchName, value)));
        tensors.forEach((name, value) -> {
            if (BooleanIndexing.or(value, Conditions.notFinite())) {
                throw new IllegalStateException("Tensor \"" + name + "\" holds NaN or infinity: training has diverged. Lower the learning "
                        + "rate or alpha, or go back to a checkpoint. Nothing was written");
            }
        });
        Safetensors.write(folder.resolve(TENSORS), tensors, metadata);
        AtomicFile.write(folder.resolve(CONFIG), out -> out.write(json));
    }

    private PeftConfig peftConfig() {
        boolean rsLora = deltas.values().stream().allMatch(delta -> delta.scaling() == Scaling.ALPHA_OVER_SQRT_RANK);
        List<PeftConfig.Module> modules = new ArrayList<>();
        deltas.forEach((name, delta) -> modules.add(new PeftConfig.Module(name, delta.rank(),
                peftAlpha(delta.alpha(), delta.scaling(), delta.rank(), rsLora))));
        Kind kind = deltas.values().iterator().next().kind();
        return PeftConfig.of(modules, rsLora, List.copyOf(trained.keySet()), dropout, UUID.randomUUID().toString())
                .with(!kind.variant().isAdditive(), kind.peftInit(), biasTraining());
    }

    /** The lora_alpha from which PEFT computes the layer's factor. */
    private static double peftAlpha(double alpha, Scaling scaling, int rank, boolean rsLora) {
        return switch (scaling) {
            case ALPHA -> alpha * rank;
            case ALPHA_OVER_RANK -> alpha;
            case ALPHA_OVER_SQRT_RANK -> rsLora ? alpha : alpha * Math.sqrt(rank);
        };
    }

    /**
     * Reads PEFT's two files.
     *
     * @throws AdapterFormatException if a file is missing, broken, of another kind, or asks for something that is not
     *                                supported
     */
    public static LoRAAdapter load(Path folder) throws IOException {
        return loader().load(folder);
    }

    /** Reads PEFT's two files with options. */
    public static Loader loader() {
        return new Loader();
    }

    /** How an adapter is read. */
    public static final class Loader {

        private UnaryOperator<String> keyMapper = UnaryOperator.identity();
        private boolean strict = true;

        private Loader() {
        }

        /**
         * The DL4J layer for a PyTorch module, whose name comes without {@code base_model.model.}; null for one that has
         * no like here. Default: the same name.
         */
        public Loader keyMapper(UnaryOperator<String> mapper) {
            keyMapper = Objects.requireNonNull(mapper, "keyMapper");
            return this;
        }

        /**
         * Whether missing and surplus tensors are an error, which is the default; else they are warned about and left out.
         */
        public Loader strict(boolean strict) {
            this.strict = strict;
            return this;
        }

        /** As {@link LoRAAdapter#load}. */
        public LoRAAdapter load(Path folder) throws IOException {
            try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
                return read(folder, this);
            }
        }
    }

    private static LoRAAdapter read(Path folder, Loader loader) throws IOException {
        if (!Files.isDirectory(folder)) {
            throw new AdapterFormatException(folder + (Files.exists(folder) ? " is a file, but an adapter is a folder with "
                    : " does not exist; it should be a folder with ") + TENSORS + " and " + CONFIG);
        }
        Safetensors tensors = Safetensors.open(folder.resolve(TENSORS));
        PeftConfig config = config(folder, tensors);
        Map<String, String> a = new LinkedHashMap<>();
        Map<String, String> b = new LinkedHashMap<>();
        Map<String, Map<String, INDArray>> more = new LinkedHashMap<>();
        Map<String, Map<String, INDArray>> trained = new LinkedHashMap<>();
        Map<String, INDArray> biases = new LinkedHashMap<>();
        Set<String> surplus = new TreeSet<>();
        for (String name : tensors.names()) {
            String module = name.startsWith(PREFIX) ? name.substring(PREFIX.length()) : "";
            int dot = module.lastIndexOf('.');
            String part = ExtraParts.keyOf(module, config, tensors.names());
            if (part != null) {
                more.computeIfAbsent(ExtraParts.layerOf(module, part), key -> new LinkedHashMap<>())
                        .put(part, ExtraParts.read(part, tensors, name));
            } else if (isPart(module, TensorLayout.LINEAR.nameOfA(), TensorLayout.EMBEDDING.nameOfA())) {
                putOnce(a, layerOf(module), name);
            } else if (isPart(module, TensorLayout.LINEAR.nameOfB(), TensorLayout.EMBEDDING.nameOfB())) {
                putOnce(b, layerOf(module), name);
            } else if (dot > 0 && config.savesModule(module.substring(0, dot))) {
                trained.computeIfAbsent(module.substring(0, dot), key -> new LinkedHashMap<>())
                        .put(module.substring(dot + 1), tensors.read(name));
            } else if (config.bias() != BiasTraining.NONE && module.endsWith(Biases.SUFFIX)) {
                biases.put(module.substring(0, dot), ExtraParts.read(DefaultParamInitializer.BIAS_KEY, tensors, name));
            } else {
                surplus.add(name);
            }
        }
        Set<String> missing = missing(config, a.keySet(), b.keySet(), trained.keySet());
        a.keySet().forEach(layer -> ExtraParts.missing(config, more.getOrDefault(layer, Map.of()).keySet())
                .forEach(name -> missing.add(PREFIX + layer + name)));
        Set<String> strays = new TreeSet<>(more.keySet());
        strays.removeAll(a.keySet());
        strays.forEach(layer -> more.get(layer).keySet().forEach(key -> surplus.add(PREFIX + layer + ExtraParts.nameOf(key))));
        if (loader.strict && !(missing.isEmpty() && surplus.isEmpty())) {
            throw new AdapterFormatException(folder + ": missing tensors " + missing + ", surplus tensors " + surplus
                    + ". Expected were "
                    + "lora_A and lora_B of every layer, named " + PREFIX + "(layer).lora_A.weight, and those of modules_to_save "
                    + config.modulesToSave() + ". To load what there is: LoRAAdapter.loader().strict(false)");
        }
        if (!missing.isEmpty() || !surplus.isEmpty()) {
            LOG.warn("{}: missing tensors {}, surplus tensors {}; both are left out", folder, missing, surplus);
        }
        a.keySet().retainAll(b.keySet());
        b.keySet().retainAll(a.keySet());
        return new LoRAAdapter(renamed(folder, deltas(folder, config, tensors, a, b, more), loader.keyMapper),
                renamed(folder, trained, loader.keyMapper),
                new Biases(renamed(folder, biases, loader.keyMapper), biases.isEmpty() ? BiasTraining.NONE : config.bias()), config.dropout());
    }

    private static Set<String> missing(PeftConfig config, Set<String> a, Set<String> b, Set<String> trained) {
        Set<String> missing = new TreeSet<>();
        a.stream().filter(layer -> !b.contains(layer)).forEach(layer -> missing.add(PREFIX + layer + SUFFIX_B));
        b.stream().filter(layer -> !a.contains(layer)).forEach(layer -> missing.add(PREFIX + layer + SUFFIX_A));
        config.modulesToSave().stream().filter(saved -> trained.stream().noneMatch(layer -> PeftConfig.isPartOf(layer, saved)))
                .forEach(saved -> missing.add(PREFIX + saved + ".*"));
        // Files of ours name every target in full; PEFT's may name some that a model has not.
        if (config.saveId() != null) {
            config.targets().stream().filter(layer -> !a.contains(layer) && !b.contains(layer))
                    .forEach(layer -> missing.addAll(List.of(PREFIX + layer + SUFFIX_A, PREFIX + layer + SUFFIX_B)));
        }
        return missing;
    }

    private static <T> Map<String, T> renamed(Path folder, Map<String, T> byModule,
            UnaryOperator<String> mapper) throws AdapterFormatException {
        Map<String, T> byLayer = new LinkedHashMap<>();
        for (Map.Entry<String, T> entry : byModule.entrySet()) {
            String layer = mapper.apply(entry.getKey());
            if (layer != null && byLayer.put(layer, entry.getValue()) != null) {
                throw new AdapterFormatException(folder + ": the keyMapper maps \"" + entry.getKey()
                        + "\" and another module to the layer \""
                        + layer + "\"");
            }
        }
        if (byLayer.isEmpty() && !byModule.isEmpty()) {
            throw new AdapterFormatException(folder + ": the keyMapper maps none of the modules " + byModule.keySet());
        }
        return byLayer;
    }

    private static boolean isPart(String module, String name, String nameInEmbedding) {
        return module.endsWith(name) || module.endsWith(nameInEmbedding);
    }

    private static String layerOf(String module) {
        return module.substring(0, module.lastIndexOf(".lora_"));
    }

    private static void putOnce(Map<String, String> tensors, String layer, String name) throws AdapterFormatException {
        String other = tensors.put(layer, name);
        if (other != null) {
            throw new AdapterFormatException("Layer \"" + layer + "\" has both " + other + " and " + name);
        }
    }

    /**
     * @param a names of tensors by layer
     * @param b names of tensors by layer
     */
    private static Map<String, Delta> deltas(Path folder, PeftConfig config, Safetensors tensors,
                                             Map<String, String> a, Map<String, String> b,
                                             Map<String, Map<String, INDArray>> more) throws AdapterFormatException {
        Map<String, String> metadata = tensors.metadata();
        Kind kind = Kind.of(config.init(), config.useDora(), metadata.get(VARIANT), metadata.get(INIT));
        if (a.isEmpty()) {
            throw new AdapterFormatException(folder + ": there is no layer with both lora_A and lora_B");
        }
        Map<String, Delta> deltas = new LinkedHashMap<>();
        for (String name : a.keySet()) {
            int rank = config.rankOf(name);
            long[] shapeA = tensors.shape(a.get(name));
            long[] shapeB = tensors.shape(b.get(name));
            boolean embedding = a.get(name).endsWith(TensorLayout.EMBEDDING.nameOfA());
            TensorLayout layout = TensorLayout.of(name, embedding, shapeA, shapeB);
            if (shapeA[0] != rank || shapeB[1] != rank) {
                throw new AdapterFormatException(folder + ": layer \"" + name + "\" has rank " + rank + " by " + CONFIG + ", but lora_A "
                        + Arrays.toString(shapeA) + " and lora_B " + Arrays.toString(shapeB));
            }
            Scaling scaling = scaling(folder, name, config, metadata);
            double alpha = alpha(folder, config, metadata, name, rank, scaling);
            if (!Double.isFinite(alpha)) {
                throw new AdapterFormatException(folder + ": layer \"" + name + "\" has a lora_alpha out of range, "
                        + config.alphaOf(name));
            }
            requireStartOf(folder, name, kind, more.getOrDefault(name, Map.of()));
            deltas.put(name, new Delta(layout.a(tensors.read(a.get(name))), layout.b(tensors.read(b.get(name))), alpha, scaling,
                    metadata.get(BASE_ID + name), layout, more.getOrDefault(name, Map.of()), kind));
        }
        return deltas;
    }

    private static void requireStartOf(Path folder, String layer, Kind kind, Map<String, INDArray> more) throws AdapterFormatException {
        boolean recorded = more.containsKey(Variant.START_A);
        if (recorded && !kind.init().isTakenFromW()) {
            throw new AdapterFormatException(folder + ": layer \"" + layer + "\" has initial_A and initial_B, but by init_lora_weights its "
                    + "A and B did not start from W");
        }
        if (!recorded && kind.init() == LoRAInit.PISSA && kind.pissaIterations() > 0) {
            LOG.warn("{}: layer \"{}\" started from a randomised decomposition of W that the file does not hold. The start computed "
                    + "here is a little different from PEFT's; convert the adapter there with "
                    + "path_initial_model_for_weight_conversion to have the same function", folder, layer);
        }
    }

    private static Scaling scaling(Path folder, String layer, PeftConfig config, Map<String, String> metadata) throws AdapterFormatException {
        String recorded = metadata.get(SCALING + layer);
        Scaling peft = config.useRsLora() ? Scaling.ALPHA_OVER_SQRT_RANK : Scaling.ALPHA_OVER_RANK;
        try {
            return recorded == null ? peft : Scaling.valueOf(recorded);
        } catch (IllegalArgumentException e) {
            throw new AdapterFormatException(folder + ": layer \"" + layer + "\" has the unknown scaling " + recorded, e);
        }
    }

    /**
     * The alpha that, under the recorded scaling, gives the factor that PEFT computes: exactly the one that was saved,
     * where lora_alpha is still what was written for it, since dividing by the rank again would round.
     */
    private static double alpha(Path folder, PeftConfig config, Map<String, String> metadata, String layer, int rank, Scaling scaling)
            throws AdapterFormatException {
        boolean rsLora = config.useRsLora();
        double peftAlpha = config.alphaOf(layer);
        String recorded = metadata.get(ALPHA + layer);
        if (recorded != null) {
            try {
                double alpha = Double.parseDouble(recorded);
                if (peftAlpha(alpha, scaling, rank, rsLora) == peftAlpha) {
                    return alpha;
                }
            } catch (NumberFormatException e) {
                throw new AdapterFormatException(folder + ": layer \"" + layer + "\" has an alpha that is no number", e);
            }
        }
        double factor = rsLora ? peftAlpha / Math.sqrt(rank) : peftAlpha / rank;
        return switch (scaling) {
            case ALPHA -> factor;
            case ALPHA_OVER_RANK -> rsLora ? factor * rank : peftAlpha;
            case ALPHA_OVER_SQRT_RANK -> rsLora ? peftAlpha : factor * Math.sqrt(rank);
        };
    }

    private static PeftConfig config(Path folder, Safetensors tensors) throws IOException {
        Path file = folder.resolve(CONFIG);
        String savedText = tensors.metadata().get(SAVED_CONFIG);
        PeftConfig saved = savedText == null ? null : PeftConfig.parse(savedText.getBytes(StandardCharsets.UTF_8));
        if (!Files.isRegularFile(file)) {
            if (saved != null) {
                return saved;
            }
            throw new AdapterFormatException(file + " does not exist or is no file");
        }
        if (Files.size(file) > LONGEST_CONFIG) {
            throw new AdapterFormatException(file + " is longer than " + LONGEST_CONFIG + " bytes");
        }
        PeftConfig config = PeftConfig.parse(Files.readAllBytes(file));
        boolean ofThisSave = saved == null || saved.saveId() == null || saved.saveId().equals(config.saveId());
        return ofThisSave ? config : saved;
    }
}
