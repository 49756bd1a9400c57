package io.github.dl4jlora.internal.build;

import io.github.dl4jlora.conf.LayerType;
import io.github.dl4jlora.conf.LoRAConfig.LayerOverride;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.LoRASettings;
import io.github.dl4jlora.internal.engine.Kernels;
import io.github.dl4jlora.internal.network.LayerNames;
import io.github.dl4jlora.internal.network.MatrixName;
import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.plan.Plan;
import io.github.dl4jlora.internal.stock.StockMatrices;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.Stream;

/**
 * Starts from data: which adapters need one, and what was found for them.
 *
 * @param config as asked for, with the ranks that the data gave
 * @param parts  by node, key of the adapted parameter and part
 */
public record DataStarts(LoRAConfig config, Map<String, Map<String, Map<String, INDArray>>> parts) {

    /** A matrix that starts from data. */
    public record Starting(Node node, MatrixName name, LoRASettings settings, long nIn, long nOut) {

        public boolean isBy(LoRAInit init) {
            return settings.loraInit() == init;
        }

        /** For messages. */
        public String layer() {
            return "Layer \"" + name.module() + "\"";
        }
    }

    /** Of a configuration without any such start. */
    static DataStarts none(LoRAConfig config) {
        return new DataStarts(config, Map.of());
    }

    Map<String, Map<String, INDArray>> of(Node node) {
        return parts.getOrDefault(node.name(), Map.of());
    }

    /**
     * @throws IllegalArgumentException if something would start from data, naming the layer
     */
    static void requireNone(Network<?> from, List<Node> nodes, LoRAConfig config) {
        if (config.rankBudget() != null) {
            throw new IllegalArgumentException("rankBudget(" + config.rankBudget() + ") distributes ranks according to data, but "
                    + "no data was given. Set loraInit(LoRAInit.EVA) and call LoRA.apply(base, config, data) with an iterator, "
                    + "or leave rankBudget out");
        }
        for (Starting matrix : mayNeedData(config) ? matrices(from, nodes, config) : List.<Starting>of()) {
            if (matrix.settings.loraInit().needsData()) {
                throw new IllegalArgumentException(matrix.layer() + ": LoRAInit." + matrix.settings.loraInit() + " starts from "
                        + "data, but no data was given. Call LoRA.apply(base, config, data) with an iterator over the data that "
                        + "the network is to be trained on, or choose another start");
            }
        }
    }

    private static boolean mayNeedData(LoRAConfig config) {
        return Stream.concat(Stream.of(config.loraInit()), config.overrides().values().stream().map(LayerOverride::loraInit)
                .filter(Objects::nonNull)).anyMatch(LoRAInit::needsData);
    }

    /**
     * @throws IllegalArgumentException if there is something that could not start from data, whatever the data
     */
    static void requirePossible(Network<?> from, List<Node> nodes, LoRAConfig config) {
        if (config.rankBudget() != null || mayNeedData(config)) {
            starting(from, nodes, config);
        }
    }

    /**
     * The matrices that start from data.
     *
     * @throws IllegalArgumentException if one of them cannot, whatever the data
     */
    public static List<Starting> starting(Network<?> from, List<Node> nodes, LoRAConfig config) {
        List<Starting> all = matrices(from, nodes, config);
        List<Starting> starting = all.stream().filter(matrix -> matrix.settings.loraInit().needsData()).toList();
        refuse(starting, LoRAInit.EVA, matrix -> !hasRows(matrix.node),
                " is for DenseLayer, OutputLayer, RnnOutputLayer, and for convolutions that this library's own kernels compute, "
                        + "whose inputs are rows of a matrix; ");
        refuse(starting, LoRAInit.LORA_GA, matrix -> !isDense(matrix.node), " is for DenseLayer, OutputLayer, RnnOutputLayer; ");
        Integer budget = config.rankBudget();
        if (budget != null) {
            requireBudget(all, config, budget);
        } else {
            starting.forEach(matrix -> matrix.settings.checkFit(matrix.layer(), matrix.nIn, matrix.nOut, null));
        }
        return starting;
    }

    private static List<Starting> matrices(Network<?> from, List<Node> nodes, LoRAConfig config) {
        Plan plan = Plan.of(nodes, config);
        List<Starting> matrices = new ArrayList<>();
        for (Node node : nodes) {
            for (String key : plan.decision(node).keys()) {
                MatrixName name = MatrixName.of(node, key);
                long[] sides = node.matrices().form(key).sides(Objects.requireNonNull(from.shapes(node).get(key)));
                matrices.add(new Starting(node, name, name.settings(config), sides[0], sides[1]));
            }
        }
        return matrices;
    }

    private static void refuse(List<Starting> starting, LoRAInit init, Predicate<Starting> which, String what) {
        List<Node> refused = starting.stream().filter(matrix -> matrix.isBy(init) && which.test(matrix))
                .map(Starting::node).distinct().toList();
        if (!refused.isEmpty()) {
            throw new IllegalArgumentException("LoRAInit." + init + what + LayerNames.described(refused, Node::type)
                    + " cannot start this way. Give them another start with override(…, o -> o.loraInit(…)), or leave them out "
                    + "with exclude(…)");
        }
    }

    private static boolean isDense(Node node) {
        return Plan.DENSE.contains(node.unwrappedType());
    }

    private static boolean hasRows(Node node) {
        StockMatrices matrices = node.matrices();
        return isDense(node) || matrices.type() == LayerType.CONVOLUTION && node.layer() != null
                && Kernels.hasPath(node.unwrappedLayer());
    }

    private static void requireBudget(List<Starting> all, LoRAConfig config, int budget) {
        all.stream().filter(matrix -> !matrix.isBy(LoRAInit.EVA)).findFirst().ifPresent(other -> {
            throw new IllegalArgumentException(other.layer() + ": rankBudget(" + config.rankBudget() + ") distributes ranks "
                    + "according to the components of the inputs, but the layer starts with LoRAInit."
                    + other.settings.loraInit() + ". Set loraInit(LoRAInit.EVA) for all, or leave rankBudget out");
        });
        long most = all.stream().mapToLong(matrix -> mostRank(matrix, config)).sum();
        if (budget > most) {
            throw new IllegalArgumentException("rankBudget is " + config.rankBudget() + ", but the " + all.size() + " adapted "
                    + "matrices can get at most " + most + ", each up to " + config.rankBudgetRho() + " times its rank. Raise "
                    + "rank or rho, or lower the budget");
        }
        Set<String> labels = new HashSet<>();
        all.stream().map(matrix -> matrix.name.label() + "/" + matrix.name.key()).filter(label -> !labels.add(label)).findFirst()
                .ifPresent(label -> {
                    throw new IllegalArgumentException("rankBudget gives each matrix a rank by its name, but two are called \""
                            + label + "\". Give the layers different names");
                });
    }

    /** How many components of a matrix count. */
    public static int mostRank(Starting matrix, LoRAConfig config) {
        return config.rankBudget() == null ? matrix.settings.rank()
                : (int) Math.min(matrix.nIn, Math.round(matrix.settings.rank() * config.rankBudgetRho()));
    }
}
