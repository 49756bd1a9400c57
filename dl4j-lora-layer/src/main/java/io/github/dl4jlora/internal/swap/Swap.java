package io.github.dl4jlora.internal.swap;

import io.github.dl4jlora.conf.Accumulated;
import io.github.dl4jlora.conf.LoRASettings;
import io.github.dl4jlora.internal.adapted.AdaptedParameter;
import io.github.dl4jlora.internal.common.UpdaterKeys;
import io.github.dl4jlora.internal.content.AdapterContent;
import io.github.dl4jlora.internal.content.Delta;
import io.github.dl4jlora.internal.content.Kind;
import io.github.dl4jlora.internal.content.TensorLayout;
import io.github.dl4jlora.internal.inspect.AdaptedView;
import io.github.dl4jlora.internal.network.Networks;
import io.github.dl4jlora.internal.run.AdapterStart;
import io.github.dl4jlora.internal.untrusted.Few;
import io.github.dl4jlora.variant.DoRA;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.deeplearning4j.nn.updater.BaseMultiLayerUpdater;
import org.deeplearning4j.nn.updater.UpdaterBlock;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.GradientUpdater;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;

/**
 * Puts an adapter into a network in place of the one it has. Checks come first and only note what is to be assigned, so
 * that a refusal leaves the network as it was.
 */
public final class Swap {

    private static final Logger LOG = LoggerFactory.getLogger(AdapterContent.LOGGER);
    /** Relative tolerance for weights stored in 16 bits. */
    private static final double ROUNDING = 1e-2;
    /** NF4 changes weights by about a tenth of their size, other weights by as much as they are large. */
    private static final double ROUNDING_TO_FEWER_BITS = 0.3;

    /** A layer that keeps the adapter's base in another way than when the adapter was trained. */
    private record OtherForm(String layer, String trainedOn, @Nullable String here) {

        String refusal() {
            return "Layer \"" + layer + "\": the adapter was trained on a base kept as " + trainedOn
                    + ", but the network keeps it as " + here + ". Give the network its base as " + trainedOn + ", or leave "
                    + "ApplyOption.STRICT out to get a warning instead";
        }
    }

    private final AdapterContent adapter;
    private final AdaptedView view;
    private final List<Runnable> assignments = new ArrayList<>();
    /** The first of them; null if there is none. */
    private @Nullable OtherForm otherForm;
    /** Layers of which the adapter's file lacks the start, where W is in fewer bits. */
    private final List<String> startless = new ArrayList<>();

    private Swap(AdapterContent adapter, AdaptedView view) {
        this.adapter = adapter;
        this.view = view;
    }

    /**
     * @param force         whether the base may be another than the adapter's
     * @param strict        whether its base must be kept as it was in training
     * @param resetsUpdater whether the momentum of the other task, and its counts of iterations and epochs, are forgotten
     * @throws IllegalArgumentException if the adapter does not fit
     * @throws IllegalStateException    if the network's base has changed since it was adapted
     */
    public static void into(Model network, AdapterContent adapter, boolean force, boolean strict,
            boolean resetsUpdater) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            Swap swap = new Swap(adapter, AdaptedView.of(network));
            swap.requireAdapted();
            swap.checkNames();
            List<String> strangers = swap.checkMatrices(force);
            if (strict) {
                swap.refuseForm();
            }
            swap.checkValues();
            if (!strangers.isEmpty()) {
                LOG.warn("Forced an adapter onto a base that it was not made for: layers {} have different weights in it",
                        strangers);
            }
            swap.warnOfForm();
            swap.assign();
            if (resetsUpdater) {
                resetUpdater(network);
            } else {
                forgetGradients(network);
            }
        }
    }

    /** Gives a network the values of fully trained layers and of biases, and nothing else. */
    public static void valuesInto(AdaptedView view, AdapterContent adapter) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            Swap swap = new Swap(adapter, view);
            swap.checkValues();
            swap.assign();
        }
    }

    /**
     * Checks an adapter against a network that is to compute it by routes, and so need be neither of its ranks nor of its
     * variant, and may adapt more matrices.
     *
     * @param bases what each layer stands on
     * @return the adapter, biases that its file tells in relation to the base's made whole, with the starts that its file lacks
     * @throws IllegalArgumentException if it does not fit
     */
    public static AdapterContent fitting(AdapterContent adapter, AdaptedView view, Map<String, AdaptedView.Base> bases) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            Swap swap = new Swap(adapter, view);
            Map<String, Delta> deltas = new LinkedHashMap<>();
            adapter.deltas().forEach((name, loaded) -> {
                AdaptedView.AdaptedMatrix matrix = Objects.requireNonNull(view.adaptedMatrices().get(name));
                Delta delta = swap.withStart(name, swap.onFittingBase(name, loaded, matrix, bases, false), matrix);
                delta.parts().forEach((key, value) -> {
                    FitChecks.requireShape(name, key, value, shape(key, delta));
                    FitChecks.inTypeOf(matrix.a(), name, key, value);
                });
                deltas.put(name, delta);
                swap.noteForm(name, loaded, matrix, bases.get(matrix.layer()));
            });
            swap.warnOfForm();
            swap.checkValues();
            return adapter.with(deltas);
        }
    }

    /** With what its start took from W, computed again where the file does not hold it, as {@code LoRA.apply} does. */
    private Delta withStart(String name, Delta delta, AdaptedView.AdaptedMatrix matrix) {
        if (!delta.lacksStart()) {
            return delta;
        }
        Map<String, INDArray> more = new LinkedHashMap<>(delta.more());
        more.putAll(Starts.ofW(delta, view, matrix, AdapterStart.seed(view.seed(), name)));
        return delta.withMore(more);
    }

    /** Of a part of an adapter whose A and B fit. */
    private static long[] shape(String key, Delta delta) {
        return switch (key) {
            case Variant.A, Variant.START_A -> delta.a().shape();
            case Variant.B, Variant.START_B -> delta.b().shape();
            default -> new long[] {1, delta.b().size(1)};
        };
    }

    private void noteForm(String name, Delta delta, AdaptedView.AdaptedMatrix matrix, AdaptedView.@Nullable Base base) {
        if (delta.lacksStart() && Starts.isRounded(matrix)) {
            startless.add(name);
        }
        if (otherForm == null && base != null && delta.storedAs() != null && !delta.storedAs().equals(base.storedAs())) {
            otherForm = new OtherForm(name, delta.storedAs(), base.storedAs());
        }
    }

    private void warnOfForm() {
        if (otherForm != null) {
            LOG.warn("Layer \"{}\": the adapter was trained on a base kept as {}, but the network keeps it as {}, whose values "
                    + "differ slightly. Evaluate the network before you rely on it, or train it further; ApplyOption.STRICT "
                    + "refuses this", otherForm.layer, otherForm.trainedOn, otherForm.here);
        }
        if (!startless.isEmpty()) {
            LOG.warn("{}. Put the adapter into the original base with LoRA.apply(base, adapter) and take it out again with "
                    + "LoRAAdapter.of, which adds the start, or convert it in PEFT with "
                    + "path_initial_model_for_weight_conversion; ApplyOption.STRICT refuses this", lackOfStarts());
        }
    }

    private void refuseForm() {
        if (otherForm != null) {
            throw new IllegalArgumentException(otherForm.refusal());
        }
        if (!startless.isEmpty()) {
            throw new IllegalArgumentException(lackOfStarts() + ". Convert it in PEFT with "
                    + "path_initial_model_for_weight_conversion, or leave ApplyOption.STRICT out to get a warning instead");
        }
    }

    private String lackOfStarts() {
        return "The layers " + Few.of(startless) + ": the adapter started from a part of W that its file does not hold, and the "
                + "network has W only in fewer bits, which give a slightly different start";
    }

    private void assign() {
        assignments.forEach(Runnable::run);
    }

    private void requireAdapted() {
        if (view.adaptedMatrices().isEmpty() && !adapter.deltas().isEmpty()) {
            throw new IllegalArgumentException("The network is not adapted: it has no layer that could take the adapter's "
                    + Few.of(adapter.deltas().keySet()) + ". Make an adapted network with LoRA.apply(base, adapter)");
        }
    }

    private void checkNames() {
        Set<String> own = adapter.deltas().keySet();
        Set<String> network = view.adaptedMatrices().keySet();
        FitChecks.requireSame("adapted", FitChecks.without(network, own), FitChecks.without(own, network));
    }

    /** @return layers whose base is another than the adapter's, which only {@code anyBase} lets pass */
    private List<String> checkMatrices(boolean anyBase) {
        Map<String, AdaptedView.Base> bases = view.verifiedBases();
        List<String> strangers = new ArrayList<>();
        adapter.deltas().forEach((name, loaded) -> {
            AdaptedView.AdaptedMatrix matrix = Objects.requireNonNull(view.adaptedMatrices().get(name));
            matrix.requireReplaceable();
            Delta delta = onFittingBase(name, loaded, matrix, bases, anyBase);
            AdaptedView.Base base = bases.getOrDefault(matrix.layer(), AdaptedView.Base.UNKNOWN);
            if (delta.baseId() != null && !delta.baseId().equals(base.id())) {
                strangers.add(name);
            } else {
                noteForm(name, delta, matrix, base);
            }
            requireSameKind(name, delta, matrix);
            // Refuses here what rescaling would refuse when other layers have been replaced.
            matrix.settings().toBuilder().alpha(delta.alpha()).scaling(delta.scaling()).build("Layer \"" + name + "\"");
            Map<String, INDArray> parts = new LinkedHashMap<>();
            delta.parts().forEach((key, value) -> {
                INDArray parameter = Objects.requireNonNull(matrix.parts().get(key));
                FitChecks.requireShape(name, key, value, parameter);
                parts.put(key, FitChecks.inTypeOf(parameter, name, key, value));
            });
            if (delta.lacksStart() && !Starts.areOfW(view, matrix)) {
                // What an adapter that was swapped in before had started from would stay.
                parts.putAll(Starts.ofW(delta, view, matrix, matrix.conf().getStartSeed()));
            }
            assignments.add(() -> {
                matrix.rescale(delta.alpha(), delta.scaling());
                matrix.replace(parts);
            });
        });
        return strangers;
    }

    /** As {@link #onBase}, with checks of layout, size and, unless {@code anyBase}, the base. */
    private Delta onFittingBase(String name, Delta loaded, AdaptedView.AdaptedMatrix matrix, Map<String, AdaptedView.Base> bases,
            boolean anyBase) {
        Delta delta = onBase(name, loaded, matrix, anyBase);
        requireLayout(name, delta.layout(), TensorLayout.of(matrix.stock()));
        requireSize(name, delta, matrix);
        AdaptedParameter parameter = matrix.parameter();
        new AdaptedParameter(parameter.key(), parameter.nIn(), parameter.nOut(), delta.rank(), delta.alpha(), delta.scaling())
                .requireFiniteFactor(name, matrix.a().dataType());
        if (!anyBase) {
            requireSameBase(name, delta, bases.getOrDefault(matrix.layer(), AdaptedView.Base.UNKNOWN).id(),
                    matrix.a().dataType());
        }
        return delta;
    }

    /** With what its file says in relation to the base's values, which only a network has. */
    private Delta onBase(String name, Delta delta, AdaptedView.AdaptedMatrix matrix, boolean anyBase) {
        INDArray own = delta.more().get(Delta.BASE_WEIGHT);
        boolean added = delta.has(Delta.LORA_BIAS);
        if (own == null && !added) {
            return delta;
        }
        Map<String, INDArray> base = view.baseTable(matrix.layer());
        if (own != null && !anyBase) {
            requireSameWeight(name, delta.layout().embedding() ? own.transpose() : own,
                    Objects.requireNonNull(base.get(matrix.parameter().key())),
                    matrix.conf().scheme() == null ? ROUNDING : ROUNDING_TO_FEWER_BITS);
        }
        if (added) {
            FitChecks.requireShape(name, Delta.LORA_BIAS, Objects.requireNonNull(delta.more().get(Delta.LORA_BIAS)), 1,
                    matrix.parameter().nOut());
        }
        INDArray bias = base.get(DefaultParamInitializer.BIAS_KEY);
        if (added && bias == null && !delta.has(DefaultParamInitializer.BIAS_KEY)) {
            throw new IllegalArgumentException("Layer \"" + name + "\": the adapter adds a lora_bias to the layer's bias, but "
                    + "the network's layer has none. Build the base with hasBias(true) and a bias of zeros");
        }
        return added ? delta.onBias(bias) : delta;
    }

    /** PEFT saves W beside the adapter of an embedding, since it may have grown: then the base must have too. */
    private static void requireSameWeight(String layer, INDArray own, INDArray base, double rounding) {
        if (!Arrays.equals(own.shape(), base.shape()) || own.castTo(DataType.FLOAT).subi(base.castTo(DataType.FLOAT))
                .norm2Number().doubleValue() > rounding * Math.max(1e-30, base.norm2Number().doubleValue())) {
            throw new IllegalArgumentException("Layer \"" + layer + "\": the adapter comes with its own base weights "
                    + Arrays.toString(own.shape()) + ", but the network has different ones " + Arrays.toString(base.shape())
                    + ". Give the base the weights in the adapter's file, \"….base_layer.weight\"");
        }
    }

    private void checkValues() {
        new TrainedValues(adapter, view, assignments).check();
    }

    private static void resetUpdater(Model network) {
        Networks.of(network).resetCounts();
        for (UpdaterBlock block : updaterBlocks(network)) {
            if (block.getUpdaterView() != null) {
                // As a new one begins: AdaGrad's and RmsProp's state is not zero then.
                block.setUpdaterViewRequiresInitialization(true);
                block.setGradientUpdater(null);
                block.init();
            }
        }
    }

    /** What an update of several batches has collected so far is of the adapter before. */
    private static void forgetGradients(Model network) {
        for (UpdaterBlock block : updaterBlocks(network)) {
            GradientUpdater<?> running = block.getGradientUpdater();
            // All parameters of a block have the same updater.
            UpdaterBlock.ParamState first = block.getLayersAndVariablesInBlock().get(0);
            if (running != null
                    && first.getLayer().getConfig().getUpdaterByParam(first.getParamName()) instanceof Accumulated) {
                Objects.requireNonNull(running.getState().get(UpdaterKeys.GROUP)).assign(0);
            }
        }
    }

    /** None for a network that has no updater yet. */
    private static List<UpdaterBlock> updaterBlocks(Model network) {
        return Networks.of(network).updaterSoFar() instanceof BaseMultiLayerUpdater<?> updater ? updater.getUpdaterBlocks()
                : List.of();
    }

    private static void requireSameKind(String layer, Delta delta, AdaptedView.AdaptedMatrix matrix) {
        Set<String> network = matrix.parts().keySet();
        boolean started = network.contains(Variant.START_A);
        boolean taken = delta.kind().init().isTakenFromW();
        boolean dora = network.contains(DoRA.MAGNITUDE);
        boolean bias = network.contains(DefaultParamInitializer.BIAS_KEY);
        if (dora != delta.has(DoRA.MAGNITUDE) || bias != delta.trainsBias() || started != taken) {
            throw new IllegalArgumentException("Layer \"" + layer + "\": the adapter consists of "
                    + new TreeSet<>(delta.parts().keySet()) + (taken ? " and started from a part of W" : "")
                    + ", but the network's consists of " + new TreeSet<>(network) + ". Make the network with "
                    + "LoRA.apply(base, adapter)"
                    + (taken && !started ? ", or convert the adapter with toPlainLoRA()" : ""));
        }
        LoRASettings settings = matrix.settings();
        Kind kind = Kind.of(settings);
        if (taken && !kind.start().equals(delta.kind().start())) {
            throw new IllegalArgumentException("Layer \"" + layer + "\": the adapter started from W with " + delta.kind().start()
                    + ", but the network's with " + kind.start() + ", which takes another part of W. Make the network with "
                    + "LoRA.apply(base, adapter), or convert the adapter with toPlainLoRA()");
        }
        Variant here = settings.variant();
        Variant there = delta.kind().variant();
        if (!here.equals(there) && !(here.isAdditive() && there.isAdditive())) {
            throw new IllegalArgumentException("Layer \"" + layer + "\": the adapter is " + there.name()
                    + ", but the network's is " + here.name() + ", which computes something else with " + new TreeSet<>(network)
                    + ". Make the network with LoRA.apply(base, adapter)");
        }
    }

    private static void requireSameBase(String layer, Delta delta, @Nullable String found, DataType type) {
        if (delta.baseId() != null && !delta.baseId().equals(found)) {
            throw new IllegalArgumentException("Layer \"" + layer + "\": the adapter was made for the base weights "
                    + delta.baseId() + ", but the network has " + found + (delta.a().dataType() == type ? "" : " (the adapter "
                    + "is " + delta.a().dataType() + ", the network " + type
                    + ": in another data type a base counts as another one)")
                    + ". Use the network that the adapter was trained on, or force it onto this one: "
                    + "LoRA.apply(base, adapter, ApplyOption.FORCE)");
        }
    }

    private static void requireLayout(String layer, TensorLayout adapter, TensorLayout network) {
        if (!adapter.isLike(network)) {
            throw new IllegalArgumentException("Layer \"" + layer + "\": the adapter is for " + adapter
                    + ", but the network's layer is " + network + ". Use the network that the adapter was trained on");
        }
    }

    private static void requireSize(String layer, Delta delta, AdaptedView.AdaptedMatrix matrix) {
        long[] adapter = {delta.a().size(0), delta.b().size(1)};
        long[] network = {matrix.parameter().nIn(), matrix.parameter().nOut()};
        if (!Arrays.equals(adapter, network)) {
            throw new IllegalArgumentException("Layer \"" + layer + "\": the adapter is for weights of shape "
                    + Arrays.toString(adapter) + ", but the network's are " + Arrays.toString(network)
                    + ". Use the network that the adapter was made for");
        }
    }
}
