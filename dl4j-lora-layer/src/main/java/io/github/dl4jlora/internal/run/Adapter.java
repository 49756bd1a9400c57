package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRASettings;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.exception.FrozenWeightsMissingException;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.adapted.AdaptedParameter;
import io.github.dl4jlora.internal.adapted.AdapterLayout;
import io.github.dl4jlora.internal.adapted.Named;
import io.github.dl4jlora.internal.adapted.TrainedBias;
import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.stock.WholeVector;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;

/**
 * What a running adapted layer or vertex has beside its stock layer: the parts of its adapters, how they start, are replaced
 * and merged, and the frozen values that it looks up. Every kind of adapted layer has one.
 */
public final class Adapter {

    private final Supplier<? extends AdaptedConfiguration> conf;
    private final Supplier<Map<String, INDArray>> table;
    private final Supplier<INDArray> view;
    private final DataType type;
    private final Runnable changed;
    private final Switches switches;
    private FrozenWeights source;
    private LoRASettings settings;
    private final StockValues stock;
    private Map<String, INDArray> constants;
    private BooleanSupplier afterStep;

    /**
     * @param conf    the layer's configuration as it is now
     * @param table   the layer's parameter table
     * @param view    the layer's part of the vector
     * @param type    the network's data type
     * @param changed told when what the layer computes has changed other than through the vector
     */
    public Adapter(Supplier<? extends AdaptedConfiguration> conf, Supplier<Map<String, INDArray>> table, Supplier<INDArray> view,
            DataType type, Runnable changed) {
        this.conf = conf;
        this.table = table;
        this.view = view;
        this.type = type;
        this.changed = changed;
        this.stock = new StockValues(conf, view, type);
        this.switches = new Switches(this::name, changed);
        this.settings = conf.get().settings();
    }

    /** The layer's configuration. */
    public AdaptedConfiguration configuration() {
        return conf.get();
    }

    private String name() {
        return conf.get().getLayerName();
    }

    /** The stock layer's own parameters, as the base has them. */
    public StockValues stock() {
        return stock;
    }

    /** {@link #stock}, flat. */
    public INDArray frozenValues() {
        return stock.flat();
    }

    private Map<String, INDArray> constants() {
        if (constants == null) {
            AdapterLayout layout = conf.get().layout();
            constants = layout.constants().isEmpty() ? Map.of()
                    : conf.get().getStorage() == FrozenStorage.EMBEDDED ? table.get() : sharedConstants(layout);
        }
        return constants;
    }

    private Map<String, INDArray> sharedConstants(AdapterLayout layout) {
        AdaptedConfiguration lora = conf.get();
        FrozenReference reference = lora.getConstants();
        if (reference == null) {
            throw new FrozenWeightsMissingException(name(), "(none recorded)");
        }
        reference.bindOr(name(), () -> {
            AdapterStart.requireComputable(lora);
            // In the type in which they were made.
            DataType original = lora.getFrozen().require(name()).dataType();
            return AdapterStart.constants(lora, started(original, lora.getStartSeed()));
        });
        return layout.constantViews(reference.values(name(), type, layout.constantParams()));
    }

    /** Refuses a start that is not here and that W does not tell. */
    public void requireStart() {
        if (conf.get().getConstants() != null && !conf.get().getConstants().isHere()) {
            AdapterStart.requireComputable(conf.get());
        }
    }

    /** A whole start by key of the parameter table. */
    private Map<String, INDArray> started(DataType startType, long seed) {
        AdaptedConfiguration lora = conf.get();
        Map<String, INDArray> stockOfType = AdapterStart.needsStock(lora)
                ? lora.stockTable(stock.flat(startType), false) : Map.of();
        Map<String, INDArray> start = new HashMap<>();
        for (AdaptedParameter matrix : lora.adapted()) {
            AdapterStart.of(lora, matrix, stockOfType, Map.of(), startType, seed)
                    .forEach((part, value) -> start.put(lora.key(matrix, part), value));
        }
        return start;
    }

    /** A parameter of the adapter by key of the parameter table, wherever it lives; null for one that it has not. */
    public INDArray value(String key) {
        INDArray inVector = table.get().get(key);
        return inVector != null ? inVector : constants().get(key);
    }

    /**
     * What the adapter of one parameter consists of, by part, live, what does not train included: A {@code [nIn, rank]}, B
     * {@code [rank, nOut]}, a variant's own and, where it belongs to the layer's one matrix, a trained b {@code [1, nOut]}.
     *
     * @param key of the adapted parameter
     */
    public Map<String, INDArray> parts(String key) {
        AdaptedConfiguration lora = conf.get();
        Map<String, INDArray> parts = new LinkedHashMap<>();
        lora.layout().of(matrix(key)).forEach(slot -> parts.put(slot.parameter().key(), value(slot.key())));
        if (lora.hasBiasAsPart()) {
            parts.put(DefaultParamInitializer.BIAS_KEY, value(lora.biases().get(0).key()));
        }
        return parts;
    }

    private AdaptedParameter matrix(String key) {
        return conf.get().adapted().stream().filter(matrix -> matrix.key().equals(key)).findFirst()
                .orElseThrow(() -> new IllegalArgumentException(Named.layer(name()) + " has no adapted parameter "
                        + Named.quoted(key) + "; it has " + conf.get().adapted().stream().map(AdaptedParameter::key).toList()));
    }

    /**
     * Replaces parts of the adapter of one parameter by others. Those that do not train and are outside the vector are then
     * known by another content.
     *
     * @param key   of the adapted parameter
     * @param parts by part, as {@link #parts} has them
     */
    public void replace(String key, Map<String, INDArray> parts) {
        AdaptedConfiguration lora = conf.get();
        AdaptedParameter matrix = matrix(key);
        Map<String, INDArray> outside = new HashMap<>();
        parts.forEach((part, value) -> {
            String tableKey = lora.hasBiasAsPart() && part.equals(DefaultParamInitializer.BIAS_KEY)
                    ? lora.biases().get(0).key() : lora.key(matrix, part);
            INDArray inVector = table.get().get(tableKey);
            if (inVector != null) {
                inVector.assign(value);
            } else {
                outside.put(tableKey, value);
            }
        });
        if (!outside.isEmpty()) {
            Map<String, INDArray> all = new HashMap<>(lora.getConstants() == null ? Map.of() : constants());
            all.putAll(outside);
            keepConstants(all, lora.getStartSeed());
        }
        changed.run();
    }

    private void keepConstants(Map<String, INDArray> values, long seed) {
        AdaptedConfiguration lora = conf.get();
        FrozenWeights kept = AdapterStart.constants(lora, values);
        lora.setConstants(FrozenReference.to(kept, null));
        lora.setStartSeed(seed);
        constants = null;
    }

    /**
     * Gives the adapters a fresh start, as configured, and biases the base's values.
     *
     * @param node  what the layer is called in adapter files
     * @param seed  of the whole network; each parameter draws from one of its own
     * @param known of starts from data, by key of the adapted parameter and part
     */
    public void start(String node, long seed, Map<String, Map<String, INDArray>> known) {
        AdaptedConfiguration lora = conf.get();
        for (AdaptedParameter matrix : lora.adapted()) {
            // Java's hash of the name tells matrices of one shape apart.
            start(matrix, known.getOrDefault(matrix.key(), Map.of()),
                    seed * 31 + lora.matrices().module(node, matrix.key()).hashCode(), true);
        }
        startBiases();
    }

    private void start(AdaptedParameter matrix, Map<String, INDArray> known, long seed, boolean fresh) {
        AdaptedConfiguration lora = conf.get();
        boolean needsW = lora.settings().loraInit().isTakenFromW() || !lora.settings().variant().isAdditive();
        Map<String, INDArray> start = AdapterStart.of(lora, matrix, needsW ? stock.all() : Map.of(), known, type, seed);
        if (fresh && lora.getStorage() == FrozenStorage.SHARED && !lora.layout().constants().isEmpty()) {
            Map<String, INDArray> byKey = new HashMap<>();
            start.forEach((part, value) -> byKey.put(lora.key(matrix, part), value));
            keepConstants(byKey, seed);
        }
        lora.layout().of(matrix).stream().filter(slot -> table.get().containsKey(slot.key()))
                .forEach(slot -> table.get().get(slot.key()).assign(start.get(slot.parameter().key())));
        changed.run();
    }

    private void startBiases() {
        for (TrainedBias bias : conf.get().biases()) {
            table.get().get(bias.key()).assign(stock.arrays().get(bias.key()).reshape('c', 1, bias.length()));
        }
    }

    /**
     * The start of a layer that DL4J initialises. A declared layer draws its frozen values, too, where they are outside the
     * vector. DL4J initialises what it builds anew from an adapted network as well, and then copies the vector: what is
     * outside it stays as it is, and of a base that is not here nothing is asked.
     */
    public void initialize() {
        AdaptedConfiguration lora = conf.get();
        if (lora.getStorage() == FrozenStorage.SHARED && lora.getFrozen() == null) {
            lora.setFrozen(freshFrozen(lora));
        }
        boolean constantsAreMissing = lora.getConstants() != null && !lora.getConstants().isHere();
        if (lora.getStorage() == FrozenStorage.SHARED && (constantsAreMissing || AdapterStart.needsStock(lora))
                && !lora.getFrozen().isHere()) {
            return;
        }
        for (AdaptedParameter matrix : lora.adapted()) {
            long seed = lora.getConstants() != null ? lora.getStartSeed() : Nd4j.getRandom().nextLong();
            start(matrix, lora.getConstants() != null ? knownConstants(matrix) : Map.of(), seed, lora.getConstants() == null);
        }
        startBiases();
    }

    private Map<String, INDArray> knownConstants(AdaptedParameter matrix) {
        Map<String, INDArray> known = new HashMap<>();
        conf.get().layout().constants().stream().filter(slot -> slot.matrix().equals(matrix))
                .forEach(slot -> known.put(slot.parameter().key(), constants().get(slot.key())));
        return known;
    }

    private FrozenReference freshFrozen(AdaptedConfiguration lora) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            INDArray values = Nd4j.create(type, lora.frozenParams());
            return FrozenReference.to(FrozenWeights.ofOwn(values, lora.stockTable(values, true)), null);
        }
    }

    /** The factor of ΔW as it counts now: s, times what the layer is scaled by. */
    public double factor(AdaptedParameter matrix) {
        return matrix.factor() * switches.scale(matrix.key());
    }

    /** What the adapters hold that does not train and is outside the vector; null where there is nothing of the kind. */
    public FrozenWeights outsideConstants() {
        AdaptedConfiguration lora = conf.get();
        if (lora.getConstants() == null) {
            return null;
        }
        constants();
        return lora.getConstants().require(name());
    }

    /**
     * Changes the factor of ΔW, in the configuration too: two adapters for one layer may differ in it.
     *
     * @param key of the adapted parameter
     */
    public void rescale(String key, double alpha, Scaling scaling) {
        AdaptedParameter before = matrix(key);
        if (before.alpha() == alpha && before.scaling() == scaling) {
            return;
        }
        AdaptedConfiguration lora = conf.get();
        lora.rescale(key, alpha, scaling);
        settings = lora.settings();
        if (lora.settings().loraInit().isTakenFromW() && !lora.settings().loraInit().needsData()) {
            // What stands in W's place is W − s·A0·B0, of the s that there is now.
            Map<String, INDArray> start = AdapterStart.of(lora, matrix(key), stock.all(), Map.of(), type, lora.getStartSeed());
            replace(key, Map.of(Variant.START_A, start.get(Variant.START_A), Variant.START_B, start.get(Variant.START_B)));
        }
        changed.run();
    }

    private void requireSameSettings() {
        LoRASettings now = conf.get().settings();
        if (now != settings && !now.equals(settings)) {
            throw new IllegalStateException(Named.layer(name()) + ": its settings were changed after the network was made, to "
                    + now + ". What runs is " + settings + ": set that again with setLora(...). Other settings are for another "
                    + "network, made with LoRA.apply; another alpha comes with an adapter, by applyTo");
        }
        settings = now;
    }

    /**
     * To be called before a pass. Where others have been attached, what was looked up of the frozen values is looked up again.
     *
     * @throws IllegalStateException if the layer's settings are others than those it was made of, or if the base was closed
     *                               or, as far as a quick look can tell, trained or overwritten; the latter is looked at when
     *                               training only
     */
    public void beginPass(boolean training) {
        requireSameSettings();
        FrozenReference reference = conf.get().getFrozen();
        FrozenWeights now = reference == null ? null : reference.bound();
        if (now != source) {
            source = now;
            stock.forget();
            constants = null;
            changed.run();
        }
        if (now != null && training) {
            now.requireUnmoved(name());
        } else if (now != null) {
            now.requireOpen(name());
        }
    }

    /**
     * Has something called after each step of training, when all parameters have been updated, beside what is called already.
     *
     * @param again whether to go on with that
     */
    public void afterSteps(BooleanSupplier again) {
        BooleanSupplier before = afterStep;
        afterStep = before == null ? again : () -> before.getAsBoolean() | again.getAsBoolean();
    }

    /** To be called after each step of training. */
    public void stepped() {
        if (afterStep != null && !afterStep.getAsBoolean()) {
            afterStep = null;
        }
    }

    /** What is switched at run time. */
    public Switches switches() {
        return switches;
    }

    /**
     * Sets a trained parameter. Frozen values are out of reach here; whole vectors are restored frozen values included.
     *
     * @throws IllegalArgumentException for another key, or another shape
     */
    public void set(String key, INDArray value) {
        AdapterLayout layout = conf.get().layout();
        if (!layout.trains(key)) {
            throw new IllegalArgumentException(Named.layer(name()) + " has no trainable parameter " + Named.quoted(key)
                    + "; it has "
                    + layout.trained().stream().map(slot -> slot.key() + " [" + slot.parameter().rows() + ", "
                    + slot.parameter().columns() + "]").toList());
        }
        INDArray current = table.get().get(key);
        if (!Objects.equals(List.of(current.size(0), current.size(1)), shape(value))) {
            throw new IllegalArgumentException(Named.layer(name()) + ": parameter " + key + " has shape ["
                    + current.size(0) + ", " + current.size(1) + "], but the new value has " + shape(value));
        }
        current.assign(value);
        changed.run();
    }

    private static List<Long> shape(INDArray array) {
        return java.util.Arrays.stream(array.shape()).boxed().toList();
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
