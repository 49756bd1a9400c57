package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LayerType;
import io.github.dl4jlora.conf.Accumulated;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.SaveOption;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.layer.LoRADenseLayer;
import io.github.dl4jlora.pages.CodeBlock;
import io.github.dl4jlora.report.LoRAMergeReport;
import io.github.dl4jlora.report.LoRAPlan;
import io.github.dl4jlora.tune.LearningRateSweep;
import io.github.dl4jlora.tune.LearningRates;
import io.github.dl4jlora.variant.DoRA;
import io.github.dl4jlora.variant.FrozenALoRA;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.earlystopping.EarlyStoppingConfiguration;
import org.deeplearning4j.earlystopping.EarlyStoppingResult;
import org.deeplearning4j.earlystopping.saver.InMemoryModelSaver;
import org.deeplearning4j.earlystopping.scorecalc.DataSetLossCalculator;
import org.deeplearning4j.earlystopping.termination.MaxEpochsTerminationCondition;
import org.deeplearning4j.earlystopping.termination.ScoreImprovementEpochTerminationCondition;
import org.deeplearning4j.earlystopping.trainer.EarlyStoppingGraphTrainer;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.AttentionVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.dataset.api.preprocessor.Normalizer;
import org.nd4j.linalg.dataset.api.preprocessor.NormalizerStandardize;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import org.nd4j.linalg.lossfunctions.LossFunctions;
import org.nd4j.linalg.ops.transforms.Transforms;

import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

/** Runs the code on the guide's pages. A line of a page that is not in this file fails a test. */
class GuideTest {

    @TempDir
    private Path folder;
    private Path spamFolder;
    private Path toneFolder;
    private final ComputationGraph base = Networks.trainedGraph();
    private final ComputationGraph tuned = LoRA.apply(base, LoRAConfig.builder().rank(3).build());
    private final LoRAAdapter spam = Adapters.on(base, LoRAConfig.builder().rank(3), 1);
    private final LoRAAdapter tone = Adapters.on(base, LoRAConfig.builder().rank(3), 20);
    private final INDArray input = Networks.random(DataType.FLOAT, 5, 3, Networks.IN);

    @BeforeEach
    void saveAdapters() throws IOException {
        spamFolder = folder.resolve("spam");
        toneFolder = folder.resolve("tone");
        spam.save(spamFolder);
        tone.save(toneFolder);
    }

    @Test
    void everyLineOfThePagesIsHere() throws IOException {
        Path tests = Path.of("src/test/java/io/github/dl4jlora/adapter");
        String here = CodeBlock.normal(Files.readString(tests.resolve("GuideTest.java"))
                + Files.readString(tests.resolve("PeftGuideTest.java")) + Files.readString(tests.resolve("FastGuideTest.java"))
                + Files.readString(tests.resolve("QuantizedGuideTest.java"))
                + Files.readString(tests.resolve("HeadsGuideTest.java"))
                + Files.readString(tests.resolve("TroublesGuideTest.java"))
                + Files.readString(tests.resolve("../bank/BankGuideTest.java")));
        for (String page : new String[] {"serve.md", "combine.md", "peft.md", "layers.md", "variants.md",
            "adapt.md", "save.md", "declare.md", "fast.md", "smaller.md", "heads.md", "choose.md",
            "troubles.md", "coming-from.md", "limits.md"}) {
            assertThat(CodeBlock.of("docs/guide/" + page, CodeBlock.JAVA))
                    .flatExtracting(CodeBlock::statements).as(page).isNotEmpty()
                    .allSatisfy(line -> assertThat(here).contains(line));
        }
    }

    /** DL4J's own calls take files: {@code path.toFile()}. */
    @Test
    void thePagesNameFilesByTheirPath() throws IOException {
        assertThat(CodeBlock.all()).filteredOn(block -> block.language().equals(CodeBlock.JAVA)
                && block.page().startsWith("docs/guide/")).isNotEmpty().allSatisfy(block -> assertThat(block.statements())
                .noneMatch(line -> Pattern.compile("\\bFile\\b|\\bfile\\b|toPath\\(\\)").matcher(line).find()));
    }

    @Test
    void adaptTrainAndGoBack() {
        DataSetIterator iterator = new ExistingDataSetIterator(List.of(Networks.data(DataType.FLOAT, 8, 1)));
        int epochs = 2;
        LoRAConfig config = LoRAConfig.builder()
                .rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK)
                .updater(new Adam(1e-3))
                .build();
        LoRAPlan plan = LoRA.plan(base, config, 64);
        System.out.println(plan);
        long bytes = plan.adapted().total();
        ComputationGraph tuned = LoRA.apply(base, config);
        LearningRates rates = LearningRateSweep.of(tuned).run(iterator);
        System.out.println(rates);
        tuned.setLearningRate(rates.suggested());
        tuned.fit(iterator, epochs);
        System.out.println(LoRA.summary(tuned));
        ComputationGraph plain = LoRA.merge(tuned);
        ComputationGraph base2 = LoRA.unload(tuned);
        LoRAConfig wider = config.toBuilder().rank(16).build();
        LoRAConfig inParts = config.toBuilder().updater(new Accumulated(new Adam(1e-3), 8)).build();
        LoRAConfig again = config.toBuilder().recompute("block.*_out").build();     // the last layer or vertex of each block

        assertThat(Networks.difference(plain.outputSingle(input), tuned.outputSingle(input))).isLessThan(1e-5);
        assertThat(base2.outputSingle(input)).isEqualTo(base.outputSingle(input));
        assertThat(tuned.getConfiguration().getEpochCount()).isEqualTo(epochs);
        assertThat(wider.rank()).isEqualTo(2 * config.rank());
        assertThat(inParts.updater()).isInstanceOf(Accumulated.class);
        assertThat(again).isNotEqualTo(config);
        assertThat(plan.adapted().trained()).isEqualTo(Float.BYTES * tuned.numParams()).isLessThan(bytes);
    }

    @Test
    void stopEarly() throws IOException {
        DataSetIterator iterator = new ExistingDataSetIterator(List.of(Networks.data(DataType.FLOAT, 8, 1)));
        DataSetIterator data = new ExistingDataSetIterator(List.of(Networks.data(DataType.FLOAT, 8, 2)));
        EarlyStoppingConfiguration<ComputationGraph> stopping = new EarlyStoppingConfiguration.Builder<ComputationGraph>()
                .modelSaver(new InMemoryModelSaver<>())
                .scoreCalculator(new DataSetLossCalculator(data, true))
                .epochTerminationConditions(new MaxEpochsTerminationCondition(20),
                        new ScoreImprovementEpochTerminationCondition(2))
                .build();
        EarlyStoppingResult<ComputationGraph> stopped = new EarlyStoppingGraphTrainer(stopping, tuned, iterator).fit();
        LoRAAdapter.of(stopped.getBestModel()).save(folder);

        assertThat(stopped.getTotalEpochs()).isBetween(1, 20);
        assertThat(LoRA.apply(base, LoRAAdapter.load(folder)).outputSingle(input))
                .isEqualTo(stopped.getBestModel().outputSingle(input));
    }

    @Test
    void trainOnAndMergeAPart() {
        LoRAAdapter adapter = spam;
        LoRAConfig gentler = LoRAConfig.builder().updater(new Adam(1e-4)).loraDropout(0.1).bias("lora_only").build();
        ComputationGraph more = LoRA.apply(base, adapter, gentler);
        LoRAConfig slower = adapter.config().toBuilder().updater(new Sgd(0.01)).build();
        adapter.applyTo(tuned);
        LoRAMergeReport report = LoRA.merging(tuned).report();
        System.out.println(report);
        ComputationGraph weaker = LoRA.merging(tuned).weight(0.7).merge();
        ComputationGraph partly = LoRA.merging(tuned).layers("fc1").merge();

        assertThat(more.outputSingle(input)).isEqualTo(tuned.outputSingle(input));
        assertThat(LoRA.apply(base, adapter, slower).outputSingle(input)).isEqualTo(tuned.outputSingle(input));
        assertThat(report.leastSurviving()).isGreaterThan(0.99);
        assertThat(Networks.difference(partly.outputSingle(input), tuned.outputSingle(input))).isLessThan(1e-5);
        assertThat(weaker.numParams()).isEqualTo(base.numParams());
    }

    @Test
    void turnItDown() {
        spam.applyTo(tuned);
        try (LoRA.Scope half = LoRA.rescaled(tuned, 0.5)) {
            INDArray between = tuned.outputSingle(input);
            assertThat(between).isNotEqualTo(base.outputSingle(input));
        }
        LoRA.setScale(tuned, "fc1", 0.3);
        LoRA.setScale(tuned, Map.of("fc1", 1.0, "fc2", 2.0));

        assertThat(LoRA.summary(tuned).toString()).contains("adapted, scaled by 2.0").doesNotContain("0.3");
    }

    @Test
    void saveAndRestore() throws IOException {
        LoRAAdapter.of(tuned).save(folder);
        LoRAAdapter adapter = LoRAAdapter.load(folder);
        ComputationGraph again = LoRA.apply(base, adapter);
        adapter.applyTo(tuned);

        assertThat(again.outputSingle(input)).isEqualTo(tuned.outputSingle(input));
    }

    @Test
    void checkpoint() throws IOException {
        Path checkpoint = folder.resolve("checkpoint.zip");
        ModelSerializer.writeModel(tuned, checkpoint.toFile(), true);
        ComputationGraph back = LoRA.restoreComputationGraph(checkpoint, true);
        LoRA.attach(back, base);
        Path path = checkpoint;
        Model network = LoRA.restore(path, false);

        assertThat(back.outputSingle(input)).isEqualTo(tuned.outputSingle(input)).isEqualTo(Models.output(network, input));
    }

    @Test
    void selfContained() throws IOException {
        Path everything = folder.resolve("everything.zip");
        LoRA.save(tuned, everything, true);
        ComputationGraph back = LoRA.loadComputationGraph(everything);

        assertThat(back.outputSingle(input)).isEqualTo(tuned.outputSingle(input));
    }

    @Test
    void nothingReplaced() throws IOException {
        Path everything = folder.resolve("once.zip");
        Path folder = this.folder.resolve("once");
        LoRA.save(tuned, everything, true, SaveOption.NEW_ONLY);
        LoRAAdapter.of(tuned).save(folder, SaveOption.NEW_ONLY);

        for (Path kept : List.of(everything, folder.resolve("adapter_model.safetensors"),
                folder.resolve("adapter_config.json"))) {
            byte[] content = Files.readAllBytes(kept);
            assertThatThrownBy(() -> LoRA.save(tuned, everything, false, SaveOption.NEW_ONLY))
                    .isInstanceOf(FileAlreadyExistsException.class).hasMessageContaining("once.zip");
            assertThatThrownBy(() -> spam.save(folder, SaveOption.NEW_ONLY))
                    .isInstanceOf(FileAlreadyExistsException.class).hasMessageContaining("adapter_");
            assertThat(kept).hasBinaryContent(content);
        }
        Files.delete(folder.resolve("adapter_model.safetensors"));
        assertThatThrownBy(() -> spam.save(folder, SaveOption.NEW_ONLY)).isInstanceOf(FileAlreadyExistsException.class);
        assertThat(folder.resolve("adapter_model.safetensors")).as("half an adapter").doesNotExist();
    }

    @Test
    void aNormalizerBesideTheNetwork() throws Exception {
        Path everything = folder.resolve("normalized.zip");
        NormalizerStandardize normalizer = new NormalizerStandardize();
        normalizer.fit(Networks.data(DataType.FLOAT, 8, 1));
        LoRA.save(tuned, everything, true);
        ModelSerializer.addNormalizerToModel(everything.toFile(), normalizer);
        Optional<Normalizer<?>> beside = LoRA.restoreNormalizer(everything);

        assertThat(((NormalizerStandardize) beside.orElseThrow()).getMean()).isEqualTo(normalizer.getMean());
        assertThat(LoRA.loadComputationGraph(everything).outputSingle(input)).isEqualTo(tuned.outputSingle(input));
    }

    @Test
    void declared() {
        MultiLayerConfiguration conf = new NeuralNetConfiguration.Builder().seed(1)
                .updater(new Adam(1e-3)).list()
                .layer(new LoRADenseLayer.Builder().nIn(784).nOut(256)
                        .rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK).activation(Activation.RELU).build())
                .layer(new OutputLayer.Builder(LossFunctions.LossFunction.MCXENT)
                        .nOut(10).activation(Activation.SOFTMAX).build())
                .build();
        INDArray w = Networks.random(DataType.FLOAT, 1, 784, 256);
        INDArray b = Networks.random(DataType.FLOAT, 2, 1, 256);
        MultiLayerNetwork network = new MultiLayerNetwork(conf);
        network.init();
        network.getParam("0_W").assign(w);
        network.getParam("0_b").assign(b);

        INDArray x = Networks.random(DataType.FLOAT, 3, 4, 784);
        assertThat(Networks.difference(network.feedForward(x).get(1), Transforms.relu(x.mmul(w).addiRowVector(b))))
                .isLessThan(1e-3);
    }

    @Test
    void swap() throws IOException {
        LoRAAdapter.load(spamFolder).applyTo(tuned);
        INDArray spam = tuned.outputSingle(input);
        LoRAAdapter.load(toneFolder).applyTo(tuned);
        INDArray tone = tuned.outputSingle(input);

        assertThat(spam).isEqualTo(LoRA.apply(base, this.spam).outputSingle(input));
        assertThat(tone).isEqualTo(LoRA.apply(base, this.tone).outputSingle(input));
    }

    @Test
    void theBaseAlone() {
        spam.applyTo(tuned);
        INDArray inside;
        try (LoRA.Scope off = LoRA.disabled(tuned)) {
            INDArray before = tuned.outputSingle(input);
            inside = before;
        }
        INDArray after = tuned.outputSingle(input);

        assertThat(inside).isEqualTo(base.outputSingle(input));
        assertThat(after).isNotEqualTo(inside);
    }

    @Test
    void noAdapterButFast() {
        ComputationGraph fast = LoRA.freeze(base);
        INDArray same = fast.outputSingle(input);
        ComputationGraph second = LoRA.freeze(fast);

        assertThat(Networks.difference(same, base.outputSingle(input))).isLessThan(1e-6);
        assertThat(second.outputSingle(input)).isEqualTo(same);
    }

    @Test
    void combineAndTakeAwayAgain() throws IOException {
        LoRAAdapter both = LoRAAdapter.combine(Combination.Method.CAT).add(spam, 0.7).add(tone, 0.3).build();
        ComputationGraph network = LoRA.apply(base, both);
        LoRAAdapter without = LoRAAdapter.combine(Combination.Method.SVD).add(both, 1).add(tone, -0.3).rank(4).build();
        LoRAAdapter merged = LoRAAdapter.combine(Combination.Method.TIES).add(spam, 1).add(tone, 1).density(0.5).build();

        assertThat(Networks.difference(without.deltaWeight("fc1"), spam.deltaWeight("fc1").mul(0.7))).isLessThan(1e-5);
        assertThat(merged.layers()).isEqualTo(spam.layers());
        assertThat(LoRAAdapter.of(network).cosine(both)).isCloseTo(1, within(1e-5));
        LoRAAdapter counted = LoRAAdapter.combine(Combination.Method.TIES_SVD).add(spam, 1).add(tone, 1).density(0.5).rank(4)
                .majoritySign(Combination.MajoritySign.FREQUENCY).build();
        assertThat(counted.rank("fc1")).isEqualTo(4);

        LoRAAdapter.Compressed compressed = both.compress(2);
        compressed.relativeErrors().forEach((layer, error) -> System.out.println(layer + " loses " + error));
        compressed.adapter().save(folder);

        assertThat(LoRAAdapter.load(folder).config().rank()).isEqualTo(2);
        LoRAAdapter.Compressed close = both.compressToEnergy(0.99);
        assertThat(close.relativeErrors().values()).allSatisfy(error -> assertThat(error).isLessThanOrEqualTo(0.1));
    }

    @Test
    void makeOneOfANetworkThatWasFineTunedInFull() {
        ComputationGraph fineTuned = base.clone();
        fineTuned.fit(Networks.data(DataType.FLOAT, 8, 5));
        Extraction.Extracted extracted = LoRAAdapter.extract(base, fineTuned).rank(8).build();
        ComputationGraph nearly = LoRA.apply(base, extracted.adapter());
        extracted.relativeErrors().forEach((layer, error) -> System.out.println(layer + " loses " + error));
        System.out.println("not in the adapter: " + extracted.leftOut());
        Extraction.Extracted exact = LoRAAdapter.extract(base, fineTuned).energy(1).fullValues(true).build();

        assertThat(extracted.leftOut()).containsExactly("fc1.b", "fc2.b", "out.b");
        assertThat(nearly.outputSingle(input)).isNotEqualTo(fineTuned.outputSingle(input));
        assertThat(Networks.difference(LoRA.apply(base, exact.adapter()).outputSingle(input), fineTuned.outputSingle(input)))
                .isLessThan(1e-5);
    }

    @Test
    void lookAtOne() {
        INDArray change = spam.deltaWeight("fc1");
        double size = spam.norm("fc1");
        double[] spectrum = spam.spectrum("fc1");
        double used = spam.effectiveRank("fc1");
        double moved = spam.relativeNorm("fc1", base);
        double alike = spam.cosine(tone);

        assertThat(change.shape()).containsExactly(Networks.IN, Networks.HIDDEN);
        assertThat(size).isGreaterThanOrEqualTo(spectrum[0]);
        assertThat(spectrum).hasSize(3);
        assertThat(used).isBetween(1.0, 3.0);
        assertThat(moved).isPositive();
        assertThat(alike).isBetween(-1.0, 1.0);
    }

    @Test
    void variants() {
        LoRAConfig dora = LoRAConfig.builder().rank(4).alpha(16).scaling(Scaling.ALPHA_OVER_RANK)
                .variant(new DoRA()).build();
        LoRAConfig pissa = LoRAConfig.builder().rank(4).alpha(16).scaling(Scaling.ALPHA_OVER_RANK)
                .loraInit(LoRAInit.PISSA).pissaIterations(4).build();
        LoRAConfig plus = LoRAConfig.builder().rank(4).alpha(16).scaling(Scaling.ALPHA_OVER_RANK)
                .updater(new Adam(1e-3)).loraPlusRatio(4).build();
        LoRAConfig frozenA = LoRAConfig.builder().rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK)
                .variant(new FrozenALoRA()).bias("lora_only").build();

        for (LoRAConfig config : new LoRAConfig[] {dora, pissa, plus, frozenA}) {
            ComputationGraph tuned = LoRA.apply(base, config);
            assertThat(Networks.difference(tuned.outputSingle(input), base.outputSingle(input))).isLessThan(1e-5);
            tuned.fit(Networks.data(DataType.FLOAT, 8, 1));
            if (config == pissa) {
                LoRAAdapter plain = LoRAAdapter.of(tuned).toPlainLoRA();
                assertThat(plain.config().rank()).isEqualTo(8);
            }
        }
    }

    @Test
    void layersOfAnyKind() {
        LoRAConfig config = LoRAConfig.builder().rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK)
                .targets("fc.*")
                .targets(LayerType.CONVOLUTION)
                .targets("lstm.*/RW", "attention/W[qv]")
                .exclude("conv1", "lstm2/RW")
                .override("lstm1/RW", o -> o.rank(4))
                .build();
        ComputationGraph network = new ComputationGraph(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1))
                .graphBuilder().addInputs("in").addLayer("conv1", new Convolution1DLayer.Builder(1).nOut(3).build(), "in")
                .addLayer("conv2", new Convolution1DLayer.Builder(1).nOut(3).build(), "conv1")
                .addLayer("lstm1", new LSTM.Builder().nOut(4).build(), "conv2")
                .addLayer("lstm2", new LSTM.Builder().nOut(4).build(), "lstm1")
                .addVertex("attention", new AttentionVertex.Builder().nInKeys(4).nInQueries(4).nInValues(4).nOut(4).nHeads(2)
                        .projectInput(true).build(), "lstm2", "lstm2", "lstm2")
                .addLayer("fc", new DenseLayer.Builder().nOut(4).build(), "attention")
                .addLayer("out", new RnnOutputLayer.Builder(LossFunction.MSE).nOut(2).activation(Activation.IDENTITY)
                        .build(), "fc")
                .setOutputs("out").setInputTypes(InputType.recurrent(3, 5)).build());
        network.init();

        Map<String, INDArray> trained = LoRA.apply(network, config).paramTable();

        assertThat(trained).containsOnlyKeys("conv2_W.A", "conv2_W.B", "lstm1_RW.A", "lstm1_RW.B", "attention_Wq.A",
                "attention_Wq.B", "attention_Wv.A", "attention_Wv.B", "fc_A", "fc_B");
        assertThat(trained.get("lstm1_RW.A").shape()).containsExactly(4, 4);
        assertThat(trained.get("attention_Wq.A").shape()).containsExactly(4, 8);
    }
}
