package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.transformers.Head;
import io.github.dl4jlora.transformers.Tiny;
import io.github.dl4jlora.transformers.Transformer;
import io.github.dl4jlora.transformers.TransformerShape;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.FrozenVertex;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.impl.ActivationIdentity;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;

import java.util.Arrays;
import java.util.List;
import java.util.Random;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Logits of a text that is read in parts are those of the whole text. */
class KeyValueCacheTest {

    private static final int TOKENS = 300;
    private static final Tiny TINY = new Tiny(TransformerShape.gpt2(23, TOKENS, 12, 2, 3), Head.nextWord());
    private static final int[] TEXT = new Random(5).ints(TOKENS, 0, 23).toArray();

    private static ComputationGraph network(DataType type) {
        return TINY.network(type, new Sgd(0.1));
    }

    private static INDArray ids(int... ids) {
        return Nd4j.createFromArray(new int[][]{ids}).castTo(DataType.FLOAT);
    }

    private static int[] part(int from, int to) {
        return Arrays.copyOfRange(TEXT, from, to);
    }

    /** After the last of some first tokens, computed from all of them. */
    private static INDArray whole(ComputationGraph network, int tokens) {
        return network.outputSingle(ids(part(0, tokens))).getRow(tokens - 1, true);
    }

    private static void assertSame(INDArray actual, INDArray expected) {
        assertThat(actual.shape()).containsExactly(1, 23);
        double scale = expected.amaxNumber().doubleValue();
        assertThat(actual.sub(expected).amaxNumber().doubleValue()).isLessThan(1e-5 * scale);
    }

    @ParameterizedTest
    @EnumSource(value = DataType.class, names = {"FLOAT", "DOUBLE"})
    void logitsAreThoseOfTheWholeText(DataType type) {
        ComputationGraph network = network(type);
        try (KeyValueCache cache = new KeyValueCache()) {
            int read = 0;
            for (int more : new int[]{1, 1, 3, 1, 40, 1, 1, 252}) {
                INDArray logits = cache.append(network, part(read, read + more));
                read += more;
                assertThat(logits.dataType()).isEqualTo(type);
                assertSame(logits, whole(network, read));
                assertThat(cache.size()).isEqualTo(read);
            }
            assertThat(read).isEqualTo(TOKENS);
        }
    }

    /** Counts the rows that a layer computes. */
    public static final class Counting extends ActivationIdentity {

        private static final long serialVersionUID = 1L;

        static long rows;

        @Override
        public INDArray getActivation(INDArray in, boolean training) {
            rows += in.size(0);
            return super.getActivation(in, training);
        }
    }

    /** Whatever was read before. */
    @Test
    void aTokenCostsOneRowOfEachLayer() {
        GraphBuilder graph = Transformer.addTo(new NeuralNetConfiguration.Builder().seed(1).graphBuilder(), TINY.shape(),
                Head.nextWord());
        LayerVertex counted = (LayerVertex) graph.getVertices().get("transformer.h.1.mlp.c_fc");
        ((DenseLayer) counted.getLayerConf().getLayer()).setActivationFn(new Counting());
        ComputationGraph network = Tiny.initialised(graph.build());
        try (KeyValueCache cache = new KeyValueCache()) {
            Counting.rows = 0;
            cache.append(network, part(0, 280));
            assertThat(Counting.rows).isEqualTo(280);
            for (int i = 280; i < TOKENS; i++) {
                Counting.rows = 0;
                cache.append(network, TEXT[i]);
                assertThat(Counting.rows).isEqualTo(1);
            }
        }
    }

    /** 2 layers, keys and values, 12 values of 4 bytes. */
    @Test
    void memoryDoublesUpToThePositions() {
        ComputationGraph network = network(DataType.FLOAT);
        long token = 2 * 2 * 12 * 4;
        try (KeyValueCache cache = new KeyValueCache()) {
            assertThat(cache.bytes()).isZero();
            cache.append(network, part(0, 100));
            assertThat(cache.bytes()).isEqualTo(100 * token);
            cache.append(network, 1);
            assertThat(cache.bytes()).isEqualTo(200 * token);
            cache.append(network, part(0, 100));
            assertThat(cache.bytes()).isEqualTo(TOKENS * token);
            cache.close();
            assertThat(cache.bytes()).isZero();
            assertSame(cache.append(network, part(0, 2)), whole(network, 2));
        }
    }

    @Test
    void otherPassesAndCachesDisturbNothingAndAreNotDisturbed() {
        ComputationGraph network = network(DataType.FLOAT);
        INDArray before = network.outputSingle(ids(3, 4, 5));
        try (KeyValueCache cache = new KeyValueCache(); KeyValueCache other = new KeyValueCache()) {
            cache.append(network, part(0, 20));
            assertThat(network.outputSingle(ids(3, 4, 5))).isEqualTo(before);
            other.append(network, 9, 8, 7);
            assertSame(cache.append(network, TEXT[20]), whole(network, 21));
            assertSame(other.append(network, 6), network.outputSingle(ids(9, 8, 7, 6)).getRow(3, true));
            assertThat(network.outputSingle(ids(3, 4, 5))).isEqualTo(before);
        }
    }

    @Test
    void afterTrainingAndInAnotherNetworkAllIsReadAgain() {
        ComputationGraph base = network(DataType.FLOAT);
        ComputationGraph tuned = LoRA.apply(base.clone(),
                LoRAConfig.builder().rank(2).targets(".*c_attn").updater(new Sgd(1)).build());
        try (KeyValueCache cache = new KeyValueCache()) {
            for (ComputationGraph network : new ComputationGraph[]{base, tuned}) {
                cache.close();
                cache.append(network, part(0, 20));
                INDArray untrained = whole(network, 21);
                network.fit(new DataSet(ids(TEXT), ids(TEXT)));
                network.fit(new DataSet(ids(TEXT), ids(TEXT)));
                INDArray expected = whole(network, 21);
                assertThat(expected.sub(untrained).amaxNumber().doubleValue()).isGreaterThan(1e-3);
                assertSame(cache.append(network, TEXT[20]), expected);
            }
            assertSame(cache.append(base, TEXT[21]), whole(base, 22));
        }
    }

    @Test
    void anotherNetworkMayHaveOtherHeadsSizesAndTypes() {
        ComputationGraph first = new Tiny(TransformerShape.gpt2(23, 8, 12, 2, 3), Head.nextWord())
                .network(DataType.FLOAT, new Sgd(0.1));
        ComputationGraph wider = new Tiny(TransformerShape.gpt2(23, 64, 24, 2, 2), Head.nextWord())
                .network(DataType.FLOAT, new Sgd(0.1));
        try (KeyValueCache cache = new KeyValueCache()) {
            cache.append(first, part(0, 4));
            assertSame(cache.append(wider, TEXT[4]), whole(wider, 5));
            assertSame(cache.append(wider, part(5, 30)), whole(wider, 30));
            ComputationGraph exact = network(DataType.DOUBLE);
            assertSame(cache.append(exact, TEXT[30]), whole(exact, 31));
        }
    }

    @Test
    void blocksThatTrainingComputesAgainKeepKeysAndValuesToo() {
        ComputationGraph tuned = LoRA.apply(network(DataType.FLOAT),
                LoRAConfig.builder().rank(2).targets(".*c_attn").recompute(Transformer.BLOCKS).build());
        try (KeyValueCache cache = new KeyValueCache()) {
            cache.append(tuned, part(0, 4));
            assertSame(cache.append(tuned, TEXT[4]), whole(tuned, 5));
            assertSame(cache.append(tuned, part(5, 8)), whole(tuned, 8));
        }
    }

    /** Below what trains, a frozen vertex ends backpropagation: it is one of DL4J's own then. */
    @ParameterizedTest
    @ValueSource(strings = {".*mlp\\.c_fc", ".*h\\.1\\..*c_attn", ".*h\\.1\\.attn\\.c_proj"})
    void frozenAttentionKeepsKeysAndValuesToo(String targets) {
        ComputationGraph tuned = LoRA.apply(network(DataType.FLOAT), LoRAConfig.builder().rank(2).targets(targets).build());
        tuned.params().addi(0.3);
        ComputationGraph frozen = LoRA.freeze(network(DataType.FLOAT));
        for (ComputationGraph network : List.of(tuned, frozen)) {
            try (KeyValueCache cache = new KeyValueCache()) {
                cache.append(network, part(0, 4));
                assertSame(cache.append(network, TEXT[4]), whole(network, 5));
                assertSame(cache.append(network, part(5, 8)), whole(network, 8));
            }
        }
    }

    @Test
    void attentionInDl4jsFrozenVertexKeepsKeysAndValuesToo() {
        GraphBuilder graph = Transformer.addTo(new NeuralNetConfiguration.Builder().seed(1).graphBuilder(), TINY.shape(),
                Head.nextWord());
        graph.getVertices().computeIfPresent("transformer.h.0.attn", (name, vertex) -> new FrozenVertex(vertex));
        ComputationGraph network = Tiny.initialised(graph.build());
        try (KeyValueCache cache = new KeyValueCache()) {
            cache.append(network, part(0, 4));
            assertSame(cache.append(network, TEXT[4]), whole(network, 5));
        }
    }

    @Test
    void scaledAdaptersAreNoticed() {
        ComputationGraph tuned = LoRA.apply(network(DataType.FLOAT), LoRAConfig.builder().rank(2).targets(".*c_attn").build());
        tuned.params().addi(0.3);
        try (KeyValueCache cache = new KeyValueCache()) {
            cache.append(tuned, part(0, 20));
            LoRA.setScale(tuned, ".*c_attn", 0.5);
            assertSame(cache.append(tuned, TEXT[20]), whole(tuned, 21));
            tuned.params().addi(0.1);
            assertSame(cache.append(tuned, TEXT[21]), whole(tuned, 22));
        }
    }

    @Test
    void whatWasRefusedWasNotRead() {
        ComputationGraph network = network(DataType.FLOAT);
        try (KeyValueCache cache = new KeyValueCache()) {
            cache.append(network, part(0, 20));
            assertThatThrownBy(() -> cache.append(network, 23)).hasMessageContaining("token 20 of the text");
            assertThatThrownBy(() -> cache.append(network)).hasMessageContaining("no token");
            assertThatThrownBy(() -> cache.append(network, new int[281]))
                    .hasMessageContainingAll("301 tokens", "300 positions");
            assertThat(cache.size()).isEqualTo(20);
            assertSame(cache.append(network, TEXT[20]), whole(network, 21));
        }
    }

    @Test
    void masksThatWereLeftBehindDoNotMatter() {
        ComputationGraph network = network(DataType.FLOAT);
        INDArray expected = whole(network, 3);
        network.setLayerMaskArrays(new INDArray[]{Nd4j.ones(2, 9)}, null);
        try (KeyValueCache cache = new KeyValueCache()) {
            assertSame(cache.append(network, part(0, 3)), expected);
        }
    }
}
