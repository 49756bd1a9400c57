package io.github.dl4jlora.regression;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.layer.LoRADenseLayer;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.util.Arrays;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** What somebody met who used the library by its guide. */
class StrangersFindingsTest {

    @ParameterizedTest
    @EnumSource(value = Models.Kind.class, names = ".*SHARED", mode = EnumSource.Mode.MATCH_ALL)
    void moveOfAFrozenOutputLayerIsNoticedByTheNextTraining(Models.Kind kind) {
        Model base = kind.base();
        Model tuned = kind.adapt(base);
        Models.fit(tuned, 1);

        base.paramTable().get(kind.graph ? "out_W" : "2_W").muli(2);

        assertThatThrownBy(() -> Models.fit(tuned, 2)).isInstanceOf(IllegalStateException.class)
                .hasMessageContainingAll("\"out\"", "have changed", "LoRA.attach");
    }

    @ParameterizedTest
    @EnumSource(Models.Kind.class)
    void settingsThatWereChangedAfterTheNetworkWasMadeAreRefusedByTheNextPass(Models.Kind kind) {
        Model tuned = kind.adapt(kind.base());
        double[] before = Models.outputs(tuned);
        LoRADenseLayer conf = (LoRADenseLayer) (tuned instanceof ComputationGraph graph ? graph.getLayer("fc1").conf().getLayer()
                : Arrays.stream(((MultiLayerNetwork) tuned).getLayers()).findFirst().orElseThrow()
                .conf().getLayer());
        double alpha = conf.getAlpha();

        conf.setAlpha(400);

        assertThatThrownBy(() -> Models.outputs(tuned)).isInstanceOf(IllegalStateException.class)
                .hasMessageContainingAll("\"fc1\"", "alpha=400.0", "alpha=" + alpha, "applyTo");
        conf.setAlpha(alpha);
        assertThat(Models.outputs(tuned)).containsExactly(before);
    }

    @Test
    void aStockNetworkCannotBeDisabledForItIsNotAdapted() {
        assertThatThrownBy(() -> LoRA.disabled(Models.Kind.GRAPH_SHARED.base())).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("no adapted layer");
    }

    @Test
    void somethingMissingIsNamed() {
        assertThatThrownBy(() -> LoRAConfig.builder().engine(null)).hasMessage("engine is null");
        assertThatThrownBy(() -> LoRAConfig.builder().variant(null)).hasMessage("variant is null");
        assertThatThrownBy(() -> LoRA.load(null)).hasMessageContaining("path");
    }
}
