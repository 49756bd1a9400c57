package io.github.dl4jlora.internal.cost;

import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.footprint.Footprint;
import io.github.dl4jlora.footprint.Passage;
import io.github.dl4jlora.footprint.TrainingFootprint;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.adapted.AdapterLayout;
import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.base.StoredForm;
import io.github.dl4jlora.internal.build.Adaptation;
import io.github.dl4jlora.internal.build.AdaptedLayers;
import io.github.dl4jlora.internal.build.InputGradients;
import io.github.dl4jlora.internal.build.PassingOutputs;
import io.github.dl4jlora.internal.build.Recomputation;
import io.github.dl4jlora.internal.inspect.Summaries;
import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.network.PlannedNetwork;
import io.github.dl4jlora.internal.run.AdaptedRuntime;
import io.github.dl4jlora.internal.run.AdaptedRuntime.InputGradient;
import io.github.dl4jlora.internal.stock.StockLayers;
import io.github.dl4jlora.report.LoRAPlan;
import io.github.dl4jlora.report.LoRASummary;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.TrainingConfig;
import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.jspecify.annotations.Nullable;
import org.nd4j.common.util.ArrayUtil;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.config.NoOp;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Function;

/** What training an adapted network would take, without making it, and what training the stock network would take. */
public final class TrainingCost {

    private final PlannedNetwork<?> planned;
    private final Network<?> from;
    private final LoRAConfig config;
    private final BatchSizes sizes;
    private final int width;

    private TrainingCost(PlannedNetwork<?> planned, LoRAConfig config, BatchSizes sizes) {
        this.planned = planned;
        this.from = planned.from();
        this.config = config;
        this.sizes = sizes;
        this.width = from.dataType().width();
    }

    /**
     * @throws IllegalArgumentException as {@link Adaptation#apply}, and as {@link BatchSizes#of}
     */
    public static LoRAPlan of(Model base, LoRAConfig config, int batch, InputType @Nullable ... inputs) {
        PlannedNetwork<?> planned = Adaptation.planned(base, config);
        TrainingCost planning = new TrainingCost(planned, config, BatchSizes.of(planned.from(), batch, inputs));
        LoRASummary layers = Summaries.of(planned);
        return new LoRAPlan(layers, batch, planning.adapted(layers.trainableParams()), planning.full(), planning.adapterBytes(),
                config.rankBudget());
    }

    private LoRAPlan.Memory adapted(long trained) {
        long vector = length(planned);
        long state = planned.nodes().stream().mapToLong(this::state).sum();
        Map<String, InputGradient> gradients = InputGradients.of(planned);
        Map<String, Footprint> footprints = new HashMap<>();
        planned.nodes().forEach(node ->
                footprints.put(node.name(), footprint(node, gradients.get(node.name()) == InputGradient.NEEDED)));
        List<List<Integer>> again = config.recompute().isEmpty() ? List.of()
                : Recomputation.stretches(planned, config.recompute());
        KeptOutputs outputs = KeptOutputs.of(planned, footprints, again);
        List<Step> steps = steps(planned, node -> outputs.decided(node, Objects.requireNonNull(footprints.get(node.name()))));
        return memory(width * (vector - trained) + outside() + packed(gradients), trained, vector, state, steps, again,
                width * outputs.places() + quantizedScratch());
    }

    private LoRAPlan.Memory full() {
        long vector = length(from);
        long trained = from.nodes().stream().filter(node -> !node.isFrozenAtAnyDepth()).mapToLong(Node::numParams).sum();
        long state = from.nodes().stream().filter(node -> !node.isFrozenByDl4j() && node.numParams() > 0).mapToLong(node ->
                state(node, inFull(node))).sum();
        return memory(width * (vector - trained), trained, vector, state, steps(from, node ->
                KeptOutputs.keepingOutput(stockFootprint(node))), List.of(), 0);
    }

    private LoRAPlan.Memory memory(long frozen, long trained, long vector, long state, List<Step> steps,
                                   List<List<Integer>> again, long apart) {
        boolean learned = from.trainsInWorkspaces();
        Workspaces workspaces = from.isGraph() ? Workspaces.ofGraph(from.inputs(), steps, again, learned)
                : Workspaces.ofChain(steps, learned);
        return new LoRAPlan.Memory(frozen, width * trained, width * vector, width * state, width * workspaces.activations(),
                width * workspaces.working(), width * workspaces.outside() + apart);
    }

    private static long length(Network<?> network) {
        return network.nodes().stream().mapToLong(Node::numParams).sum();
    }

    /** Bytes of what stays where it is: frozen weights, the base's values of layers that train in full, constants. */
    private long outside() {
        if (config.storage() == FrozenStorage.EMBEDDED) {
            return 0;
        }
        long bytes = 0;
        for (Node node : planned.nodes()) {
            FrozenReference reference = node.frozenReference() != null ? node.frozenReference() : from.described(stock(node));
            bytes += reference == null ? 0 : reference.bytes();
            bytes += node.adapted() == null ? 0 : width * node.adapted().layout().constantParams();
        }
        return bytes;
    }

    /** Bytes of packed copies. */
    private long packed(Map<String, InputGradient> gradients) {
        if (from.dataType() != DataType.FLOAT) {
            return 0;
        }
        return planned.nodes().stream().filter(node -> node.frozenReference() != null && node.frozenReference().isPacked())
                .mapToLong(node -> PackedBytes.of(stock(node), from.shapes(stock(node)), sizes.passage(node), node.adapted(),
                        Objects.requireNonNull(node.frozenReference()).scheme(),
                        gradients.get(node.name()) == InputGradient.NEEDED, node.stopsGradient())).sum();
    }

    private Node stock(Node node) {
        return from.node(node.name());
    }

    /** Values of a node's updater, as DL4J asks for them parameter by parameter. */
    private long state(Node node) {
        AdaptedConfiguration lora = node.adapted();
        if (node.numParams() == 0 || lora == null && node.isFrozen()) {
            return 0;
        }
        return lora == null ? state(stock(node), updaters(node)) : lora.layout().trained().stream().mapToLong(slot ->
                updaters(node).apply(slot.key()).stateSize(slot.parameter().length())).sum();
    }

    private long state(Node stock, Function<String, IUpdater> updaters) {
        return from.shapes(stock).entrySet().stream().mapToLong(parameter ->
                updaters.apply(parameter.getKey()).stateSize(ArrayUtil.prodLong(parameter.getValue()))).sum();
    }

    private static Function<String, IUpdater> updaters(Node node) {
        TrainingConfig training = node.layer() != null ? StockLayers.withUpdater(node.layer())
                : (TrainingConfig) node.unwrappedVertex();
        // FrozenLayer, which may be inside another wrapper, has no updater.
        return key -> Objects.requireNonNullElseGet(training.getUpdaterByParam(key), NoOp::new);
    }

    /** Updaters of full training. A layer in FrozenLayerWithBackprop has updater state too, that of its own updater. */
    private Function<String, IUpdater> inFull(Node node) {
        if (config.updater() == null || node.isFrozenAtAnyDepth()) {
            return updaters(node);
        }
        return node.layer() == null ? key -> config.updater()
                : StockLayers.withUpdater(AdaptedLayers.trained(node.layer(), config.updater()))::getUpdaterByParam;
    }

    private List<Step> steps(Network<?> network, Function<Node, Footprint> footprints) {
        List<Step> steps = new ArrayList<>();
        for (Node node : network.nodes()) {
            Footprint footprint = footprints.apply(node);
            InputPreProcessor preprocessor = from.preprocessor(stock(node));
            if (preprocessor != null) {
                Node source = network.nodes().stream().filter(other -> other.name().equals(node.inputs().get(0))).findFirst()
                        .orElse(null);
                footprint = footprint.plus(StockFootprints.of(preprocessor, source == null ? null : source.layer(),
                        node.isOurs(), Objects.requireNonNull(sizes.preprocessor(node))));
            }
            boolean backwards = !node.stopsGradient();
            TrainingFootprint own = stock(node).tellsFootprint();
            List<String> below = own == null ? node.inputs() : Told.inputsInBackward(node, own);
            steps.add(new Step(node.name(), below, backwards ? footprint : withoutBackward(footprint),
                    sizes.passage(node).out(), backwards));
        }
        return steps;
    }

    private Footprint footprint(Node node, boolean inputGradient) {
        Passage passage = sizes.passage(node);
        AdaptedConfiguration lora = node.adapted();
        if (lora != null) {
            return KeptOutputs.keepingOutput(Told.named(node, () ->
                    OwnFootprints.ofAdapted(lora, passage, inputGradient, from.dataType())));
        }
        Footprint alone = stockFootprint(stock(node));
        if (!node.isOurs()) {
            return alone;
        }
        Layer origin = stock(node).layer();
        return origin != null ? OwnFootprints.ofFrozen(origin, passage, alone, node.stopsGradient())
                : OwnFootprints.ofFrozen(Objects.requireNonNull(stock(node).vertex()), passage, alone, node.stopsGradient());
    }

    /** The output is kept, whatever the configuration says, if what runs cannot put it elsewhere. */
    private Footprint stockFootprint(Node node) {
        Passage passage = sizes.passage(node);
        Footprint footprint = Told.named(node, () -> node.layer() != null ? StockFootprints.of(node.layer(), passage)
                : StockFootprints.of(Objects.requireNonNull(node.vertex()), passage));
        boolean passes = footprint.passing() > 0
                && PassingOutputs.makes(AdaptedRuntime.insideFreezing(from.runtime(node.name())));
        return passes ? footprint : KeptOutputs.keepingOutput(footprint);
    }

    private static Footprint withoutBackward(Footprint all) {
        return new Footprint(all.kept(), all.passing(), all.forward(), 0, 0, all.loop(), all.standing(), all.beside());
    }

    private long quantizedScratch() {
        QuantizedScratch scratch = new QuantizedScratch();
        for (Node node : planned.nodes()) {
            FrozenReference reference = node.frozenReference();
            StoredForm form = reference == null ? null : reference.getForm();
            if (form != null) {
                Layer stock = stock(node).layer() == null ? null : stock(node).unwrappedLayer();
                scratch.add(form, stock, node.adapted(), sizes.passage(node));
            }
        }
        return scratch.bytes(from.dataType());
    }

    /** Bytes of the values in an adapter's file: what trains, and the values of an adapter that do not train. */
    private long adapterBytes() {
        long values = 0;
        for (Node node : planned.nodes()) {
            AdapterLayout layout = node.adapted() == null ? null : node.adapted().layout();
            values += layout != null ? layout.trainedParams() + layout.constantParams() : node.isFrozen() ? 0 : node.numParams();
        }
        return width * values;
    }
}
