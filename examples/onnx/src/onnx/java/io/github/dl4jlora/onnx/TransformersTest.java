package io.github.dl4jlora.onnx;

import io.github.dl4jlora.transformers.Family;
import io.github.dl4jlora.transformers.Head;
import io.github.dl4jlora.transformers.Nonlinearity;
import io.github.dl4jlora.transformers.Transformer;
import io.github.dl4jlora.transformers.TransformerShape;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;

/** Transformers of all families, with all heads. */
class TransformersTest {

    private static final int VOCABULARY = 40;
    private static final int POSITIONS = 14;
    private static final List<TransformerShape> SHAPES = List.of(
            TransformerShape.bert(VOCABULARY, POSITIONS, 12, 20, 2, 3),
            TransformerShape.roberta(VOCABULARY, POSITIONS, 12, 20, 2, 3),
            TransformerShape.distilBert(VOCABULARY, POSITIONS, 12, 20, 2, 3),
            TransformerShape.gpt2(VOCABULARY, POSITIONS, 12, 2, 3),
            new TransformerShape(Family.GPT2, VOCABULARY, POSITIONS, 0, 12, 20, 1, 2, 1e-5, Nonlinearity.RELU, 39),
            new TransformerShape(Family.BERT, VOCABULARY, POSITIONS, 2, 12, 20, 1, 1, 1e-12, Nonlinearity.GELU_NEW, 3));

    static Stream<Arguments> transformers() {
        List<Head> heads = List.of(Head.tokenVectors(), Head.meanPooling(), Head.pooler(), Head.classifier(3), Head.maskedWords(),
                Head.maskedWordsAtPositions(), Head.nextWord());
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

        for (INDArray ids : List.of(ids(shape, 5), ids(shape, 1, 9), ids(shape, shape.longestText(), 3, 1), ids(shape, 2, 2))) {
            INDArray[] inputs = head.kind() == Head.Kind.MASKED_WORDS_AT_POSITIONS
                    ? new INDArray[]{ids, positions(ids)} : new INDArray[]{ids};
            InRuntime.agrees(InRuntime.outputs(network, inputs), file, inputs);
        }
    }

    static ComputationGraph network(TransformerShape shape, Head head) {
        GraphBuilder graph = new NeuralNetConfiguration.Builder().seed(5).graphBuilder();
        ComputationGraph network = new ComputationGraph(Transformer.addTo(graph, shape, head).build());
        network.init();
        Nd4j.getRandom().setSeed(6);
        network.params().assign(Nd4j.randn(DataType.FLOAT, network.params().shape()).muli(0.4));
        return network;
    }

    /** Texts of these lengths, padded to the longest and, where there is room, by one more. */
    private static INDArray ids(TransformerShape shape, long... lengths) {
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
