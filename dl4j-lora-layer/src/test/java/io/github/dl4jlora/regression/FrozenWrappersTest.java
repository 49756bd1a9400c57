package io.github.dl4jlora.regression;

import io.github.dl4jlora.DoublePrecision;
import io.github.dl4jlora.Gradients;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.BackpropType;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayerWithBackprop;
import org.deeplearning4j.nn.conf.layers.recurrent.TimeDistributed;
import org.deeplearning4j.nn.conf.layers.util.MaskZeroLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

/** How a frozen layer is run depends on the layer innermost, however many wrappers are around it. */
@ExtendWith(DoublePrecision.class)
class FrozenWrappersTest {

    private static final int STEPS = 6;
    private static final INDArray SEQUENCE = Networks.random(DataType.DOUBLE, 1, 2, 3, STEPS);
    private static final INDArray LABELS = Networks.random(DataType.DOUBLE, 2, 2, 2, STEPS);

    /** A recurrent layer in wrappers. */
    enum Nest {
        PLAIN, MASK_ZERO, FROZEN, FROZEN_WITH_BACKPROP, FROZEN_MASK_ZERO, FROZEN_WITH_BACKPROP_MASK_ZERO;

        Layer layer() {
            LSTM lstm = new LSTM.Builder().nIn(3).nOut(4).name("rnn").build();
            Layer layer = switch (this) {
                case PLAIN -> lstm;
                case MASK_ZERO -> new MaskZeroLayer(lstm, 0);
                case FROZEN -> new FrozenLayer(lstm);
                case FROZEN_WITH_BACKPROP -> new FrozenLayerWithBackprop(lstm);
                case FROZEN_MASK_ZERO -> new FrozenLayer(new MaskZeroLayer(lstm, 0));
                case FROZEN_WITH_BACKPROP_MASK_ZERO -> new FrozenLayerWithBackprop(new MaskZeroLayer(lstm, 0));
            };
            layer.setLayerName("rnn");
            return layer;
        }

        /** DL4J's networks see the state of a layer inside one wrapper, not inside two. */
        boolean keepsStateInDl4j() {
            return this != FROZEN_MASK_ZERO && this != FROZEN_WITH_BACKPROP_MASK_ZERO;
        }

        boolean stops() {
            return this == FROZEN || this == FROZEN_MASK_ZERO;
        }
    }

    private static Stream<Arguments> nests() {
        return Stream.of(Nest.values()).flatMap(nest -> Stream.of(true, false).flatMap(graph -> Stream.of("below", "out")
                .map(target -> Arguments.of(nest, graph, target))));
    }

    private static Stream<Arguments> nestsWithState() {
        return nests().filter(arguments -> ((Nest) arguments.get()[0]).keepsStateInDl4j());
    }

    /** DL4J's own ComputationGraph cannot train a layer below a FrozenLayer. */
    private static Stream<Arguments> nestsThatDl4jTrains() {
        return nests().filter(arguments -> !((Nest) arguments.get()[0]).stops() || arguments.get()[1].equals(false));
    }

    private static Model recurrent(Nest nest, boolean graph) {
        return Stacks.of(graph, DataType.DOUBLE, InputType.recurrent(3), new LSTM.Builder().nIn(3).nOut(3).name("below").build(),
                nest.layer(), Stacks.sequenceHead());
    }

    private static LoRAConfig config(String target) {
        return LoRAConfig.builder().rank(2).targets(target).updater(new Sgd(0.1)).build();
    }

    @ParameterizedTest(name = "{0}, graph {1}, {2} adapted")
    @MethodSource("nests")
    void stepByStepAFreshNetworkComputesWhatTheBaseDoes(Nest nest, boolean graph, String target) {
        Model base = recurrent(nest, graph);
        Model tuned = Models.apply(base, config(target));

        for (int step = 0; step < STEPS; step++) {
            assertThat(Networks.difference(timeStep(tuned, step), timeStep(base, step))).as("step %d", step).isLessThan(1e-12);
        }
    }

    @ParameterizedTest(name = "{0}, graph {1}, {2} adapted")
    @MethodSource("nestsWithState")
    void stepByStepItComputesWhatItComputesOfTheWholeSequence(Nest nest, boolean graph, String target) {
        Model tuned = Models.apply(recurrent(nest, graph), config(target));
        INDArray whole = Models.output(tuned, SEQUENCE).dup();

        for (int step = 0; step < STEPS; step++) {
            assertThat(Networks.difference(timeStep(tuned, step), slice(whole, step))).as("step %d", step).isLessThan(1e-12);
        }
    }

    @ParameterizedTest(name = "{0}, graph {1}, {2} adapted")
    @MethodSource("nestsThatDl4jTrains")
    void truncatedBackpropagationScoresEachSegmentAsTheBaseDoes(Nest nest, boolean graph, String target) {
        Model base = recurrent(nest, graph);
        Model tuned = Models.apply(base, LoRAConfig.builder().rank(2).targets(target).updater(new Sgd(0)).build());
        for (Model model : List.of(base, tuned)) {
            truncate(model);
        }
        if (base instanceof ComputationGraph network) {
            network.setLearningRate(0);
        } else {
            ((MultiLayerNetwork) base).setLearningRate(0);
        }

        assertThat(scores(tuned)).hasSize(STEPS / 2)
                .usingElementComparator((a, b) -> Math.abs(a - b) < 1e-10 ? 0 : Double.compare(a, b)).isEqualTo(scores(base));
    }

    private static void truncate(Model model) {
        if (model instanceof ComputationGraph network) {
            network.getConfiguration().setBackpropType(BackpropType.TruncatedBPTT);
            network.getConfiguration().setTbpttFwdLength(2);
            network.getConfiguration().setTbpttBackLength(2);
        } else {
            MultiLayerNetwork network = (MultiLayerNetwork) model;
            network.getLayerWiseConfigurations().setBackpropType(BackpropType.TruncatedBPTT);
            network.getLayerWiseConfigurations().setTbpttFwdLength(2);
            network.getLayerWiseConfigurations().setTbpttBackLength(2);
        }
    }

    private static List<Double> scores(Model model) {
        List<Double> scores = new ArrayList<>();
        model.addListeners(new BaseTrainingListener() {
            @Override
            public void iterationDone(Model trained, int iteration, int epoch) {
                scores.add(trained.score());
            }
        });
        Models.fit(model, new DataSet(SEQUENCE, LABELS));
        return scores;
    }

    private static INDArray timeStep(Model model, int step) {
        return Models.timeStep(model, slice(SEQUENCE, step));
    }

    private static INDArray slice(INDArray sequence, int step) {
        return sequence.get(NDArrayIndex.all(), NDArrayIndex.all(), NDArrayIndex.interval(step, step + 1)).dup();
    }

    /** Batch normalisation in wrappers. */
    enum Normalisation {
        TIME_DISTRIBUTED, FROZEN_TIME_DISTRIBUTED;

        Layer layer() {
            Layer layer = new TimeDistributed(new BatchNormalization.Builder().nIn(4).nOut(4).name("norm").build());
            if (this == FROZEN_TIME_DISTRIBUTED) {
                layer = new FrozenLayer(layer);
            }
            layer.setLayerName("norm");
            return layer;
        }
    }

    private static Stream<Arguments> normalisations() {
        return Stream.of(Normalisation.values()).flatMap(norm -> Stream.of(true, false).map(graph -> Arguments.of(norm, graph)));
    }

    @ParameterizedTest(name = "{0}, graph {1}")
    @MethodSource("normalisations")
    void frozenNormalisationUsesRunningStatisticsWhileTraining(Normalisation normalisation, boolean graph) {
        Model base = Stacks.of(graph, DataType.DOUBLE, InputType.recurrent(3),
                new LSTM.Builder().nIn(3).nOut(4).name("lstm").build(), normalisation.layer(), Stacks.sequenceHead());
        Map<String, INDArray> table = base.paramTable();
        String norm = graph ? "norm_" : "1_";
        table.get(norm + "mean").assign(Networks.random(DataType.DOUBLE, 4, 1, 4));
        table.get(norm + "log10stdev").assign(Networks.random(DataType.DOUBLE, 5, 1, 4).muli(0.2));
        DataSet data = new DataSet(Networks.random(DataType.DOUBLE, 1, 5, 3, STEPS).muli(2),
                Networks.random(DataType.DOUBLE, 2, 5, 2, STEPS));
        Model tuned = Models.apply(base, config("lstm"));
        MultiDataSet batch = new MultiDataSet(data.getFeatures(), data.getLabels());

        double training = Gradients.pass(tuned, batch);

        assertThat(training).isCloseTo(Models.score(base, data), within(1e-10));
        Networks.randomizeAdapters(tuned.paramTable(), 3);
        Gradients.assertEqualFiniteDifferences(tuned, batch);
    }

    @ParameterizedTest
    @EnumSource(RNNFormat.class)
    void frozenSequenceConvolutionPassesGradientsOnInEitherFormat(RNNFormat format) {
        Model base = convolutionOnWords(format, ConvolutionMode.Same);
        Model tuned = Models.apply(base, config("words"));
        Networks.randomizeAdapters(tuned.paramTable(), 3);

        Gradients.assertEqualFiniteDifferences(tuned, words(format));
    }

    @ParameterizedTest
    @ValueSource(strings = {"Same", "Causal"})
    void trainingBelowAFrozenConvolutionWithChannelsLastMovesTheAdapter(ConvolutionMode mode) {
        Model tuned = Models.apply(convolutionOnWords(RNNFormat.NWC, mode), config("words"));
        INDArray start = tuned.params().dup();
        MultiDataSet words = words(RNNFormat.NWC);

        Models.fit(tuned, new DataSet(words.getFeatures(0), words.getLabels(0)));

        assertThat(tuned.params()).isNotEqualTo(start);
    }

    private static Model convolutionOnWords(RNNFormat format, ConvolutionMode mode) {
        return Networks.of(Stacks.common(DataType.DOUBLE).list()
                .layer(new EmbeddingSequenceLayer.Builder().nIn(9).nOut(3).inferInputLength(true).name("words")
                        .outputDataFormat(format).build())
                .layer(new Convolution1DLayer.Builder().kernelSize(2).nIn(3).nOut(4).rnnDataFormat(format).convolutionMode(mode)
                        .name("conv").build())
                .layer(new RnnOutputLayer.Builder(LossFunction.MSE).nIn(4).nOut(2).dataFormat(format)
                        .activation(Activation.IDENTITY).name("out").build()).build());
    }

    private static MultiDataSet words(RNNFormat format) {
        INDArray words = Nd4j.createFromArray(new double[][]{{1, 2, 3, 0}, {4, 5, 6, 1}, {0, 0, 2, 6}});
        long[] labels = format == RNNFormat.NWC ? new long[]{3, 4, 2} : new long[]{3, 2, 4};
        return new MultiDataSet(words, Networks.random(DataType.DOUBLE, 2, labels));
    }
}
