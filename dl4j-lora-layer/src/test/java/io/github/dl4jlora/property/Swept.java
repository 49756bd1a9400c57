package io.github.dl4jlora.property;

import io.github.dl4jlora.Models;
import io.github.dl4jlora.tune.LearningRateSweep;
import io.github.dl4jlora.tune.LearningRates;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.Updater;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

/** A sweep of learning rates: each rate trains as the network would, and the network never hears of it. */
final class Swept {

    private static final int STEPS = 2;

    private Swept() {
    }

    static void check(Trial trial) {
        Model network = trial.trained();
        Model twin = new Trial(trial.spec).trained();
        NotApplicable.unless(bits(twin).equals(bits(network)), "equal networks train differently");
        long root = Nd4j.getRandom().rootState();
        long node = Nd4j.getRandom().nodeState();
        List<Object> before = state(network, trial);
        double rate = trial.spec.adam() ? 0.02 : 0.1;

        LearningRates rates;
        try {
            rates = (network instanceof ComputationGraph graph ? LearningRateSweep.of(graph)
                    : LearningRateSweep.of((MultiLayerNetwork) network)).from(rate).to(2 * rate).points(2).steps(STEPS)
                    .run(new ExistingDataSetIterator(List.of(trial.batch())));
        } catch (IllegalStateException e) {
            NotApplicable.unless(!e.getMessage().contains("before anything is learned"), "its loss is not finite");
            NotApplicable.unless(!e.getMessage().contains("no iteration ran"), "DL4J skips the batch");
            throw e;
        }

        assertThat(List.of(Nd4j.getRandom().rootState(), Nd4j.getRandom().nodeState())).as("ND4J's random generator")
                .isEqualTo(List.of(root, node));
        assertThat(state(network, trial)).as("the network").isEqualTo(before);
        trial.fit(network);
        trial.fit(network);
        Nd4j.getRandom().setStates(root, node);
        trial.fit(twin);
        trial.fit(twin);
        assertThat(bits(network)).as("what training makes of the parameters after a sweep").isEqualTo(bits(twin));
        if (!trial.spec.scheduled() && !rates.points().get(0).diverged()) {
            double expected = twin.score();
            assertThat(Math.abs(rates.points().get(0).loss() - expected) / Math.max(1, Math.abs(expected)))
                    .as("loss at the network's own rate").isLessThan(trial.tolerance());
        }
    }

    private static List<Object> state(Model network, Trial trial) {
        Updater updater = network instanceof ComputationGraph graph ? graph.getUpdater(false)
                : ((MultiLayerNetwork) network).getUpdater(false);
        return List.of(bits(network), updater == null || updater.getStateViewArray() == null ? List.of()
                        : Trial.bits(updater.getStateViewArray()), Models.topology(network),
                network instanceof ComputationGraph graph ? graph.getIterationCount()
                        : ((MultiLayerNetwork) network).getIterationCount(),
                Arrays.stream(Models.values(trial.output(network))).mapToObj(Double::doubleToRawLongBits).toList());
    }

    private static List<Long> bits(Model network) {
        return Trial.bits(network.params());
    }
}
