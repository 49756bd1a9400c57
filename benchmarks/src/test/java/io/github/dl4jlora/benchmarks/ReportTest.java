package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.LoRA;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;

/** The report says what was measured, and says so where something was not. No figure is measured here. */
class ReportTest {

    private static final Shape SHAPE = Shape.square(16, 2, 4, 2, "SGD");

    @TempDir
    private Path folder;

    private String report(Results results) throws IOException {
        new Report(results).write(folder);
        return Files.readString(folder.resolve("report.md"));
    }

    @Test
    void writesRatiosAndNamesWhatIsAbsent() throws Exception {
        Results results = new Results();
        results.stepsOf(SHAPE).put(new Results.Run(Side.LORA, Settings.ONE_THREAD), 3.0);
        results.stepsOf(SHAPE).put(new Results.Run(Side.DL4J_FULL, Settings.ONE_THREAD), 12.0);

        assertThat(report(results))
                .contains("| LoRA / DL4J, full fine-tuning | 0.25 |")
                .contains("| LoRA / PyTorch, LoRA | absent |");
        assertThat(Files.readString(folder.resolve("report.html"))).contains("<svg").contains("viewport")
                .doesNotContain("http-equiv");
    }

    @Test
    void memoryOfASideThatFailedIsAbsent() throws Exception {
        Results results = new Results();
        results.memory.put(SHAPE, Map.of(Side.LORA, new Results.MemoryUse(20_000_000, 10_000_000, 0.5)));

        assertThat(report(results)).contains("| absent | 20.0 | absent | absent | 10.0 | 0.50 |");
    }

    @Test
    void theEncoderHasItsRatiosToPyTorch() throws Exception {
        Results results = new Results();
        results.encoder.put(Settings.ONE_THREAD, Map.of(EncoderTask.STEP, new Results.Encoder(220, 200),
                EncoderTask.FORWARD, new Results.Encoder(90, Double.NaN)));

        assertThat(report(results)).contains("| 220 | 200 | 1.10 |", "| 90.0 | absent | absent |");
    }

    @Test
    void convolutionsAndLstmsHaveTheirRatiosToPyTorch() throws Exception {
        Results results = new Results();
        peer(results, PeerTask.CONVOLUTIONS_64, Side.LORA, Settings.ONE_THREAD, 60, 20);
        peer(results, PeerTask.CONVOLUTIONS_64, Side.LORA, Settings.SETTLED, 40, 10);
        peer(results, PeerTask.CONVOLUTIONS_64, Side.PYTORCH_LORA, Settings.ONE_THREAD, 50, 25);
        peer(results, PeerTask.CONVOLUTIONS_64, Side.PYTORCH_LORA, Settings.AS_FOUND, 80, 20);
        peer(results, PeerTask.CONVOLUTIONS_64, Side.PYTORCH_TUNED, Settings.ONE_THREAD, 48, 10);
        results.differences.put(PeerTask.CONVOLUTIONS_64, Map.of(Side.LORA, 1e-4));

        assertThat(report(results))
                .contains("LoRA, one thread | 60.0 | 1.20 | 1.25 | 20.0 | 0.80 | 2.00 | 1e-04 |")
                .contains("LoRA, threads settled | 40.0 | 0.80 | 0.83 | 10.0 | 0.50 | 1.00 | 1e-04 |")
                .contains("PyTorch, LoRA, tuned, one thread | 48.0 |  |  | 10.0 |  |  |  |")
                .contains("one thread, three 3×3 convolutions, 64 channels, 32×32 images, batch 16 | ≤ 1.10 | 1.20 | missed |")
                .contains("forward pass, three 3×3 convolutions, 64 channels, 32×32 images, batch 16 | ≤ 1.00 | 0.80 | met |");
    }

    @Test
    void embeddingsAndAttentionHaveTablesOfTheirOwn() throws Exception {
        Results results = new Results();
        for (PeerTask task : new PeerTask[] {PeerTask.EMBEDDING, PeerTask.ATTENTION}) {
            peer(results, task, Side.LORA, Settings.ONE_THREAD, task == PeerTask.EMBEDDING ? 3 : 60, 2);
            peer(results, task, Side.PYTORCH_LORA, Settings.ONE_THREAD, 50, 4);
            results.differences.put(task, Map.of(Side.LORA, 1e-6));
        }

        String report = report(results);
        assertThat(report).containsSubsequence("### Embeddings\n",
                "| an embedding of 20,000 words in 128 values, 64 words each, batch 32; LoRA, one thread | 3.00 | 0.0600 |",
                "### Attention\n",
                "| self-attention of 8 heads of 32, 256 inputs, 64 steps, batch 32; LoRA, one thread | 60.0 | 1.20 |");
        assertThat(report).doesNotContain("### Convolutions\n", "### LSTMs\n");
    }

    @Test
    void targetsWithOneDnnNeedOneDnn() {
        Results results = new Results();
        peer(results, PeerTask.LSTM_32, Side.LORA, Settings.ONE_THREAD, 60, 20);
        peer(results, PeerTask.LSTM_32, Side.LORA_WITHOUT_ONEDNN, Settings.ONE_THREAD, 60, 20);
        peer(results, PeerTask.LSTM_32, Side.PYTORCH_LORA, Settings.ONE_THREAD, 100, 25);

        assertThat(lstmVerdicts(results)).containsExactly("met", "not measured", "not measured", "not measured");
        results.machine.put(MachineChild.ONEDNN, MachineChild.ABSENT);
        assertThat(lstmVerdicts(results)).containsExactly("met", "not measured", "not measured", "not measured");
        results.machine.put(MachineChild.ONEDNN, "3.11-1.5.13");
        assertThat(lstmVerdicts(results)).containsExactly("met", "missed", "not measured", "not measured");
    }

    private static List<String> lstmVerdicts(Results results) {
        return PeerMeasurements.targets(results).stream().filter(target -> target.what().contains("LSTM")).map(Target::verdict)
                .toList();
    }

    private static void peer(Results results, PeerTask task, Side side, Settings settings, double step, double forward) {
        results.peers.computeIfAbsent(task, key -> new LinkedHashMap<>())
                .put(new Results.Run(side, settings), new PeerMeasurements.Cost(step, forward));
    }

    @Test
    void imageNetworksHaveTheirRatiosToOnnxRuntime() throws Exception {
        Results results = new Results();
        results.onnx.put(OnnxTask.VGG_16_1, OnnxMeasurements.Cost.medianOf(List.of(
                new double[] {900, 110, 105, 150, 100, 2e-7})));
        results.onnx.put(OnnxTask.RES_NET_50_1, OnnxMeasurements.Cost.medianOf(List.of(
                new double[] {90, 12, 11, 15, 10, 3e-6}, new double[] {80, 14, 11, 13, 10, 3e-6})));

        assertThat(report(results))
                .contains("| VGG16, 224×224, batch 1 | 100 | 110 | 1.10 | 105 | 1.05 | 150 | 1.50 | 900 | 9.00 | 2e-07 |")
                .contains("frozen / ONNX Runtime, one thread, forward pass, VGG16, 224×224, batch 1 | ≤ 1.10 | 1.10 | met |")
                .contains("frozen / ONNX Runtime, one thread, forward pass, ResNet50, 224×224, batch 1 | ≤ 1.10 | 1.30 |")
                .contains("packed / ONNX Runtime, one thread, forward pass, ResNet50, 224×224, batch 1 | ≤ 1.10 | 1.10 | met |")
                .contains("one thread, forward pass, LeNet, 28×28, batch 1 | ≤ 1.10 |  | not measured |");
    }

    @Test
    void otherBuildsHaveTheirRatiosToThisOne() throws Exception {
        Results results = new Results();
        Map<String, BuildMeasurements.Cost> costs = new LinkedHashMap<>();
        costs.put("this build", new BuildMeasurements.Cost(2, 50e6));
        costs.put("no-Rectifier", new BuildMeasurements.Cost(3, 60e6));
        results.builds.put(BuildTask.CHAIN_256, costs);

        assertThat(report(results)).contains("| no-Rectifier | 3.00 | 60.0 | 1.50 | 1.20 |");
    }

    @Test
    void whatWasFoundStandsBesideWhatIsRecommended() throws Exception {
        Results results = new Results();
        results.machine.put("processor", "a fast one");
        step(results, 2048, Side.LORA, Settings.AS_FOUND, 80);
        step(results, 2048, Side.LORA, Settings.SETTLED, 22);
        step(results, 2048, Side.LORA, Settings.ONE_THREAD, 27);
        step(results, 2048, Side.LORA, Settings.BY_HAND, 20);
        step(results, 2048, Side.PYTORCH_LORA, Settings.AS_FOUND, 50);

        assertThat(report(results))
                .contains("| processor | a fast one |")
                .contains("| ms per step | as found | threads settled | one thread | by hand |")
                .contains("| LoRA, 2048 wide | 80.0 | 22.0 | 27.0 | 20.0 |")
                .contains("| PyTorch, LoRA, 2048 wide | 50.0 |  | absent |  |");
    }

    @Test
    void targetsAreMetOrMissedOrNotMeasured() throws Exception {
        Results results = new Results();
        step(results, 2048, Side.LORA, Settings.SETTLED, 22);
        step(results, 2048, Side.LORA, Settings.ONE_THREAD, 27);
        step(results, 2048, Side.LORA, Settings.BY_HAND, 20);
        step(results, 2048, Side.PYTORCH_LORA, Settings.AS_FOUND, 50);
        step(results, 2048, Side.PYTORCH_LORA, Settings.ONE_THREAD, 25);
        results.made.put(Side.LORA, new Results.Made(48.5, 0));
        results.resident.put(new Results.Run(Side.LORA, Settings.SETTLED), 301_000_000L);

        assertThat(report(results))
                .contains("at its own default, 2048 wide | ≤ 0.55 | 0.44 | met |")
                .contains("LoRA / PyTorch LoRA, one thread, 2048 wide | ≤ 0.79 | 1.08 | missed |")
                .contains("best setting by hand, LoRA, 2048 wide | ≤ 1.15 | 1.10 | met |")
                .contains("threads settled, MB | ≤ 300 | 301 | missed |")
                .contains("before fewer were made | ≤ 0.50 | 0.50 | met |")
                .contains("LoRA / PyTorch LoRA, one thread, 256 wide | ≤ 0.78 |  | not measured |");
    }

    @Test
    void aPlanIsOffAsFarAsItsWorstNetwork() throws Exception {
        Results results = new Results();
        for (PlanTask task : PlanTask.values()) {
            results.plans.put(task, new HashMap<>(Map.of(Side.LORA, new PlanMeasurements.Planned(98e6, 100e6),
                    Side.DL4J_FULL, new PlanMeasurements.Planned(120e6, 100e6))));
        }
        results.plans.get(PlanTask.LSTM).put(Side.LORA, new PlanMeasurements.Planned(90e6, 100e6));

        assertThat(report(results))
                .contains("LoRA: the farthest from 1 | ≤ 0.15 | 0.1000 | met |")
                .contains("full fine-tuning: the farthest from 1 | ≤ 0.15 | 0.20 | missed |")
                .contains("| 3 layers, 1024 wide, 32 rows | 98.0 | 100 | 0.98 | 120 | 100 | 1.20 |");
        results.plans.get(PlanTask.IMAGES).remove(Side.LORA);
        assertThat(PlanMeasurements.targets(results)).extracting(Target::verdict).containsExactly("not measured", "missed");
    }

    @Test
    void whatIsPlannedCanBeTrained() {
        for (PlanTask task : new PlanTask[] {PlanTask.TRANSFORMER, PlanTask.LSTM}) {
            assertThat(LoRA.plan(task.base(), task.config(), 4, task.inputs()).adapted().total()).isPositive();
        }
    }

    private static void step(Results results, int width, Side side, Settings settings, double millis) {
        results.stepsOf(Shape.of(width)).put(new Results.Run(side, settings), millis);
    }

    @Test
    @Tag("heavy")
    void processesTakeTurns() {
        Results results = new Results();

        new Measurements(results, 1, List.of(Side.LORA, Side.FLOOR), folder).steps(List.of(SHAPE));

        assertThat(results.failures).isEmpty();
        assertThat(results.stepsOf(SHAPE)).hasSize(2).allSatisfy((run, millis) -> assertThat(millis).isPositive());
    }

    @Test
    void aChildThatFailsIsALineAndNotTheEnd() throws Exception {
        Results results = new Results();
        results.pyTorch = "2.6 ok";

        new Measurements(results, 1, List.of(Side.PYTORCH_LORA), folder.resolve("no-python")).steps(List.of(SHAPE));
        String report = report(results);

        assertThat(results.failures).singleElement().asString().startsWith("PyTorch, LoRA, one thread, " + SHAPE.name() + ": ");
        assertThat(report).contains("### Failures", "| PyTorch, LoRA, one thread, ");
    }

    @Test
    void childrenAreToldWhatTheirSettingsSayAndNothingElse() {
        Map<String, String> parents = Map.of("OPENBLAS_CORETYPE", "Haswell", "OPENBLAS_L2_SIZE", "512",
                "ONEDNN_MAX_CPU_ISA", "AVX2", "ATEN_CPU_CAPABILITY", "avx2", "OMP_NUM_THREADS", "7", "MKL_NUM_THREADS", "7",
                "JAVA_TOOL_OPTIONS", "-Xint", "PATH", "/bin");

        assertThat(environment(parents, Settings.AS_FOUND)).isEqualTo(Map.of("PATH", "/bin"));
        assertThat(environment(parents, Settings.SETTLED)).isEqualTo(Map.of("PATH", "/bin"));
        assertThat(environment(parents, Settings.ONE_THREAD)).isEqualTo(Map.of("PATH", "/bin", "OMP_NUM_THREADS", "1",
                "OPENBLAS_NUM_THREADS", "1"));
        assertThat(environment(parents, Settings.BY_HAND)).isEqualTo(Map.of("PATH", "/bin", "OMP_WAIT_POLICY", "passive"));
        assertThat(Settings.kept(parents)).containsOnlyKeys("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "ONEDNN_MAX_CPU_ISA",
                "ATEN_CPU_CAPABILITY", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "JAVA_TOOL_OPTIONS");
    }

    @Test
    void onRequestChildrenHaveTheKernelsOfAvx2Alone() {
        Map<String, String> parents = Map.of("OPENBLAS_CORETYPE", "Zen", "PATH", "/bin");
        Child.allow(Kernels.AVX2);
        try {
            assertThat(environment(parents, Settings.AS_FOUND)).isEqualTo(Map.of("PATH", "/bin", "OPENBLAS_CORETYPE", "Haswell",
                    "ONEDNN_MAX_CPU_ISA", "AVX2", "ATEN_CPU_CAPABILITY", "avx2"));
        } finally {
            Child.allow(Kernels.OWN);
        }
        assertThat(environment(parents, Settings.AS_FOUND)).isEqualTo(Map.of("PATH", "/bin"));
        assertThat(Kernels.AVX2.meaning()).isEqualTo("told: ATEN_CPU_CAPABILITY=avx2, ONEDNN_MAX_CPU_ISA=AVX2, "
                + "OPENBLAS_CORETYPE=Haswell, -XX:UseAVX=2");
    }

    private static Map<String, String> environment(Map<String, String> parents, Settings settings) {
        Map<String, String> environment = new HashMap<>(parents);
        Child.prepare(settings, environment);
        return environment;
    }

    @Test
    void aShapeSurvivesItsWayToAChildProcess() {
        Shape back = Shape.decode(SHAPE.encode());

        assertThat(back.rows()).isEqualTo(4);
        assertThat(back.widths()).isEqualTo(SHAPE.widths());
        assertThat(back.rank()).isEqualTo(2);
        assertThat(back.updater()).isEqualTo("SGD");
        assertThat(back.parameters()).isEqualTo(2 * 17 * 16);
    }

    @Test
    void everyJavaSideTakesAStep() {
        for (Side side : Side.values()) {
            if (side == Side.FLOOR) {
                new Floor(SHAPE).step();
            } else if (!side.isPyTorch()) {
                Networks.of(side, SHAPE).fit(Networks.batch(SHAPE));
            }
        }
    }

    @Test
    void networksComparedWithPyTorchTakeAStep() {
        for (PeerTask task : new PeerTask[] {PeerTask.CONVOLUTIONS_64, PeerTask.LSTM_8, PeerTask.EMBEDDING, PeerTask.ATTENTION}) {
            MultiLayerNetwork network = task.network(Side.LORA);
            INDArray before = network.params().dup();

            network.fit(task.data());

            assertThat(network.score()).isFinite();
            assertThat(network.params()).isNotEqualTo(before);
        }
    }
}
