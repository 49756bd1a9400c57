package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.LogCapture;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.Accumulated;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.AdaGrad;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.config.RmsProp;
import org.nd4j.linalg.learning.config.Sgd;

import java.util.List;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

class ApplyOptionsTest {

    private static final LoRAConfig CONFIG = LoRAConfig.builder().rank(2).build();

    @Test
    void updaterStateIsKeptUnlessResetIsAskedFor() {
        ComputationGraph tuned = LoRA.apply(Networks.trainedGraph(), CONFIG);
        LoRAAdapter adapter = LoRAAdapter.of(tuned);
        tuned.fit(Networks.data(DataType.FLOAT, 8, 1));
        INDArray state = tuned.getUpdater().getStateViewArray().dup();

        adapter.applyTo(tuned);
        assertThat(tuned.getUpdater().getStateViewArray()).isEqualTo(state);
        assertThat(state.amaxNumber().doubleValue()).isPositive();

        adapter.applyTo(tuned, LoRAAdapter.ApplyOption.RESET_UPDATER);
        assertThat(tuned.getUpdater().getStateViewArray().amaxNumber().doubleValue()).isZero();
    }

    @Test
    void updaterStateOfAChainIsResetToo() {
        MultiLayerNetwork tuned = LoRA.apply(Networks.trainedLayers(DataType.FLOAT, new Adam(0.01)), CONFIG);
        tuned.fit(Networks.data(DataType.FLOAT, 8, 1));

        LoRAAdapter.of(tuned).applyTo(tuned, LoRAAdapter.ApplyOption.RESET_UPDATER);

        assertThat(tuned.getUpdater().getStateViewArray().amaxNumber().doubleValue()).isZero();
    }

    private static Stream<IUpdater> thatKeepSomething() {
        return Stream.of(new AdaGrad(0.1), new RmsProp(0.1), new Adam(0.1), new Accumulated(new RmsProp(0.1), 2));
    }

    @ParameterizedTest
    @MethodSource("thatKeepSomething")
    void aNetworkThatWasResetTrainsAsANewOne(IUpdater updater) {
        ComputationGraph base = Networks.trainedGraph();
        LoRAConfig config = CONFIG.toBuilder().updater(updater).build();
        ComputationGraph fresh = LoRA.apply(base, config);
        ComputationGraph tuned = LoRA.apply(base, config);
        for (int step = 0; step < 3; step++) {
            tuned.fit(Networks.data(DataType.FLOAT, 8, 1));
        }

        LoRAAdapter.of(fresh).applyTo(tuned, LoRAAdapter.ApplyOption.RESET_UPDATER);

        assertThat(tuned.getUpdater().getStateViewArray()).isEqualTo(fresh.getUpdater().getStateViewArray());
        for (int step = 0; step < 3; step++) {
            fresh.fit(Networks.data(DataType.FLOAT, 8, 2));
            tuned.fit(Networks.data(DataType.FLOAT, 8, 2));
        }
        assertThat(tuned.params()).isEqualTo(fresh.params());
    }

    @Test
    void resetIsNoErrorWhereThereIsNoState() {
        ComputationGraph untouched = LoRA.apply(Networks.trainedGraph(), CONFIG);
        ComputationGraph stateless = LoRA.apply(Networks.trainedGraph(DataType.FLOAT, new Sgd(0.1)), CONFIG);
        stateless.fit(Networks.data(DataType.FLOAT, 8, 1));

        LoRAAdapter.of(untouched).applyTo(untouched, LoRAAdapter.ApplyOption.RESET_UPDATER);
        LoRAAdapter.of(stateless).applyTo(stateless, LoRAAdapter.ApplyOption.RESET_UPDATER);

        assertThat(untouched.getUpdater(false)).isNull();
    }

    @Test
    void swappingBackAndForthWritesIntoTheArraysThatAreThere() {
        ComputationGraph base = Networks.trainedGraph();
        List<LoRAAdapter> tasks = List.of(Adapters.on(base, LoRAConfig.builder().rank(2), 1),
                Adapters.on(base, LoRAConfig.builder().rank(2), 9));
        ComputationGraph tuned = LoRA.apply(base, CONFIG);
        INDArray input = Networks.random(DataType.FLOAT, 2, 3, Networks.IN);
        long address = tuned.params().data().address();
        for (int swap = 0; swap < 4; swap++) {
            tasks.get(swap % 2).applyTo(tuned, LoRAAdapter.ApplyOption.RESET_UPDATER);
            tuned.outputSingle(input);
        }

        assertThat(tuned.params().data().address()).isEqualTo(address);
        assertThat(tuned.outputSingle(input)).isEqualTo(LoRA.apply(base, tasks.get(1)).outputSingle(input));
    }

    @Test
    void forceAcceptsAnotherBaseAndSaysSoNamingTheLayers() {
        ComputationGraph base = Networks.trainedGraph();
        ComputationGraph other = base.clone();
        other.getParam("fc2_W").addi(0.1);
        LoRAAdapter adapter = Adapters.on(base, LoRAConfig.builder().rank(2), 3);
        ComputationGraph onOther = LoRA.apply(other, CONFIG);

        assertThatIllegalArgumentException().isThrownBy(() -> adapter.applyTo(onOther))
                .withMessageContaining("\"fc2\"").withMessageContaining("FORCE");
        try (LogCapture log = new LogCapture(LoRAAdapter.class)) {
            adapter.applyTo(onOther, LoRAAdapter.ApplyOption.FORCE);
            assertThat(log.messages()).singleElement().asString().contains("[fc2]").contains("Forced");
        }

        assertThat(LoRAAdapter.of(onOther).deltaWeight("fc2")).isEqualTo(adapter.deltaWeight("fc2"));
    }

    @Test
    void forceStillRefusesAnotherShape() {
        ComputationGraph base = Networks.trainedGraph();
        LoRAAdapter wider = Adapters.on(base, LoRAConfig.builder().rank(3), 3);
        ComputationGraph tuned = LoRA.apply(base, CONFIG);

        assertThatIllegalArgumentException().isThrownBy(() -> wider.applyTo(tuned, LoRAAdapter.ApplyOption.FORCE))
                .withMessageContaining("\"fc1\"").withMessageContaining("shape");
    }
}
