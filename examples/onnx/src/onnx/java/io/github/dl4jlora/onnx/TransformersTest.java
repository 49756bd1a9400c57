package io.github.dl4jlora.onnx;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.OrtSession.SessionOptions.OptLevel;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.transformers.Family;
import io.github.dl4jlora.transformers.Head;
import io.github.dl4jlora.transformers.Nonlinearity;
import io.github.dl4jlora.transformers.Transformer;
import io.github.dl4jlora.transformers.TransformerShape;
import io.github.dl4jlora.variant.DoRA;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** Transformers of all families, with all heads. */
class TransformersTest {

    private static final int VOCABULARY = 40;
    private static final int POSITIONS = 14;
    static final List<TransformerShape> SHAPES = List.of(
            TransformerShape.bert(VOCABULARY, POSITIONS, 12, 20, 2, 3),
            TransformerShape.roberta(VOCABULARY, POSITIONS, 12, 20, 2, 3),
            TransformerShape.distilBert(VOCABULARY, POSITIONS, 12, 20, 2, 3),
            TransformerShape.gpt2(VOCABULARY, POSITIONS, 12, 2, 3),
            TransformerShape.mpnet(VOCABULARY, 160, 12, 20, 2, 3),
            TransformerShape.xlmRoberta(VOCABULARY, POSITIONS, 12, 20, 1, 3),
            TransformerShape.camembert(VOCABULARY, POSITIONS, 12, 20, 1, 3),
            new TransformerShape(Family.GPT2, VOCABULARY, POSITIONS, 0, 12, 20, 1, 2, 1e-5, Nonlinearity.RELU, 39),
            new TransformerShape(Family.BERT, VOCABULARY, POSITIONS, 2, 12, 20, 1, 1, 1e-12, Nonlinearity.GELU_NEW, 3));

    static Stream<Arguments> transformers() {
        List<Head> heads = List.of(Head.tokenVectors(), Head.meanPooling(), Head.firstToken(), Head.maxPooling(), Head.pooler(),
                Head.classifier(3), Head.maskedWords(), Head.maskedWordsAtPositions(), Head.nextWord(), Head.regression(1),
                Head.multiLabel(3), Head.tokenClassifier(3), Head.questionAnswering(), Head.classifier(3).ofPairs(),
                Head.maskedWordsAtPositions().ofPairs());
        return SHAPES.stream().flatMap(shape -> Stream.of(shape, shape.untied()).flatMap(tied -> heads.stream()
                .filter(head -> shape.family().hasHead(head.kind()))
                .filter(head -> tied.tied() || head.kind() == Head.Kind.MASKED_WORDS || head.kind() == Head.Kind.NEXT_WORD)
                .map(head -> Arguments.of(tied, head))));
    }

    @ParameterizedTest
    @MethodSource("transformers")
    void textsOfAllLengthsAndPaddingsComputeTheSame(TransformerShape shape, Head head, @TempDir Path folder) throws IOException {
        ComputationGraph network = network(shape, head);
        Path file = folder.resolve("transformer.onnx");
        OnnxExport.of(network).write(file);

        List<INDArray[]> batches = Stream.of(ids(shape, 5), ids(shape, 1, 9), ids(shape, shape.longestText(), 3, 1),
                ids(shape, 2, 2)).map(ids -> inputs(shape, head, ids)).toList();
        agree(network, file, batches);
    }

    /** On the left, and twice somewhere: all rows agree, those of padding too. */
    @ParameterizedTest
    @MethodSource("transformers")
    void textsWithPaddingAnywhereComputeTheSame(TransformerShape shape, Head head, @TempDir Path folder) throws IOException {
        ComputationGraph network = network(shape, head);
        float p = shape.padding();
        INDArray ids = Nd4j.createFromArray(new float[][]{{p, p, p, 5, 6, 7, 8}, {9, p, 4, p, p, 11, p}, {p, 5, p, p, 9, 8, 7},
                {8, 7, 6, 5, 4, 5, 6}, {4, p, p, p, p, p, p}});
        INDArray mask = ids.neq(p).castTo(DataType.FLOAT);
        INDArray[] features = inputs(shape, head, ids);
        INDArray[] masks = new INDArray[features.length];
        masks[0] = mask;
        INDArray expected = network.output(false, features, masks)[0];

        OnnxExport.of(network).write(folder.resolve("ids.onnx"));
        InRuntime.agrees(List.of(expected), folder.resolve("ids.onnx"), features);
        if (features.length == 1) {
            OnnxExport.of(network).masks(true).write(folder.resolve("masks.onnx"));
            InRuntime.agrees(List.of(expected), folder.resolve("masks.onnx"), ids, mask);
            if (p >= 0) {
                // The padding token as a token of the second text, and of a GPT-2 at the end, too.
                mask.putScalar(1, 3, 1);
                mask.putScalar(1, 6, shape.family() == Family.GPT2 ? 1 : 0);
                InRuntime.agrees(List.of(network.output(false, features, masks)[0]), folder.resolve("masks.onnx"), ids, mask);
            }
        }
    }

    private static INDArray[] inputs(TransformerShape shape, Head head, INDArray ids) {
        List<INDArray> inputs = new ArrayList<>(List.of(ids));
        if (head.pairs() && shape.hasTextTypes()) {
            inputs.add(types(ids));
        }
        if (head.kind() == Head.Kind.MASKED_WORDS_AT_POSITIONS) {
            inputs.add(positions(ids));
        }
        return inputs.toArray(INDArray[]::new);
    }

    /** Each text's second half is a second text. */
    private static INDArray types(INDArray ids) {
        INDArray types = Nd4j.zeros(DataType.FLOAT, ids.shape());
        types.get(NDArrayIndex.all(), NDArrayIndex.interval(ids.size(1) / 2, ids.size(1))).assign(1);
        return types;
    }

    static LoRAConfig.Builder adapter() {
        return LoRAConfig.builder().rank(2).alpha(2).scaling(Scaling.ALPHA).seed(1);
    }

    static Stream<UnaryOperator<ComputationGraph>> kinds() {
        return Stream.of(network -> LoRA.apply(network, adapter().build()),
                network -> LoRA.apply(network, adapter().variant(new DoRA()).quantize(Quantization.INT8).build()),
                network -> LoRA.apply(network, adapter().trainable(".*embeddings").build()),
                LoRA::freeze, network -> LoRA.freeze(network, Quantization.INT8),
                network -> LoRA.freeze(network, Quantization.NF4), network -> LoRA.freeze(network, Quantization.BF16));
    }

    @ParameterizedTest
    @MethodSource("kinds")
    void adaptedFrozenAndQuantisedTransformersAreWritten(UnaryOperator<ComputationGraph> change) throws IOException {
        for (TransformerShape shape : SHAPES.subList(0, 5)) {
            Head head = shape.family().isCausal() ? Head.nextWord() : Head.classifier(3);
            ComputationGraph network = Samples.shaken(change.apply(network(shape, head)), 2);
            InRuntime.agrees(network, OnnxExport.of(network), ids(shape, 4, 7));
        }
    }

    @ParameterizedTest
    @EnumSource
    void aMappedTransformerIsWritten(Quantization scheme, @TempDir Path folder) throws IOException {
        LoRA.writeBase(network(SHAPES.get(0), Head.meanPooling()), folder.resolve("base"), scheme);
        ComputationGraph mapped = LoRA.openComputationGraphBase(folder.resolve("base"));

        InRuntime.agrees(mapped, OnnxExport.of(mapped), ids(SHAPES.get(0), 4, 7));
    }

    @ParameterizedTest
    @ValueSource(ints = {17, 18, 19, 20, 21})
    void everyVersionOfTheOperatorsComputesTheSame(int opset) throws IOException {
        for (TransformerShape shape : SHAPES.subList(0, 5)) {
            InRuntime.agrees(network(shape, Head.classifier(3)), OnnxExport.of(network(shape, Head.classifier(3))).opset(opset),
                    ids(shape, 4, 7));
        }
    }

    @Test
    void aMaskThatSaysWhatTheIdsSayChangesNothing() throws IOException {
        TransformerShape shape = SHAPES.get(1);
        ComputationGraph network = network(shape, Head.meanPooling());
        Path file = Files.createTempFile("masked", ".onnx");
        try {
            OnnxExport.of(network).masks(true).write(file);
            INDArray ids = ids(shape, 4, 7);
            InRuntime.agrees(InRuntime.outputs(network, ids), file, ids, ids.neq(shape.padding()).castTo(DataType.FLOAT));
        } finally {
            Files.delete(file);
        }
    }

    /** In one session, so that nothing of the first length can be fixed. */
    private static void agree(ComputationGraph network, Path file, List<INDArray[]> batches) {
        for (OptLevel level : List.of(OptLevel.ALL_OPT, OptLevel.NO_OPT)) {
            try (OrtSession.SessionOptions options = new OrtSession.SessionOptions();
                    OrtSession.RunOptions plain = new OrtSession.RunOptions()) {
                options.setOptimizationLevel(level);
                try (OrtSession session = OrtEnvironment.getEnvironment().createSession(file.toString(), options)) {
                    for (INDArray[] inputs : batches) {
                        INDArray expected = InRuntime.outputs(network, inputs).get(0);
                        INDArray actual = InRuntime.run(session, plain, inputs).get(0);
                        assertThat(actual.shape()).isEqualTo(expected.shape());
                        assertThat(InRuntime.difference(expected, actual)).as("%s", level).isLessThan(InRuntime.TOLERANCE);
                    }
                }
            } catch (OrtException e) {
                throw new AssertionError("ONNX Runtime refuses " + file + ": " + e.getMessage(), e);
            }
        }
    }

    static ComputationGraph network(TransformerShape shape, Head head) {
        GraphBuilder graph = new NeuralNetConfiguration.Builder().seed(5).graphBuilder();
        ComputationGraph network = Initialised.of(Transformer.addTo(graph, shape, head).build());
        Nd4j.getRandom().setSeed(6);
        network.params().assign(Nd4j.randn(DataType.FLOAT, network.params().shape()).muli(0.4));
        return network;
    }

    /** Texts of these lengths, padded to the longest and, where there is room, by one more. */
    static INDArray ids(TransformerShape shape, long... lengths) {
        Random random = new Random(7);
        int tokens = (int) Math.min(Math.max(lengths[0], lengths[lengths.length - 1]) + 1, shape.longestText());
        float[][] ids = new float[lengths.length][tokens];
        for (int text = 0; text < ids.length; text++) {
            for (int i = 0; i < tokens; i++) {
                ids[text][i] = i < lengths[text] ? 4 + random.nextInt(VOCABULARY - 5) : shape.padding();
            }
        }
        return Nd4j.createFromArray(ids);
    }

    private static INDArray positions(INDArray ids) {
        float[][] positions = new float[(int) ids.size(0)][2];
        for (float[] text : positions) {
            text[1] = ids.size(1) - 1;
        }
        return Nd4j.createFromArray(positions);
    }
}
