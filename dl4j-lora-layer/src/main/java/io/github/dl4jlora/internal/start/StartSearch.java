package io.github.dl4jlora.internal.start;

import io.github.dl4jlora.conf.LoRAConfig.LayerOverride;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.LoRASettings;
import io.github.dl4jlora.internal.blas.Blas;
import io.github.dl4jlora.internal.build.Adaptation;
import io.github.dl4jlora.internal.build.DataStarts.Starting;
import io.github.dl4jlora.internal.build.DataStarts;
import io.github.dl4jlora.internal.convolution.ConvolutionLayout;
import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Networks;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.untrusted.RawValues;
import io.github.dl4jlora.variant.GradientStart;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.regex.Pattern;

/**
 * Finds what adapters start as from data. A network of the base's weights gets batches. All of it is frozen but for the matrices
 * that start so, which are watched ({@link ObservingVariant}): EVA takes the inputs of each batch, LoRA-GA sums up dL/dW of the
 * first few.
 * Layers that get the same input share their components. What is kept of a matrix from one batch to the next is its components
 * {@code [rank, nIn]} in double, or its gradient.
 */
public final class StartSearch {

    private static final Logger LOG = LoggerFactory.getLogger(StartSearch.class);

    /** A few hundred examples, where LoRA-GA's authors take 8 to 64 and PEFT's example 128: cheap beside an epoch. */
    private static final int GRADIENT_BATCHES = 8;

    private final Network<?> from;
    private final List<Starting> starting;
    private final LoRAConfig config;
    private final Map<Starting, Watched> watched = new LinkedHashMap<>();
    private int batches;

    /** What is seen of a matrix. */
    private final class Watched implements ObservingVariant.Observer {

        private final Starting matrix;
        private final InputComponents inputs;
        /** Another layer takes the same inputs in. */
        private final boolean shared;
        private @Nullable INDArray gradient;

        Watched(Starting matrix, @Nullable InputComponents known) {
            this.matrix = matrix;
            this.shared = known != null;
            this.inputs = known != null ? known : new InputComponents(DataStarts.mostRank(matrix, config));
        }

        @Override
        public void input(@Nullable INDArray rows) {
            if (matrix.isBy(LoRAInit.EVA) && !shared && rows != null) {
                INDArray values = rows.castTo(DataType.DOUBLE);
                requireFinite(values, "input");
                inputs.add(values);
            }
        }

        @Override
        public void gradient(INDArray rows, INDArray dz) {
            if (!matrix.isBy(LoRAInit.LORA_GA)) {
                return;
            }
            DataType type = dz.dataType() == DataType.DOUBLE ? DataType.DOUBLE : DataType.FLOAT;
            boolean first = gradient == null;
            INDArray sum = gradient != null ? gradient : Nd4j.create(type, new long[] {matrix.nIn(), matrix.nOut()}, 'f');
            gradient = sum;
            Blas.gemm(rows.castTo(type), dz.castTo(type), sum, true, false, 1, first ? 0 : 1);
            requireFinite(sum, "gradient");
        }

        private void requireFinite(INDArray values, String what) {
            if (RawValues.firstNotFinite(values) >= 0) {
                throw new IllegalArgumentException(matrix.layer() + ": its " + what + " holds NaN or infinity in batch "
                        + (batches + 1) + " of the data, so LoRAInit." + matrix.settings().loraInit() + " cannot start from it. "
                        + "Check the data, and what the base computes from it");
            }
        }
    }

    private StartSearch(Network<?> from, List<Starting> starting, LoRAConfig config) {
        this.from = from;
        this.starting = starting;
        this.config = config;
        Map<List<String>, InputComponents> byInput = new HashMap<>();
        for (Starting matrix : starting) {
            Watched watch = new Watched(matrix, sharesInput(matrix) ? byInput.get(matrix.node().inputs()) : null);
            watched.put(matrix, watch);
            if (sharesInput(matrix)) {
                byInput.put(matrix.node().inputs(), watch.inputs);
            }
        }
    }

    /**
     * An adapted network whose adapters start from data.
     *
     * @throws IllegalArgumentException as {@link Adaptation#apply}, if there is no such start, if a layer cannot have its, or the
     *                                  data does not serve
     */
    public static <M extends Model> M apply(M base, LoRAConfig config, DataPass data) {
        Network<M> from = Networks.toAdapt(base, config);
        DataStarts found = Networks.outside(() -> found(from, config, data));
        return Adaptation.apply(from, found);
    }

    private static DataStarts found(Network<?> from, LoRAConfig config, DataPass data) {
        List<Starting> starting = DataStarts.starting(from, from.nodes(), config);
        if (starting.isEmpty()) {
            throw new IllegalArgumentException("Data was given, but no adapter starts from data: the start is LoRAInit."
                    + config.loraInit() + ". Set loraInit(LoRAInit.EVA) or loraInit(LoRAInit.LORA_GA), or call LoRA.apply(base, "
                    + "config)");
        }
        return new StartSearch(from, starting, config).found(data);
    }

    /** Only dense layers of equal rank: they keep as many components, and labels mask none of them. */
    private boolean sharesInput(Starting matrix) {
        return matrix.isBy(LoRAInit.EVA) && matrix.node().unwrappedType() == DenseLayer.class && !matrix.node().hasPreprocessor()
                && starting.stream().filter(other -> other.node().inputs().equals(matrix.node().inputs()))
                .allMatch(other -> DataStarts.mostRank(other, config) == DataStarts.mostRank(matrix, config));
    }

    private DataStarts found(DataPass data) {
        Network<?> network = Adaptation.watched(from, starting.stream().map(Starting::node).map(Node::byUniqueName).toList(),
                this::watchOf);
        data.walk(batch -> step(network, batch, data));
        Map<String, Integer> ranks = config.rankBudget() == null ? Map.of() : distributed(data);
        Map<String, Map<String, Map<String, INDArray>>> parts = new HashMap<>();
        for (Watched watch : watched.values()) {
            int rank = ranks.getOrDefault(watch.matrix.name().toString(), watch.matrix.settings().rank());
            if (rank > 0) {
                parts.computeIfAbsent(watch.matrix.node().name(), node -> new HashMap<>()).put(watch.matrix.name().key(),
                        watch.matrix.isBy(LoRAInit.EVA) ? ofInputs(watch, rank) : ofGradient(watch, rank));
            }
        }
        return new DataStarts(ranks.isEmpty() ? config : withRanks(ranks), parts);
    }

    private ObservingVariant watchOf(Node node) {
        return watched.values().stream().filter(watch -> watch.matrix.node().name().equals(node.name())).findFirst()
                .map(watch -> new ObservingVariant(watch, node.unwrappedLayer())).orElseThrow();
    }

    private boolean step(Network<?> network, MultiDataSet batch, DataPass data) {
        if (wants(LoRAInit.LORA_GA)) {
            requireLabels(batch);
            network.gradients(batch);
        }
        if (wants(LoRAInit.EVA)) {
            network.infer(batch);
        }
        batches++;
        tell(data);
        return wants(LoRAInit.LORA_GA) || wants(LoRAInit.EVA);
    }

    private boolean wants(LoRAInit init) {
        List<Watched> those = watched.values().stream().filter(watch -> watch.matrix.isBy(init)).toList();
        Integer most = init == LoRAInit.LORA_GA && config.startBatches() == null ? Integer.valueOf(GRADIENT_BATCHES)
                : config.startBatches();
        return !those.isEmpty() && (most == null || batches < most)
                && (init == LoRAInit.LORA_GA || converged(those) < those.size());
    }

    private int converged(List<Watched> those) {
        Map<String, Integer> ranks = config.rankBudget() == null || batches == 0 ? Map.of() : ranks();
        return (int) those.stream().filter(watch -> watch.inputs.hasConverged(
                ranks.getOrDefault(watch.matrix.name().toString(), watch.matrix.settings().rank()))).count();
    }

    private void tell(DataPass data) {
        List<Watched> byInputs = watched.values().stream().filter(watch -> watch.matrix.isBy(LoRAInit.EVA)).toList();
        if (!byInputs.isEmpty()) {
            data.progress().accept("EVA: " + converged(byInputs) + " of " + byInputs.size() + " layers converged after " + batches
                    + (batches == 1 ? " batch" : " batches"));
        }
        long byGradients = watched.size() - byInputs.size();
        if (byGradients > 0) {
            data.progress().accept("LoRA-GA: gradients of " + byGradients + " layers, " + batches
                    + (batches == 1 ? " batch" : " batches"));
        }
    }

    private static void requireLabels(MultiDataSet batch) {
        if (batch.getLabels() == null || batch.getLabels().length == 0 || batch.getLabels()[0] == null) {
            throw new IllegalArgumentException("The data to start from has no labels, but LoRAInit.LORA_GA starts from the "
                    + "gradient of the loss. Give labelled data, or choose LoRAInit.EVA, which needs none");
        }
    }

    private Map<String, INDArray> ofInputs(Watched watch, int rank) {
        int directions = watch.inputs.directions();
        Starting matrix = watch.matrix;
        if (directions == 0) {
            throw new IllegalArgumentException(matrix.layer() + ": its inputs are the same in all of the data, so LoRAInit.EVA "
                    + "has nothing to start from. Is the layer below dead, or is everything masked? Give this layer another "
                    + "start with override(\"" + matrix.name() + "\", o -> o.loraInit(…)), or leave it out with exclude(…)");
        }
        if (directions < rank) {
            LOG.warn("{}: its inputs vary in only {} directions, but its rank is {}. The other columns of A are orthonormal to "
                    + "these and learn nothing from such data; a rank of {} is enough", matrix.layer(), directions, rank,
                    directions);
        }
        INDArray a = watch.inputs.strongest(rank);
        return Map.of(Variant.A, (matrix.node().unwrappedLayer() instanceof ConvolutionLayer convolution
                ? new ConvolutionLayout(convolution).inLayerOrder(a) : a).castTo(from.dataType()));
    }

    private Map<String, INDArray> ofGradient(Watched watch, int rank) {
        Starting matrix = watch.matrix;
        if (watch.gradient == null || watch.gradient.amaxNumber().doubleValue() == 0) {
            throw new IllegalArgumentException(matrix.layer() + ": the gradient of its W is zero in all of the " + batches
                    + " batches, so LoRAInit.LORA_GA has nothing to start from. Is this layer or one above it dead, or is "
                    + "everything masked? Give this layer another start with override(\"" + matrix.name() + "\", o -> "
                    + "o.loraInit(…)), or leave it out with exclude(…)");
        }
        INDArray a = Nd4j.create(from.dataType(), new long[] {matrix.nIn(), rank}, 'f');
        INDArray b = Nd4j.create(from.dataType(), new long[] {rank, matrix.nOut()}, 'f');
        GradientStart.take(watch.gradient, a, b);
        watch.gradient = null;
        return Map.of(Variant.START_A, a, Variant.START_B, b);
    }

    private Map<String, Integer> ranks() {
        Map<String, double[]> explained = new LinkedHashMap<>();
        watched.values().forEach(watch -> explained.put(watch.matrix.name().toString(), watch.inputs.explained()));
        return RankBudget.distribute(explained, Objects.requireNonNull(config.rankBudget()));
    }

    private Map<String, Integer> distributed(DataPass data) {
        Map<String, Integer> ranks = ranks();
        int given = ranks.values().stream().mapToInt(Integer::intValue).sum();
        if (given == 0) {
            throw new IllegalArgumentException("The inputs of the adapted layers do not vary in the data, so rankBudget("
                    + config.rankBudget() + ") cannot distribute ranks. Check the data, and what the base computes from it");
        }
        if (given < Objects.requireNonNull(config.rankBudget())) {
            LOG.warn("rankBudget({}): the inputs of all layers vary in only {} directions in total, so the ranks add up to that",
                    config.rankBudget(), given);
        }
        List<String> none = new ArrayList<>();
        ranks.forEach((matrix, rank) -> {
            if (rank == 0) {
                none.add(matrix);
            }
        });
        if (!none.isEmpty()) {
            LOG.info("rankBudget({}): {} get no rank and are not adapted", config.rankBudget(), none);
        }
        data.progress().accept("EVA: ranks " + ranks);
        return ranks;
    }

    /** Overrides for every matrix, since the user's would match nothing where a matrix gets no rank. The factor s stays. */
    private LoRAConfig withRanks(Map<String, Integer> ranks) {
        Map<Pattern, LayerOverride> overrides = new LinkedHashMap<>();
        LoRAConfig.Builder builder = config.toBuilder();
        for (Starting matrix : starting) {
            int rank = Objects.requireNonNull(ranks.get(matrix.name().toString()));
            String pattern = Pattern.quote(matrix.name().toString());
            if (rank == 0) {
                builder.exclude(pattern);
            } else {
                LoRASettings settings = matrix.settings();
                double alpha = settings.factor() / settings.scaling().factor(1, rank);
                overrides.put(Pattern.compile(pattern), new LayerOverride(rank, alpha, settings.variant(), settings.loraInit(),
                        settings.pissaIterations()));
            }
        }
        return builder.build().withOverrides(overrides);
    }
}
