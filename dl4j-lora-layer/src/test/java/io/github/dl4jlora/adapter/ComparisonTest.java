package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.internal.content.Delta;
import org.apache.commons.math3.linear.RealMatrix;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

class ComparisonTest {

    @Test
    void cosineIsThatOfTheFormedProducts() {
        LoRAAdapter thin = Adapters.of(2, -1.5, Scaling.ALPHA, 1);
        LoRAAdapter wide = Adapters.of(5, 3, Scaling.ALPHA_OVER_RANK, 40);

        double expected = inner(thin, wide, "fc1") / Math.sqrt(inner(thin, thin, "fc1") * inner(wide, wide, "fc1"));

        assertThat(thin.cosine("fc1", wide)).isCloseTo(expected, within(1e-13));
        assertThat(wide.cosine("fc1", thin)).isCloseTo(expected, within(1e-13));
    }

    @Test
    void cosineOfAllLayersIsThatOfOneLongVector() {
        LoRAAdapter one = Adapters.of(3, 1, Scaling.ALPHA, 1);
        LoRAAdapter two = Adapters.of(2, 1, Scaling.ALPHA, 40);

        double expected = both(one, two) / Math.sqrt(both(one, one) * both(two, two));

        assertThat(one.cosine(two)).isCloseTo(expected, within(1e-13));
    }

    @Test
    void anAdapterPointsItsOwnWayAndAgainstItsNegative() {
        LoRAAdapter adapter = Adapters.of(3, 2, Scaling.ALPHA, 1);
        LoRAAdapter against = LoRAAdapter.combine(Combination.Method.CAT).add(adapter, -0.5).build();

        assertThat(adapter.cosine(adapter)).isCloseTo(1, within(1e-15));
        assertThat(adapter.cosine(against)).isCloseTo(-1, within(1e-12));
        assertThat(adapter.cosine("fc2", against)).isCloseTo(-1, within(1e-12));
    }

    @Test
    void adaptersOfDifferentLayersHaveNothingInCommon() {
        LoRAAdapter one = Adapters.adapter(Map.of("fc1", Adapters.delta(6, 2, 1, Scaling.ALPHA, 1)), Map.of(), 0);
        LoRAAdapter two = Adapters.adapter(Map.of("fc2", Adapters.delta(5, 2, 1, Scaling.ALPHA, 1)), Map.of(), 0);

        assertThat(one.cosine(two)).isZero();
        assertThatThrownBy(() -> one.cosine("fc1", two)).isInstanceOf(NoSuchElementException.class)
                .hasMessageContaining("\"fc1\"").hasMessageContaining("[fc2]");
    }

    @Test
    void anUntrainedAdapterHasNoDirection() {
        LoRAAdapter fresh = LoRAAdapter.of(LoRA.apply(Networks.trainedGraph(), LoRAConfig.builder().rank(2).build()));

        assertThat(fresh.cosine(fresh)).isZero();
        assertThat(fresh.effectiveRank("fc1")).isZero();
        assertThat(fresh.relativeNorm("fc1", Networks.trainedGraph())).isZero();
    }

    @Test
    void layersOfAnotherShapeAreNotCompared() {
        LoRAAdapter one = Adapters.of(2, 1, Scaling.ALPHA, 1);
        LoRAAdapter other = Adapters.adapter(Map.of("fc1", Adapters.delta(9, 2, 1, Scaling.ALPHA, 1)), Map.of(), 0);

        assertThatIllegalArgumentException().isThrownBy(() -> one.cosine(other))
                .withMessageContaining("\"fc1\"").withMessageContaining("[6, 5]").withMessageContaining("[9, 5]");
    }

    @Test
    void aDivergedAdapterIsNotCompared() {
        LoRAAdapter adapter = Adapters.of(2, 1, Scaling.ALPHA, 1);
        adapter.content().deltas().get("fc2").b().putScalar(0, Double.POSITIVE_INFINITY);

        assertThatThrownBy(() -> adapter.cosine(adapter)).isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("\"fc2\"").hasMessageContaining("diverged");
    }

    @Test
    void effectiveRankCountsEqualDirectionsOnceEachAndVanishingOnesNot() {
        assertThat(diagonal(2, 2, 2).effectiveRank("fc")).isCloseTo(3, within(1e-12));
        assertThat(diagonal(2, 0, 0).effectiveRank("fc")).isCloseTo(1, within(1e-12));
        assertThat(diagonal(3, 1).effectiveRank("fc"))
                .isCloseTo(Math.exp(-0.75 * Math.log(0.75) - 0.25 * Math.log(0.25)), within(1e-12));
    }

    @Test
    void relativeNormComparesWithTheBasesWeights() {
        ComputationGraph base = Networks.trainedGraph(DataType.DOUBLE);
        LoRAAdapter adapter = Adapters.on(base, LoRAConfig.builder().rank(3), 1);

        assertThat(adapter.relativeNorm("fc1", base)).isCloseTo(adapter.norm("fc1")
                / Adapters.matrix(base.getParam("fc1_W")).getFrobeniusNorm(), within(1e-12));
    }

    @Test
    void relativeNormRefusesAnotherBaseNamingBothIds() {
        ComputationGraph base = Networks.trainedGraph(DataType.DOUBLE);
        LoRAAdapter adapter = Adapters.on(base, LoRAConfig.builder().rank(3), 1);
        ComputationGraph other = base.clone();
        other.fit(Networks.data(DataType.DOUBLE, 8, 9));
        String id = Adapters.on(other, LoRAConfig.builder().rank(3), 1).baseId("fc2").orElseThrow();

        assertThatIllegalArgumentException().isThrownBy(() -> adapter.relativeNorm("fc2", other))
                .withMessageContaining("\"fc2\"").withMessageContaining(adapter.baseId("fc2").orElseThrow())
                .withMessageContaining("the network has " + id);
    }

    @Test
    void relativeNormRefusesWeightsOfAnotherShape() {
        LoRAAdapter adapter = Adapters.adapter(Map.of("fc1", Adapters.delta(9, 2, 1, Scaling.ALPHA, 1)), Map.of(), 0);

        assertThatIllegalArgumentException().isThrownBy(() -> adapter.relativeNorm("fc1", Networks.trainedGraph()))
                .withMessageContaining("\"fc1\"").withMessageContaining("[9, 5]").withMessageContaining("[6, 5]");
    }

    @Test
    void relativeNormFindsALayersByItsNameInAMultiLayerNetworkToo() {
        MultiLayerNetwork base = Networks.trainedLayers();
        LoRAAdapter adapter = LoRAAdapter.of(LoRA.apply(base, LoRAConfig.builder().rank(2).build()));
        String layer = adapter.layers().get(1);
        adapter.content().deltas().get(layer).b().assign(1);

        assertThat(adapter.relativeNorm(layer, base)).isCloseTo(adapter.norm(layer)
                / Adapters.matrix(base.getParam("1_W")).getFrobeniusNorm(), within(1e-5));
    }

    @Test
    void eachMatrixOfALayerIsComparedWithItsOwnWeights() {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().dataType(DataType.DOUBLE).seed(1).list()
                .layer(new LSTM.Builder().name("lstm").nIn(3).nOut(4).build())
                .layer(new RnnOutputLayer.Builder(LossFunction.MSE).name("out").nIn(4).nOut(2).build()).build());
        MultiLayerNetwork adapted = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("lstm").build());
        Networks.randomizeAdapters(adapted.paramTable(), 1);
        LoRAAdapter adapter = LoRAAdapter.of(adapted);

        assertThat(adapter.layers()).containsExactly("lstm.W", "lstm.RW");
        for (String key : List.of("W", "RW")) {
            assertThat(adapter.relativeNorm("lstm." + key, base)).isCloseTo(adapter.norm("lstm." + key)
                    / Adapters.matrix(base.getParam("0_" + key)).getFrobeniusNorm(), within(1e-12));
        }
    }

    @Test
    void aNetworkWithoutTheLayerIsRefusedNamingWhatItHas() {
        LoRAAdapter stranger = Adapters.adapter(Map.of("fc9", Adapters.delta(6, 2, 1, Scaling.ALPHA, 1)), Map.of(), 0);

        assertThatThrownBy(() -> stranger.relativeNorm("fc9", Networks.trainedGraph()))
                .isInstanceOf(NoSuchElementException.class).hasMessageContaining("\"fc9\"")
                .hasMessageContaining("[fc1, fc2, out]");
    }

    @Test
    void anAdapterTellsItsRanksItsBaseAndWhatWasTrainedInFull() {
        LoRAAdapter adapter = Adapters.on(Networks.trainedGraph(), LoRAConfig.builder().rank(3).trainable("out"), 1);

        assertThat(adapter.rank("fc1")).isEqualTo(3);
        assertThat(adapter.baseId("fc1")).isPresent();
        assertThat(adapter.trainedLayers()).containsExactly("out");
        assertThat(Adapters.of(2, 1, Scaling.ALPHA, 1).baseId("fc1")).isEmpty();
    }

    /** An adapter whose ΔW has the given singular values. */
    private static LoRAAdapter diagonal(double... values) {
        INDArray identity = Nd4j.eye(values.length).castTo(DataType.DOUBLE);
        return Adapters.adapter(Map.of("fc", new Delta(identity, Nd4j.diag(Nd4j.createFromArray(values)), 1,
                Scaling.ALPHA, null)), Map.of(), 0);
    }

    private static double both(LoRAAdapter left, LoRAAdapter right) {
        return inner(left, right, "fc1") + inner(left, right, "fc2");
    }

    private static double inner(LoRAAdapter left, LoRAAdapter right, String layer) {
        RealMatrix product = Adapters.product(left, layer).transpose().multiply(Adapters.product(right, layer));
        return product.getTrace();
    }
}
