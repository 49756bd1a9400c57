package io.github.dl4jlora.models.encoder;

import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.TensorInfo;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.onnx.OnnxExport;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestReporter;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;

import java.io.IOException;
import java.io.InputStream;
import java.nio.FloatBuffer;
import java.nio.LongBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** All encoders, each with the weights of its own artifact. */
@Tag("encoders")
class PretrainedEncoderTest {

    private static final double COSINE = 0.999999;
    private static final double LARGEST_DIFFERENCE = 1e-5;
    private static final int TEXTS = 100;

    @ParameterizedTest
    @EnumSource
    void embeddingsOfAHundredTextsEqualThoseOfOnnxRuntime(PretrainedEncoder encoder, TestReporter reporter) throws Exception {
        try (Tokenizer tokenizer = encoder.tokenizer(512); OnnxReference reference = new OnnxReference(encoder)) {
            reporter.publishEntry(encoder + ", smallest cosine", Double.toString(reference.smallestCosine(
                    encoder.sentenceEncoder(), tokenizer, Sentences.all().subList(0, TEXTS), COSINE)));
        }
    }

    @ParameterizedTest
    @EnumSource
    void anAdaptedEncoderComputesTheSameWhereItWasExported(PretrainedEncoder encoder, @TempDir Path folder) throws Exception {
        ComputationGraph base = encoder.sentenceEncoder();
        ComputationGraph tuned = LoRA.apply(base, LoRAConfig.builder().rank(4).targets(EncoderTargets.QUERY_VALUE).seed(1)
                .build());
        Nd4j.getRandom().setSeed(2);
        tuned.params().addi(Nd4j.randn(DataType.FLOAT, tuned.params().shape()).muli(0.05));
        Path file = folder.resolve("model.onnx");
        try (Tokenizer tokenizer = encoder.tokenizer(64)) {
            INDArray ids = tokenizer.batch(Sentences.all().subList(3, 20));
            for (ComputationGraph network : List.of(base, tuned)) {
                INDArray expected = network.outputSingle(ids);
                OnnxExport.write(network, file);
                for (OrtSession.SessionOptions.OptLevel level : List.of(OrtSession.SessionOptions.OptLevel.ALL_OPT,
                        OrtSession.SessionOptions.OptLevel.NO_OPT)) {
                    assertThat(expected.sub(run(file, level, ids)).amaxNumber().doubleValue()).as("%s", level)
                            .isLessThan(LARGEST_DIFFERENCE * expected.amaxNumber().doubleValue());
                }
            }
            assertThat(tuned.outputSingle(ids).sub(base.outputSingle(ids)).amaxNumber().doubleValue()).isGreaterThan(0.01);
        }
    }

    private static INDArray run(Path file, OrtSession.SessionOptions.OptLevel level, INDArray ids) throws OrtException {
        OrtEnvironment environment = OrtEnvironment.getEnvironment();
        try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
            options.setIntraOpNumThreads(1);
            options.setOptimizationLevel(level);
            try (OrtSession session = environment.createSession(file.toString(), options)) {
                var input = session.getInputInfo().entrySet().iterator().next();
                INDArray flat = ids.dup('c').reshape(ids.length());
                try (OnnxTensor tensor = ((TensorInfo) input.getValue().getInfo()).type == OnnxJavaType.INT64
                        ? OnnxTensor.createTensor(environment, LongBuffer.wrap(flat.toLongVector()), ids.shape())
                        : OnnxTensor.createTensor(environment, FloatBuffer.wrap(flat.toFloatVector()), ids.shape());
                     OrtSession.Result result = session.run(Map.of(input.getKey(), tensor))) {
                    return Nd4j.createFromArray((float[][]) result.get(0).getValue());
                }
            }
        }
    }

    /** And of a classifier, in whose graph the encoder's layers have the same names. */
    @ParameterizedTest
    @EnumSource
    void anAdapterOfTheContrastiveNetworkFitsTheSentenceEncoder(PretrainedEncoder encoder) throws Exception {
        LoRAAdapter adapter = LoRAAdapter.of(LoRA.apply(encoder.contrastive(20), LoRAConfig.builder().rank(2)
                .targets(EncoderTargets.QUERY_VALUE).seed(1).build()));

        assertThat(LoRA.summary(LoRA.apply(encoder.sentenceEncoder(), adapter)).trainableParams())
                .isEqualTo(2L * encoder.shape().layers() * 2 * 2 * encoder.shape().hidden());
        assertThat(encoder.classifier(2, new Sgd(0.1), 1).getLayer(PretrainedEncoder.CLASSIFIER).numParams())
                .isEqualTo(2L * encoder.shape().hidden() + 2);
    }

    @Test
    void theFileOfAnotherModelIsRefused() throws Exception {
        ComputationGraph six = PretrainedEncoder.MINILM.sentenceEncoder();
        ComputationGraph twelve = PretrainedEncoder.E5.sentenceEncoder();

        assertThatThrownBy(() -> copy(PretrainedEncoder.BGE, six)).isInstanceOf(IOException.class)
                .hasMessageContaining("bge has tensors that no layer takes, such as \"encoder.layer.10.");
        assertThatThrownBy(() -> copy(PretrainedEncoder.MINILM, twelve)).isInstanceOf(IOException.class)
                .hasMessageContaining("minilm has no tensor \"encoder.layer.6.");
    }

    private static void copy(PretrainedEncoder from, ComputationGraph to) throws IOException {
        try (InputStream file = from.weightsFile()) {
            OnnxWeights.read(from.toString(), file).copyInto(to, from.shape().family().names(), Set.of());
        }
    }
}
