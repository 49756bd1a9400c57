package io.github.dl4jlora.tune;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;
import java.util.Map;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;

/** Adapters whose ΔW have singular values that are known, since A and B hold them on their diagonals. */
class RankUseTest {

    private static final int WIDTH = 6;

    @Test
    void theRankThatWouldDoHoldsNinetyNinePercentOfTheSquares() {
        assertThat(use(10, 0.9, 0.1, 0.1)).isEqualTo(new RankUse(4, 4, 1, true))
                .hasToString("1 of 4 directions holds 99 % of the change: rank 1 would do.");
        assertThat(use(10, 10, 10, 0.1)).hasToString("3 of 4 directions hold 99 % of the change: rank 3 would do.");
        assertThat(use(10, 10, 10, 10)).hasToString("All 4 directions are needed for 99 % of the change: rank 4 is used up.");
    }

    @Test
    void equalFiguresGetEqualWordsHoweverTheSpectraDiffer() {
        String steep = use(10, 3, 2, 0.5).toString();
        String even = use(7, 7, 6, 0.5).toString();

        assertThat(steep).isEqualTo(even).isEqualTo("3 of 4 directions hold 99 % of the change: rank 3 would do.");
    }

    @Test
    void neighboursOnBothSidesOfTheLimitAreNotToldOpposites() {
        String below = use(10, 1.0).toString();
        String above = use(10, 1.01).toString();

        assertThat(below).isEqualTo("1 of 2 directions holds 99 % of the change: rank 1 would do.");
        assertThat(above).isEqualTo("All 2 directions are needed for 99 % of the change: rank 2 is used up.");
        assertThat(below + above).doesNotContain("waste", "larger");
    }

    @Test
    void aRankAboveTheLayersWidthIsNamed() {
        assertThat(use(1, 1, 1, 1, 1, 1, 1, 1)).isEqualTo(new RankUse(8, WIDTH, WIDTH, true))
                .hasToString("The layer is narrower than rank 8. All 6 directions are needed for 99 % of the change: "
                        + "rank 6 would do.");
    }

    @Test
    void rankOneAndNoTrainingHaveTheirOwnWords() {
        assertThat(use(1)).hasToString("It has one direction, and there is no smaller rank.");
        assertThat(use(0, 0)).hasToString("The change is zero: this layer was not trained.");
    }

    @Test
    void aStartTakenFromTheWeightsIsMeasuredByTwiceItsRank() {
        MultiLayerNetwork adapted = LoRA.apply(network(), LoRAConfig.builder().rank(2).loraInit(LoRAInit.PISSA).build());
        adapted.params().addi(Nd4j.randn(adapted.params().shape(), Nd4j.getRandomFactory().getNewRandomInstance(1)));

        RankUse use = RankUse.of(LoRAAdapter.of(adapted)).get("fc");

        assertThat(use.directions()).isEqualTo(4);
        assertThat(use.toString()).startsWith("Its start was taken from W, so its change has up to 4 directions, not 2. As plain "
                + "LoRA: ").contains(" 4 directions ");
    }

    @ParameterizedTest
    @EnumSource(names = {"PISSA", "OLORA", "ORTHOGONAL", "KAIMING_UNIFORM"})
    void anAdapterThatNeverTrainedSaysSoWhateverItsStart(LoRAInit start) {
        MultiLayerNetwork adapted = LoRA.apply(network(), LoRAConfig.builder().rank(2).loraInit(start).build());

        assertThat(RankUse.of(LoRAAdapter.of(adapted)).get("fc")).hasToString("The change is zero: this layer was not trained.");
    }

    /** Of one layer with these singular values. */
    private static RankUse use(double... spectrum) {
        MultiLayerNetwork adapted = LoRA.apply(network(), LoRAConfig.builder().rank(spectrum.length).build());
        INDArray a = adapted.getParam("0_A").assign(0);
        INDArray b = adapted.getParam("0_B").assign(0);
        IntStream.range(0, Math.min(WIDTH, spectrum.length)).forEach(i -> {
            a.putScalar(i, i, 1);
            b.putScalar(i, i, spectrum[i]);
        });
        LoRAAdapter adapter = LoRAAdapter.of(adapted);
        assertThat(adapter.spectrum("fc")).hasSize(Math.min(WIDTH, spectrum.length));
        Map<String, RankUse> uses = RankUse.of(adapter);
        assertThat(uses.keySet()).containsExactly("fc");
        assertThat(uses.get("fc").needed()).isLessThanOrEqualTo(Arrays.stream(spectrum).mapToInt(value -> 1).sum());
        return uses.get("fc");
    }

    private static MultiLayerNetwork network() {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new DenseLayer.Builder().name("fc").nIn(WIDTH).nOut(WIDTH).build()).build());
    }
}
