package io.github.dl4jlora.internal.adapted;

import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRASettings;
import io.github.dl4jlora.variant.Parameter.Role;
import io.github.dl4jlora.variant.Parameter;
import io.github.dl4jlora.variant.Variant;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Where the parts of an adapter lie in the adapted layer's part of the vector, each matrix in 'f' order:
 *
 * <pre>
 * EMBEDDED  [ stock layer | constants | trained ]
 * SHARED                              [ trained ]      stock layer and constants are outside
 *
 * trained   what trains of the first adapted parameter (A, B, …), of the second, …, then biases
 * constants what does not train: LoRA-FA's A, the start of PiSSA and OLoRA
 * </pre>
 *
 * A frozen bias beside a trained copy of it is called {@code b0} in the table of an embedded layer.
 */
public final class AdapterLayout {

    /**
     * A matrix of the adapter.
     *
     * @param key       in DL4J's parameter table
     * @param matrix    the adapted parameter it belongs to; null for a bias
     * @param parameter its key within the adapter (A, B, …), shape and role
     */
    public record Slot(String key, @Nullable AdaptedParameter matrix, Parameter parameter) {
    }

    private final List<Slot> constants = new ArrayList<>();
    private final List<Slot> trained = new ArrayList<>();
    private final Map<String, Role> roles = new LinkedHashMap<>();

    private AdapterLayout(AdaptedConfiguration lora) {
        LoRASettings settings = lora.settings();
        for (AdaptedParameter matrix : lora.adapted()) {
            settings.variant().parameters(matrix.nIn(), matrix.nOut(), matrix.rank()).forEach(part -> add(lora, matrix, part));
            if (settings.loraInit().isTakenFromW()) {
                add(lora, matrix, new Parameter(Variant.START_A, matrix.nIn(), matrix.rank(), Role.FROZEN));
                add(lora, matrix, new Parameter(Variant.START_B, matrix.rank(), matrix.nOut(), Role.FROZEN));
            }
        }
        for (TrainedBias bias : lora.biases()) {
            add(new Slot(bias.key(), null, new Parameter(bias.key(), 1, bias.length(), Role.BIAS)));
        }
    }

    /** The layout of a layer as it is configured now. */
    public static AdapterLayout of(AdaptedConfiguration lora) {
        return new AdapterLayout(lora);
    }

    private void add(AdaptedConfiguration lora, AdaptedParameter matrix, Parameter part) {
        add(new Slot(lora.key(matrix, part.key()), matrix, part));
    }

    private void add(Slot slot) {
        (slot.parameter().isTrained() ? trained : constants).add(slot);
        roles.put(slot.key(), slot.parameter().role());
    }

    /** What trains, in the order of the vector. */
    public List<Slot> trained() {
        return trained;
    }

    /** What does not train. */
    public List<Slot> constants() {
        return constants;
    }

    /** The slots of one adapted parameter, what does not train first. */
    public List<Slot> of(AdaptedParameter matrix) {
        List<Slot> slots = new ArrayList<>(constants);
        slots.addAll(trained);
        slots.removeIf(slot -> slot.matrix() == null || !slot.matrix().key().equals(matrix.key()));
        return slots;
    }

    /** Keys of what trains. */
    public List<String> trainedKeys() {
        return trained.stream().map(Slot::key).toList();
    }

    /** Keys of the trained slots with this role. */
    public List<String> keys(Role role) {
        return trained.stream().filter(slot -> slot.parameter().role() == role).map(Slot::key).toList();
    }

    /** {@link Role#FROZEN} for the stock layer's own parameters, and for unknown keys. */
    public Role role(String key) {
        return roles.getOrDefault(key, Role.FROZEN);
    }

    /** Whether the key is that of a B. */
    public boolean isB(String key) {
        return trained.stream().anyMatch(slot -> slot.key().equals(key) && slot.parameter().key().equals(Variant.B));
    }

    /** Whether the key is the adapter's. */
    public boolean has(String key) {
        return roles.containsKey(key);
    }

    /** Whether a key of the parameter table names something that trains. */
    public boolean trains(String key) {
        return role(key) != Role.FROZEN;
    }

    /** Number of values that train. */
    public long trainedParams() {
        return length(trained);
    }

    /** Number of the adapter's values that do not train. */
    public long constantParams() {
        return length(constants);
    }

    /** Number of values that train for one adapted parameter. */
    public long trainedParams(AdaptedParameter matrix) {
        return length(of(matrix).stream().filter(slot -> slot.parameter().isTrained()).toList());
    }

    private static long length(List<Slot> slots) {
        return slots.stream().mapToLong(slot -> slot.parameter().length()).sum();
    }

    /** How many values of the vector precede what trains. */
    private long frozenLength(AdaptedConfiguration lora) {
        return lora.getStorage() == FrozenStorage.EMBEDDED ? lora.frozenParams() + constantParams() : 0;
    }

    /** Length of the layer's part of the vector. */
    public long length(AdaptedConfiguration lora) {
        return frozenLength(lora) + trainedParams();
    }

    /** Views of what trains, by key, in the layer's part of the parameter or gradient vector. */
    public Map<String, INDArray> trainedViews(AdaptedConfiguration lora, INDArray view) {
        return views(trained, interval(view, frozenLength(lora), view.length()));
    }

    /** Views of what does not train, by key, in a flat array. */
    public Map<String, INDArray> constantViews(INDArray flat) {
        return views(constants, flat);
    }

    /**
     * The parameter table.
     *
     * @param stock the stock layer's own parameters if they are embedded, else none
     * @param view  the layer's part of the vector
     */
    public Map<String, INDArray> table(AdaptedConfiguration lora, Map<String, INDArray> stock, INDArray view) {
        Map<String, INDArray> table = new LinkedHashMap<>();
        stock.forEach((key, value) -> table.put(lora.biases().stream().filter(bias -> bias.key().equals(key))
                .map(TrainedBias::frozenKey).findFirst().orElse(key), value));
        if (lora.getStorage() == FrozenStorage.EMBEDDED && !constants.isEmpty()) {
            table.putAll(constantViews(interval(view, lora.frozenParams(), frozenLength(lora))));
        }
        table.putAll(trainedViews(lora, view));
        return table;
    }

    private static Map<String, INDArray> views(List<Slot> slots, INDArray flat) {
        Map<String, INDArray> views = new LinkedHashMap<>();
        INDArray vector = flat.reshape(flat.length());
        long from = 0;
        for (Slot slot : slots) {
            Parameter parameter = slot.parameter();
            long to = from + parameter.length();
            views.put(slot.key(), interval(vector, from, to).reshape('f', parameter.rows(), parameter.columns()));
            from = to;
        }
        return views;
    }

    /** Part of a flat array; a view {@code [to - from]}. */
    public static INDArray interval(INDArray flat, long from, long to) {
        return flat.reshape(flat.length()).get(NDArrayIndex.interval(from, to));
    }
}
