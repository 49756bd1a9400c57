package io.github.dl4jlora.onnx;

import io.github.dl4jlora.property.Drawn;
import io.github.dl4jlora.property.Scaled;
import net.jqwik.api.Example;
import onnx.Onnx.ModelProto;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.function.Predicate;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/**
 * Random networks of the library's property suite, always the same ones: each is written and computes the same, or is refused by
 * name. {@code -Dtest.options='-Donnx.seed=… -Donnx.networks=…'} tries others.
 */
class RandomNetworksTest {

    private static final long SEED = Long.getLong("onnx.seed", 29);
    private static final int NETWORKS = Integer.getInteger("onnx.networks", 200);
    private static final int SHRINKING_STEPS = 60;
    /** Of the networks without a user's own vertex; the property suite draws few that ONNX has no words for. */
    private static final double MOST_REFUSED = 0.05;
    /** A vertex as users write them: always refused. */
    private static final String OWN_VERTEX = "nothing is known of a " + Scaled.class.getSimpleName() + ".";
    /** Values within the networks are around 1. */
    private static final double LEAST = 0.1;

    private final Map<String, Integer> refusals = new TreeMap<>();
    private final List<String> failures = new ArrayList<>();
    private int agreed;
    private int lengths;
    private int unsteady;

    @Example
    void randomNetworksComputeTheSameOrAreRefusedByName() {
        Drawn.networks(SEED, NETWORKS, this::count);

        requireFewRefusals(NETWORKS);
        assertThat(lengths).as("other lengths").isGreaterThan(NETWORKS / 5);
    }

    /** Each with a second input and output, and a third output that depends on both. */
    @Example
    void randomNetworksBesideEachOtherComputeTheSameOrAreRefusedByName() {
        List<Drawn> graphs = new ArrayList<>();
        Drawn.networks(SEED + 1, NETWORKS, drawn -> {
            if (drawn.network() instanceof ComputationGraph) {
                graphs.stream().filter(other -> other.features().size(0) == drawn.features().size(0)).findFirst()
                        .ifPresentOrElse(other -> {
                            graphs.remove(other);
                            count(new Pair(other, drawn));
                        }, () -> graphs.add(drawn));
            }
        });

        requireFewRefusals(NETWORKS / 5);
    }

    private void requireFewRefusals(int least) {
        int refused = refusals(reason -> true);
        String report = agreed + " networks agree, also at " + lengths + " other lengths; DL4J itself is not sure of "
                + unsteady + "; refused " + refusals;
        System.out.println(report);
        failures.forEach(System.out::println);
        assertThat(failures).as(report).isEmpty();
        assertThat(refusals(reason -> !reason.contains(OWN_VERTEX))).as(report)
                .isLessThanOrEqualTo((int) (MOST_REFUSED * NETWORKS));
        assertThat(agreed + refused + unsteady).as(report).isGreaterThanOrEqualTo(least);
        assertThat(unsteady).as(report).isLessThanOrEqualTo((int) (MOST_REFUSED * NETWORKS));
    }

    private int refusals(Predicate<String> reasons) {
        return refusals.entrySet().stream().filter(refusal -> reasons.test(refusal.getKey()))
                .mapToInt(Map.Entry::getValue).sum();
    }

    private void count(Drawn drawn) {
        try {
            lengths += check(drawn);
            agreed++;
        } catch (OnnxExportException e) {
            refused(e);
        } catch (RuntimeException | AssertionError e) {
            if (drawn.isSteady()) {
                Drawn smallest = drawn.smallest(other -> !problem(other).isEmpty(), SHRINKING_STEPS);
                failures.add(smallest + "\n    " + problem(smallest));
            } else {
                unsteady++;
            }
        }
    }

    private void refused(OnnxExportException e) {
        assertThat(e).hasMessageMatching("Layer \".+\" cannot be written as ONNX: .+");
        refusals.merge(e.getMessage().replaceAll("\"[^\"]*\"", "…"), 1, Integer::sum);
    }

    private static String problem(Drawn drawn) {
        try {
            check(drawn);
            return "";
        } catch (OnnxExportException e) {
            return "";
        } catch (RuntimeException | AssertionError e) {
            return String.valueOf(e).replace("\n", " ");
        }
    }

    /** {@return at how many other lengths the network agrees} */
    private static int check(Drawn drawn) {
        return inFile(file -> {
            write(OnnxExport.of(drawn.network()).masks(drawn.mask() != null), file, drawn.type());
            agrees(drawn, drawn.features(), drawn.mask(), file);
            return drawn.hasOtherLengths() && isOpen(file, drawn.time())
                    ? otherLength(drawn, file, 9) + otherLength(drawn, file, 4) : 0;
        });
    }

    @FunctionalInterface
    private interface Check {
        int of(Path file) throws IOException;
    }

    private static int inFile(Check check) {
        try {
            Path file = InMemory.file();
            try {
                return check.of(file);
            } finally {
                Files.deleteIfExists(file);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** With the types of inputs only where the network does not tell them. */
    private static void write(OnnxExport export, Path file, InputType... types) throws IOException {
        try {
            export.write(file);
        } catch (OnnxExportException e) {
            if (!e.getMessage().contains("inputTypes")) {
                throw e;
            }
            export.inputTypes(types).write(file);
        }
    }

    private static boolean isOpen(Path file, int dimension) throws IOException {
        return !ModelProto.parseFrom(Files.readAllBytes(file)).getGraph().getInput(0).getType().getTensorType().getShape()
                .getDim(dimension).getDimParam().isEmpty();
    }

    private static int otherLength(Drawn drawn, Path file, int length) {
        INDArray features = drawn.features(length);
        INDArray mask = drawn.mask() == null ? null : Nd4j.ones(features.dataType(), features.size(0), length);
        if (mask != null) {
            mask.putScalar(0, length - 1, 0);
        }
        try {
            // DL4J's softplus overflows, ONNX's does not.
            INDArray output = output(drawn.network(), List.of(features), Arrays.asList(mask)).get(0);
            if (!Double.isFinite(output.sumNumber().doubleValue())) {
                return 0;
            }
        } catch (RuntimeException e) {
            return 0;
        }
        agrees(drawn, features, mask, file);
        return 1;
    }

    private static void agrees(Drawn drawn, INDArray features, @Nullable INDArray mask, Path file) {
        InRuntime.agrees(LEAST, output(drawn.network(), List.of(features), Arrays.asList(mask)), file,
                mask == null ? new INDArray[]{features} : new INDArray[]{features, mask});
    }

    /** Of copies, since some of DL4J's layers work in place. */
    private static List<INDArray> output(Model network, List<INDArray> features, List<@Nullable INDArray> masks) {
        INDArray[] inputs = features.stream().map(INDArray::dup).toArray(INDArray[]::new);
        INDArray[] masked = masks.stream().map(mask -> mask == null ? null : mask.dup()).toArray(INDArray[]::new);
        boolean any = masks.stream().anyMatch(mask -> mask != null);
        return network instanceof ComputationGraph graph ? List.of(graph.output(false, inputs, any ? masked : null, null))
                : List.of(((MultiLayerNetwork) network).output(inputs[0], false, masked[0], null));
    }

    private void count(Pair pair) {
        ComputationGraph graph = pair.graph();
        List<INDArray> features = pair.both().map(Drawn::features).toList();
        List<@Nullable INDArray> masks = pair.masks();
        List<INDArray> expected;
        try {
            expected = output(graph, features, masks);
        } catch (RuntimeException e) {
            return;
        }
        try {
            inFile(file -> {
                write(OnnxExport.of(graph).masks(masks.stream().anyMatch(mask -> mask != null)), file,
                        pair.both().map(Drawn::type).toArray(InputType[]::new));
                InRuntime.agrees(LEAST, expected, file, Stream.concat(features.stream(), masks.stream())
                        .filter(Objects::nonNull).toArray(INDArray[]::new));
                return 0;
            });
            agreed++;
        } catch (OnnxExportException e) {
            refused(e);
        } catch (RuntimeException | AssertionError e) {
            if (pair.both().allMatch(Drawn::isSteady)) {
                failures.add(pair + "\n    " + String.valueOf(e).replace("\n", " "));
            } else {
                unsteady++;
            }
        }
    }

    /** Two graphs, which become one. */
    private record Pair(Drawn first, Drawn second) {

        Stream<Drawn> both() {
            return Stream.of(first, second);
        }

        /** Of all sequences, if of any. */
        List<@Nullable INDArray> masks() {
            boolean masked = both().anyMatch(drawn -> drawn.mask() != null);
            return Stream.of(first, second).map(drawn -> masked && drawn.isSequence() ? mask(drawn) : null).toList();
        }

        private static INDArray mask(Drawn drawn) {
            INDArray features = drawn.features();
            return drawn.mask() != null ? drawn.mask()
                    : Nd4j.ones(features.dataType(), features.size(0), features.size(drawn.time()));
        }

        ComputationGraph graph() {
            GraphBuilder builder = new NeuralNetConfiguration.Builder().seed(1).graphBuilder().addInputs("1in", "2in");
            String left = add("1", first, builder);
            String right = add("2", second, builder);
            boolean rows = both().map(drawn -> output(drawn.network(), List.of(drawn.features()), Arrays.asList(drawn.mask())))
                    .allMatch(output -> output.get(0).rank() == 2);
            if (rows) {
                builder.addVertex("both", new MergeVertex(), left, right).setOutputs(left, right, "both");
            } else {
                builder.setOutputs(left, right);
            }
            ComputationGraph graph = Initialised.of(builder.build());
            copy("1", first, graph);
            copy("2", second, graph);
            return graph;
        }

        private static String add(String prefix, Drawn drawn, GraphBuilder builder) {
            ComputationGraphConfiguration own = ((ComputationGraph) drawn.network()).getConfiguration();
            own.getVertexInputs().forEach((name, inputs) -> {
                GraphVertex vertex = own.getVertices().get(name).clone();
                if (vertex instanceof LayerVertex layer) {
                    layer.getLayerConf().getLayer().setLayerName(prefix + name);
                }
                builder.addVertex(prefix + name, vertex, inputs.stream().map(input -> prefix + input).toArray(String[]::new));
            });
            return prefix + own.getNetworkOutputs().get(0);
        }

        private static void copy(String prefix, Drawn drawn, ComputationGraph graph) {
            Map<String, INDArray> copied = graph.paramTable();
            ((ComputationGraph) drawn.network()).paramTable().forEach((key, value) -> copied.get(prefix + key).assign(value));
        }
    }
}
