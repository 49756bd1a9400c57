package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.conf.LoRASettings;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.adapted.AdaptedParameter;
import io.github.dl4jlora.internal.adapted.AdapterLayout;
import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.common.Named;
import io.github.dl4jlora.internal.kernel.FrozenMatrix;
import io.github.dl4jlora.internal.kernel.KernelWeights;
import io.github.dl4jlora.internal.stock.WholeVector;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;

/**
 * What a running adapted layer or vertex has besides its stock layer: the parts of its adapters, how they are replaced and
 * merged, and who else is told of that. Every kind of adapted layer has one.
 */
public final class Adapter implements KernelWeights {

    private final Supplier<? extends AdaptedConfiguration> conf;
    private final Supplier<Map<String, INDArray>> table;
    private final Supplier<INDArray> view;
    private final DataType type;
    private final Runnable changed;
    private final Switches switches;
    private @Nullable FrozenWeights source;
    private LoRASettings settings;
    private List<AdaptedParameter> matrices;
    private final StockValues stock;
    private final AdapterConstants constants;
    private @Nullable BooleanSupplier afterStep;

    /**
     * @param conf    the layer's configuration as it is now
     * @param table   the layer's parameter table
     * @param view    the layer's part of the vector
     * @param type    the network's data type
     * @param changed run when what the layer computes has changed other than through the vector and routes
     * @param routed  run when its routes have changed
     */
    public Adapter(Supplier<? extends AdaptedConfiguration> conf, Supplier<Map<String, INDArray>> table, Supplier<INDArray> view,
            DataType type, Runnable changed, Runnable routed) {
        this.conf = conf;
        this.table = table;
        this.view = view;
        this.type = type;
        this.changed = changed;
        this.stock = new StockValues(conf, view, type);
        this.constants = new AdapterConstants(conf, table, stock, type);
        this.switches = new Switches(this::name, changed, routed);
        this.settings = conf.get().settings();
        this.matrices = conf.get().adapted();
    }

    /** The layer's configuration. */
    public AdaptedConfiguration configuration() {
        return conf.get();
    }

    private @Nullable String name() {
        return conf.get().getLayerName();
    }

    /** The stock layer's own parameters, as the base has them. */
    public StockValues stock() {
        return stock;
    }

    /** The parts of the adapters that do not train. */
    public AdapterConstants constants() {
        return constants;
    }

    DataType type() {
        return type;
    }

    /** To be called when what the layer computes has changed other than through the vector. */
    void changed() {
        changed.run();
    }

    /** A parameter by key of the parameter table; null for one that is outside the vector. */
    @Nullable INDArray inVector(String key) {
        return table.get().get(key);
    }

    /** A parameter of the adapter by key of the parameter table, wherever it lives; null for one that it does not have. */
    public @Nullable INDArray value(String key) {
        INDArray inVector = inVector(key);
        return inVector != null ? inVector : constants.values().get(key);
    }

    /**
     * The adapter of one parameter, by part, live, including parts that do not train: A {@code [nIn, rank]}, B
     * {@code [rank, nOut]}, a variant's own and, if it belongs to the layer's one matrix, a trained b {@code [1, nOut]}.
     *
     * @param key of the adapted parameter
     */
    public Map<String, INDArray> parts(String key) {
        AdaptedConfiguration lora = conf.get();
        Map<String, INDArray> parts = new LinkedHashMap<>();
        lora.layout().of(adapted(key)).forEach(slot -> parts.put(slot.parameter().key(), value(slot.key())));
        if (lora.hasBiasAsPart()) {
            parts.put(DefaultParamInitializer.BIAS_KEY, value(lora.biases().get(0).key()));
        }
        return parts;
    }

    private AdaptedParameter adapted(String key) {
        AdaptedParameter found = found(key);
        if (found == null) {
            throw new IllegalArgumentException(Named.layer(name()) + " has no adapted parameter " + Named.quoted(key)
                    + "; it has " + conf.get().adapted().stream().map(AdaptedParameter::key).toList());
        }
        return found;
    }

    private @Nullable AdaptedParameter found(String key) {
        return conf.get().adapted().stream().filter(matrix -> matrix.key().equals(key)).findFirst().orElse(null);
    }

    /**
     * Replaces parts of the adapter of one parameter. Parts that do not train and are outside the vector then have another
     * content id.
     *
     * @param key   of the adapted parameter
     * @param parts by part, as {@link #parts} returns them
     */
    public void replace(String key, Map<String, INDArray> parts) {
        AdaptedConfiguration lora = conf.get();
        AdaptedParameter matrix = adapted(key);
        Map<String, INDArray> outside = new HashMap<>();
        parts.forEach((part, value) -> {
            String tableKey = lora.hasBiasAsPart() && part.equals(DefaultParamInitializer.BIAS_KEY)
                    ? lora.biases().get(0).key() : lora.key(matrix, part);
            INDArray inVector = inVector(tableKey);
            if (inVector != null) {
                inVector.assign(value);
            } else {
                outside.put(tableKey, value);
            }
        });
        if (!outside.isEmpty()) {
            constants.replace(outside);
        }
        changed.run();
    }

    @Override
    public FrozenMatrix matrix(String key) {
        return stock.matrix(key);
    }

    /** The paths are the layer's own, or those that it is routed to. */
    @Override
    public List<Route> paths(String key, long rows) {
        AdaptedParameter matrix = found(key);
        if (matrix == null) {
            return List.of();
        }
        Routing routing = switches.routing(key);
        return routing != null ? routing.forRows(rows) : List.of(new Route(0, rows,
                Objects.requireNonNull(value(conf.get().key(matrix, Variant.A))),
                Objects.requireNonNull(value(conf.get().key(matrix, Variant.B))), factor(matrix)));
    }

    /** As it is trained, or the base's. A bank's routes have none for a layer with several matrices. */
    @Override
    public INDArray bias(String key) {
        boolean isOwn = conf.get().biases().stream().anyMatch(own -> own.key().equals(key));
        return Objects.requireNonNull(isOwn ? value(key) : stock.arrays().get(key));
    }

    @Override
    public @Nullable String gradientKey(String key, String part) {
        AdaptedParameter matrix = found(key);
        return matrix == null ? null : conf.get().key(matrix, part);
    }

    @Override
    public INDArray flat() {
        return stock.flat();
    }

    /** The present factor of ΔW: s times the layer's scale. */
    public double factor(AdaptedParameter matrix) {
        return matrix.factor() * switches.scale(matrix.key());
    }

    /**
     * Changes the factor of ΔW, in the configuration too: two adapters for one layer may differ in it.
     *
     * @param key of the adapted parameter
     */
    public void rescale(String key, double alpha, Scaling scaling) {
        AdaptedParameter before = adapted(key);
        if (before.alpha() == alpha && before.scaling() == scaling) {
            return;
        }
        AdaptedConfiguration lora = conf.get();
        lora.rescale(key, alpha, scaling);
        settings = lora.settings();
        matrices = lora.adapted();
        if (lora.settings().loraInit().isTakenFromW() && !lora.settings().loraInit().needsData()) {
            // W − s·A0·B0 stands in place of W, with the present s.
            Map<String, INDArray> start = AdapterStart.of(lora, adapted(key), stock.all(), Map.of(), type, lora.getStartSeed());
            replace(key, Map.of(Variant.START_A, start.get(Variant.START_A), Variant.START_B, start.get(Variant.START_B)));
        }
        changed.run();
    }

    @SuppressWarnings("ReferenceEquality")
    private void requireSameSettings() {
        LoRASettings now = conf.get().settings();
        if (now != settings && !now.equals(settings)) {
            throw new IllegalStateException(Named.layer(name()) + ": its settings were changed after the network was made, to "
                    + now + ", but it runs with " + settings + ": set these again with setLora(...). For other settings, make "
                    + "another network with LoRA.apply; for another alpha, apply an adapter with applyTo. A network that was "
                    + "made on this one's configuration object shares them: make it with clone()");
        }
        settings = now;
        List<AdaptedParameter> present = conf.get().adapted();
        if (present != matrices && !present.equals(matrices)) {
            throw new IllegalStateException(Named.layer(name()) + ": another network was made on the same configuration object, "
                    + "and an adapter with another alpha was applied to that network. Make such networks with clone()");
        }
        matrices = present;
    }

    /**
     * To be called before a pass. If other frozen values have been attached, they are looked up again.
     *
     * @throws IllegalStateException if the layer's settings are not those it was made with, if the base was closed or, in
     *                               training only, if a quick look finds that it was trained or overwritten
     */
    public void beginPass(boolean training) {
        requireSameSettings();
        FrozenReference reference = conf.get().getFrozen();
        FrozenWeights now = reference == null ? null : reference.bound();
        if (now != source) {
            source = now;
            stock.forget();
            constants.forget();
            changed.run();
        }
        if (now != null && training) {
            now.requireUnmoved(name());
        } else if (now != null) {
            now.requireOpen(name());
        }
    }

    /**
     * Has something called after each step of training, when all parameters have been updated, besides what is called already.
     *
     * @param again what is called; it returns whether to call it after the next step, too
     */
    public void afterSteps(BooleanSupplier again) {
        BooleanSupplier before = afterStep;
        afterStep = before == null ? again : () -> {
            boolean wantsMore = before.getAsBoolean();
            return again.getAsBoolean() || wantsMore;
        };
    }

    /** To be called after each step of training. */
    public void stepped() {
        if (afterStep == null) {
            return;
        }
        // A graph that trains in workspaces and predicts without them leaves a closed one to the code after its step.
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            if (!afterStep.getAsBoolean()) {
                afterStep = null;
            }
        }
    }

    /** What is switched at run time. */
    public Switches switches() {
        return switches;
    }

    /**
     * Sets a trained parameter. Frozen values cannot be set here, but are restored with whole vectors.
     *
     * @throws IllegalArgumentException for another key, or another shape
     */
    public void set(String key, INDArray value) {
        AdapterLayout layout = conf.get().layout();
        if (!layout.trains(key)) {
            throw new IllegalArgumentException(Named.layer(name()) + " has no trainable parameter " + Named.quoted(key)
                    + " (setParams sets frozen ones that are embedded); it has "
                    + layout.trained().stream().map(slot -> slot.key() + " [" + slot.parameter().rows() + ", "
                    + slot.parameter().columns() + "]").toList());
        }
        INDArray current = Objects.requireNonNull(inVector(key));
        if (!Arrays.equals(current.shape(), value.shape())) {
            throw new IllegalArgumentException(Named.layer(name()) + ": parameter " + key + " has shape "
                    + Arrays.toString(current.shape()) + ", but the new value has " + Arrays.toString(value.shape()));
        }
        current.assign(value);
        changed.run();
    }

    /**
     * Overwrites the layer's part of the vector.
     *
     * @throws IllegalArgumentException for another number of values
     */
    public void setAll(INDArray values) {
        INDArray current = view.get();
        if (values == current) {
            return;
        }
        WholeVector.refuseOtherLength(name());
        if (values.length() != current.length()) {
            throw new IllegalArgumentException(Named.layer(name()) + " has " + current.length() + " parameters, but "
                    + values.length() + " values were given");
        }
        current.assign(values.reshape(current.shape()));
        changed.run();
    }
}
