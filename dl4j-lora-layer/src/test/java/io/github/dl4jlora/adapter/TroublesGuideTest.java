package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.tune.LearningRateSweep;
import io.github.dl4jlora.tune.LoRAAdvice;
import io.github.dl4jlora.tune.RankUse;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.optimize.listeners.CollectScoresIterationListener;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.learning.config.Adam;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CompletableFuture;

import static org.assertj.core.api.Assertions.assertThat;

/**
 * Runs the code on the guide's pages about settings, symptoms, other libraries and limits, and the short paths of others;
 * {@link GuideTest} looks here for its lines.
 */
class TroublesGuideTest {

    private final ComputationGraph base = Networks.trainedGraph();
    private final LoRAConfig config = LoRAConfig.builder().rank(2).updater(new Adam(0.01)).build();
    private final DataSetIterator iterator = new ExistingDataSetIterator(List.of(Networks.data(DataType.FLOAT, 8, 1)));
    private final INDArray input = Networks.random(DataType.FLOAT, 5, 3, Networks.IN);

    @Test
    void theShortPathEndsInAnAdapterAndAStockNetwork(@TempDir Path files) throws IOException {
        Path path = files.resolve("base.zip");
        Path folder = files.resolve("adapter");
        ModelSerializer.writeModel(this.base, path.toFile(), false);
        int epochs = 2;

        ComputationGraph base = LoRA.restoreComputationGraph(path, false);
        LoRAConfig config = LoRAConfig.builder()
                .rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK)
                .updater(new Adam(1e-3))
                .build();
        ComputationGraph tuned = LoRA.apply(base, config);
        tuned.setLearningRate(LearningRateSweep.of(tuned).run(iterator).suggested());
        tuned.fit(iterator, epochs);
        LoRAAdapter.of(tuned).save(folder);
        ComputationGraph plain = LoRA.merge(tuned);
        ComputationGraph again = LoRA.apply(base, LoRAAdapter.load(folder));

        assertThat(tuned.outputSingle(input)).isNotEqualTo(this.base.outputSingle(input));
        assertThat(again.outputSingle(input)).isEqualTo(tuned.outputSingle(input));
        assertThat(Networks.difference(plain.outputSingle(input), tuned.outputSingle(input))).isLessThan(1e-5);
    }

    @Test
    void whatTrainsAndAtWhichRateIsPrinted() {
        ComputationGraph tuned = LoRA.apply(base, config);

        System.out.println(LoRA.summary(tuned));
        System.out.println(tuned.getLearningRate("fc1"));
        System.out.println(LearningRateSweep.of(tuned).run(iterator));
        System.out.println(LoRA.plan(base, config, 64));
        System.out.println(LoRA.merging(tuned).report());

        assertThat(tuned.getLearningRate("fc1")).isEqualTo(0.01);
        assertThat(LoRA.summary(tuned).toString()).contains("adapted", "frozen", "trainable params: ", " || all params: ");
        assertThat(LoRA.plan(base, config, 64).toString()).contains("activations", "updater state", "scratch");
        assertThat(LoRA.merging(tuned).report().toString()).contains("surviving");
    }

    @Test
    void aFreshAdaptedNetworkComputesWhatItsBaseComputes() {
        INDArray before = base.outputSingle(input);
        System.out.println(LoRA.apply(base, config).outputSingle(input).equalsWithEps(before, 1e-4));

        assertThat(LoRA.apply(base, config).outputSingle(input).equalsWithEps(before, 1e-4)).isTrue();
    }

    @Test
    void adviceTakesTheLossesOfAListener() {
        ComputationGraph tuned = LoRA.apply(base, config);
        int epochs = 20;

        CollectScoresIterationListener listener = new CollectScoresIterationListener();
        LoRAAdapter fresh = LoRAAdapter.of(tuned);
        tuned.setListeners(listener);
        tuned.fit(iterator, epochs);
        LoRAAdapter trained = LoRAAdapter.of(tuned);
        double[] losses = listener.getScoreVsIter().getEffectiveScores();
        LoRAAdvice.about(trained).base(base).losses(losses).start(fresh).list().forEach(System.out::println);
        RankUse.of(trained).forEach((layer, use) -> System.out.println(layer + ": " + use));
        for (String layer : trained.layers()) {
            System.out.println(layer + ": " + trained.relativeNorm(layer, base));
        }

        assertThat(losses).hasSize(epochs);
        assertThat(RankUse.of(trained)).containsOnlyKeys("fc1", "fc2");
    }

    @Test
    void aConfigurationOfPeftIsWrittenInItsWordsHere() {
        ComputationGraph base = new ComputationGraph(new NeuralNetConfiguration.Builder().seed(1).graphBuilder()
                .addInputs("in").addLayer("layer.0.query", new DenseLayer.Builder().nIn(4).nOut(4).build(), "in")
                .addLayer("layer.0.key", new DenseLayer.Builder().nIn(4).nOut(4).build(), "layer.0.query")
                .addLayer("layer.0.value", new DenseLayer.Builder().nIn(4).nOut(4).build(), "layer.0.key")
                .addLayer("pre_classifier", new DenseLayer.Builder().nIn(4).nOut(4).build(), "layer.0.value")
                .addLayer("classifier", new OutputLayer.Builder().nIn(4).nOut(2).activation(Activation.SOFTMAX).build(),
                        "pre_classifier")
                .setOutputs("classifier").build());
        base.init();
        LoRAConfig config = LoRAConfig.builder()
                .rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK)
                .targets(".*query", ".*value").trainable(".*classifier.*").loraDropout(0.05)
                .updater(new Adam(1e-3))
                .build();

        assertThat(LoRA.apply(base, config).paramTable()).containsOnlyKeys("layer.0.query_A", "layer.0.query_B",
                "layer.0.value_A", "layer.0.value_B", "pre_classifier_W", "pre_classifier_b", "classifier_W", "classifier_b");
        assertThat(config.scaling().factor(config.alpha(), config.rank())).isEqualTo(2);
        LoRAConfig ofKeras = LoRAConfig.builder().rank(4).build();
        assertThat(ofKeras.scaling().factor(ofKeras.alpha(), ofKeras.rank())).isEqualTo(1);
    }

    /** PEFT's unload. */
    @Test
    void aMergeWithWeightZeroKeepsWhatTrainedBesideTheAdapters() {
        ComputationGraph tuned = LoRA.apply(base, config.toBuilder().trainable("out").bias("lora_only").build());
        tuned.fit(iterator, 2);

        ComputationGraph asInPeft = LoRA.merging(tuned).weight(0).merge();

        assertThat(LoRA.unload(tuned).params()).isEqualTo(base.params());
        assertThat(asInPeft.getParam("fc1_W")).isEqualTo(base.getParam("fc1_W"));
        for (String trained : List.of("fc1_b", "out_W")) {
            assertThat(asInPeft.getParam(trained).ravel()).isEqualTo(tuned.getParam(trained).ravel())
                    .isNotEqualTo(base.getParam(trained).ravel());
        }
    }

    @Test
    void twoNetworksOnOneBaseComputeAtOnce() {
        LoRAAdapter adapter = Adapters.on(base, config.toBuilder(), 1);
        ComputationGraph first = LoRA.apply(base, adapter);
        ComputationGraph second = LoRA.apply(base, adapter);

        CompletableFuture<INDArray> elsewhere = CompletableFuture.supplyAsync(() -> second.outputSingle(input.dup()));

        assertThat(Networks.difference(first.outputSingle(input), elsewhere.join())).isLessThan(1e-6);
    }
}
