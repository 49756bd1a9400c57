package io.github.dl4jlora.onnx;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtLoraAdapter;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.OrtSession.SessionOptions.OptLevel;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.variant.DoRA;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class AdaptersTest {

    @TempDir
    Path folder;

    @Test
    void adaptersOfOtherRanksTakeTurnsInOneSession() throws IOException, OrtException {
        MultiLayerNetwork base = dense();
        MultiLayerNetwork small = tuned(base, LoRAConfig.builder().rank(2).alpha(3).targets("first", "last"));
        MultiLayerNetwork large = tuned(base, LoRAConfig.builder().rank(5).alpha(4).scaling(Scaling.ALPHA_OVER_SQRT_RANK)
                .targets(".*"));
        write(base, large, InputType.feedForward(4));

        requireAgreement(base, List.of(small, large), Nd4j.rand(DataType.FLOAT, 7, 4));
    }

    @Test
    void trainedBiasesAreInputs() throws IOException, OrtException {
        for (BiasTraining training : List.of(BiasTraining.LORA_ONLY, BiasTraining.ALL)) {
            MultiLayerNetwork base = dense();
            MultiLayerNetwork tuned = tuned(base, LoRAConfig.builder().rank(2).targets("first").bias(training));
            write(base, tuned, InputType.feedForward(4));

            requireAgreement(base, List.of(tuned), Nd4j.rand(DataType.FLOAT, 7, 4));
        }
    }

    @Test
    void layersTrainedInFullAreInputs() throws IOException, OrtException {
        MultiLayerNetwork base = dense();
        MultiLayerNetwork tuned = tuned(base, LoRAConfig.builder().rank(2).targets("first").trainable("last"));
        write(base, tuned, InputType.feedForward(4));

        requireAgreement(base, List.of(tuned), Nd4j.rand(DataType.FLOAT, 7, 4));
    }

    @Test
    void startsTakenFromTheBaseAreSubtracted() throws IOException, OrtException {
        MultiLayerNetwork base = dense();
        MultiLayerNetwork tuned = tuned(base, LoRAConfig.builder().rank(2).loraInit(LoRAInit.PISSA));
        write(base, tuned, InputType.feedForward(4));

        requireAgreement(base, List.of(tuned), Nd4j.rand(DataType.FLOAT, 7, 4));
    }

    @Test
    void doraScalesOutputs() throws IOException, OrtException {
        MultiLayerNetwork base = dense();
        MultiLayerNetwork dora = tuned(base, LoRAConfig.builder().rank(2).variant(new DoRA()));
        MultiLayerNetwork plain = tuned(base, LoRAConfig.builder().rank(3));
        write(base, dora, InputType.feedForward(4));

        requireAgreement(base, List.of(dora, plain), Nd4j.rand(DataType.FLOAT, 7, 4));
        assertThatThrownBy(() -> OnnxAdapter.write(LoRAAdapter.of(dora), folder.resolve("dora")))
                .isInstanceOf(OnnxExportException.class).hasMessageContaining("first").hasMessageContaining("DoRA");
    }

    private void write(MultiLayerNetwork base, MultiLayerNetwork tuned, InputType type) throws IOException {
        OnnxExport.of(base).inputTypes(type).adapters(LoRAAdapter.of(tuned)).write(folder.resolve("base.onnx"));
    }

    private static MultiLayerNetwork dense() {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new DenseLayer.Builder().name("first").nIn(4).nOut(5).activation(Activation.TANH).build())
                .layer(new DenseLayer.Builder().name("second").nIn(5).nOut(6).activation(Activation.RELU).build())
                .layer(new OutputLayer.Builder().name("last").nIn(6).nOut(3).activation(Activation.SOFTMAX).build())
                .build());
        network.init();
        filled(network.params(), 2);
        return network;
    }

    private static void filled(INDArray values, long seed) {
        Nd4j.getRandom().setSeed(seed);
        values.assign(Nd4j.rand(DataType.FLOAT, values.shape()).subi(0.5).muli(1.2));
    }

    /** An adapted network as if it had been trained. */
    private static MultiLayerNetwork tuned(MultiLayerNetwork base, LoRAConfig.Builder config) {
        MultiLayerNetwork tuned = LoRA.apply(base, config.build());
        INDArray before = tuned.params().dup();
        filled(tuned.params(), 3);
        tuned.params().addi(before);
        return LoRA.apply(base, LoRAAdapter.of(tuned));
    }

    /** The file "base.onnx" with each adapter, and with none between them, in one session. */
    private void requireAgreement(MultiLayerNetwork base, List<MultiLayerNetwork> tuned, INDArray... inputs)
            throws IOException, OrtException {
        for (OptLevel level : List.of(OptLevel.ALL_OPT, OptLevel.NO_OPT)) {
            try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
                options.setOptimizationLevel(level);
                // It warns that inputs with defaults are no constants.
                options.setSessionLogLevel(OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR);
                try (OrtSession session = OrtEnvironment.getEnvironment()
                        .createSession(folder.resolve("base.onnx").toString(), options)) {
                    for (MultiLayerNetwork network : tuned) {
                        requireSame(InRuntime.outputs(base, inputs), session, null, inputs);
                        Path file = folder.resolve("adapter.onnx_adapter");
                        OnnxAdapter.write(LoRAAdapter.of(network), base, file);
                        List<INDArray> expected = InRuntime.outputs(network, inputs);
                        assertThat(InRuntime.difference(InRuntime.outputs(base, inputs).get(0), expected.get(0)))
                                .isGreaterThan(1e-2);
                        requireSame(expected, session, file, inputs);
                        requireSame(InRuntime.outputs(LoRA.merge(network), inputs), session, file, inputs);
                    }
                    requireSame(InRuntime.outputs(base, inputs), session, null, inputs);
                }
            }
        }
    }

    private static void requireSame(List<INDArray> expected, OrtSession session, Path adapter, INDArray... inputs)
            throws OrtException {
        try (OrtSession.RunOptions options = new OrtSession.RunOptions()) {
            OrtLoraAdapter active = adapter == null ? null : OrtLoraAdapter.create(adapter.toString());
            if (active != null) {
                options.addActiveLoraAdapter(active);
            }
            List<INDArray> actual = InRuntime.run(session, options, inputs);
            if (active != null) {
                active.close();
            }
            assertThat(actual).hasSameSizeAs(expected);
            for (int i = 0; i < actual.size(); i++) {
                assertThat(InRuntime.difference(expected.get(i), actual.get(i))).isLessThanOrEqualTo(InRuntime.TOLERANCE);
            }
        }
    }
}
