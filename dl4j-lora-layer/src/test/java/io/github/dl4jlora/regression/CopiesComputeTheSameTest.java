package io.github.dl4jlora.regression;

import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.variant.FrozenALoRA;
import org.deeplearning4j.datasets.iterator.utilty.ListDataSetIterator;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.transferlearning.FineTuneConfiguration;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.deeplearning4j.parallelism.ParallelWrapper;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.Sgd;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** What an adapter holds fast beside its trained values goes wherever DL4J copies the network: nothing is drawn anew. */
@Tag("heavy")
class CopiesComputeTheSameTest {

    /** Whose frozen part is not the base's weights alone. */
    enum Start {
        PLAIN, FROZEN_A, PISSA, RANDOMISED_PISSA, OLORA;

        LoRAConfig.Builder on(LoRAConfig.Builder config) {
            return switch (this) {
                case PLAIN -> config;
                case FROZEN_A -> config.variant(new FrozenALoRA());
                case PISSA -> config.loraInit(LoRAInit.PISSA);
                case RANDOMISED_PISSA -> config.loraInit(LoRAInit.PISSA).pissaIterations(1);
                case OLORA -> config.loraInit(LoRAInit.OLORA);
            };
        }
    }

    /** How DL4J makes a second network of one. */
    enum Path {
        CLONE {
            @Override
            Model copy(Model network) {
                return Models.copy(network);
            }
        },
        DOUBLE {
            @Override
            Model copy(Model network) {
                return Models.converted(network, DataType.DOUBLE);
            }
        },
        GRAPH {
            @Override
            Model copy(Model network) {
                return network instanceof MultiLayerNetwork layers ? layers.toComputationGraph() : network;
            }
        },
        TRANSFER_LEARNING {
            @Override
            Model copy(Model network) {
                FineTuneConfiguration rate = new FineTuneConfiguration.Builder().seed(1).updater(new Adam(1e-4)).build();
                return network instanceof ComputationGraph graph
                        ? new TransferLearning.GraphBuilder(graph).fineTuneConfiguration(rate).build()
                        : new TransferLearning.Builder((MultiLayerNetwork) network).fineTuneConfiguration(rate).build();
            }
        };

        abstract Model copy(Model network);
    }

    private static Stream<Arguments> starts() {
        return Stream.of(Start.values()).flatMap(start -> Stream.of(Models.Kind.values()).map(kind -> Arguments.of(start, kind)));
    }

    private static Stream<Arguments> drawnStarts() {
        return Stream.of(Start.PLAIN, Start.FROZEN_A, Start.RANDOMISED_PISSA).flatMap(start -> Stream.of(
                Models.Kind.GRAPH_SHARED, Models.Kind.LAYERS_SHARED).map(kind -> Arguments.of(start, kind)));
    }

    private static Stream<Arguments> paths() {
        return starts().flatMap(arguments -> Stream.of(Path.values())
                .map(path -> Arguments.of(arguments.get()[0], arguments.get()[1], path)));
    }

    @ParameterizedTest(name = "{0}, {1}, {2}")
    @MethodSource("paths")
    void copyComputesWhatTheTrainedNetworkComputes(Start start, Models.Kind kind, Path path) {
        Model tuned = Models.apply(kind.base(), start.on(kind.config()).build());
        Models.fitSteps(tuned, 0, 20);
        INDArray input = Networks.random(DataType.FLOAT, 77, 5, Networks.IN);
        INDArray expected = Models.output(tuned, input).dup();

        Model copy = path.copy(tuned);

        assertThat(Networks.difference(Models.output(copy, input.castTo(copy.params().dataType())), expected)).isLessThan(1e-5);
        assertThat(Models.output(tuned, input)).as("the network that was copied").isEqualTo(expected);
    }

    /**
     * Two replicas that see the same batches are, averaged, one network that sees them. The first batch teaches nothing,
     * since its labels are the outputs: DL4J's second worker may copy the network when the first has trained it already.
     */
    @ParameterizedTest(name = "{0}, {1}")
    @MethodSource("drawnStarts")
    void replicasLearnWhatOneNetworkLearns(Start start, Models.Kind kind) throws Exception {
        LoRAConfig config = start.on(LoRAConfig.builder().rank(2).alpha(2).storage(kind.storage).updater(new Sgd(0.5))).build();
        DataSet batch = Networks.data(DataType.FLOAT, 64, 3);
        Model alone = Models.apply(kind.base(), config);
        Model parallel = Models.apply(kind.base(), config);
        for (int i = 0; i < 10; i++) {
            Models.fit(alone, batch);
        }

        DataSet nothing = new DataSet(batch.getFeatures(), Models.output(parallel, batch.getFeatures()).dup());
        List<DataSet> batches = new ArrayList<>(List.of(nothing, nothing));
        batches.addAll(Collections.nCopies(20, batch));

        try (ParallelWrapper wrapper = new ParallelWrapper.Builder<>(parallel).workers(2).prefetchBuffer(0)
                .trainingMode(ParallelWrapper.TrainingMode.AVERAGING).averagingFrequency(1).averageUpdaters(true).build()) {
            wrapper.fit(new ListDataSetIterator<>(batches, 1));
        }

        assertThat(Networks.difference(parallel.params(), alone.params())).isLessThan(1e-5);
    }
}
