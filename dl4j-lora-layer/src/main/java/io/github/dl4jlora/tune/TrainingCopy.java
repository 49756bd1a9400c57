package io.github.dl4jlora.tune;

import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.adapted.ScaledLearningRate;
import io.github.dl4jlora.internal.build.Accumulation;
import io.github.dl4jlora.internal.build.Recomputation;
import io.github.dl4jlora.internal.build.Wiring;
import io.github.dl4jlora.internal.inspect.DisabledScopes;
import io.github.dl4jlora.internal.inspect.Scales;
import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Networks;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.api.Updater;
import org.deeplearning4j.nn.updater.BaseMultiLayerUpdater;
import org.deeplearning4j.nn.updater.UpdaterBlock;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.config.Nesterovs;
import org.nd4j.linalg.learning.regularization.Regularization;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

/**
 * A network to try a training on: parameters, updater state and counts are those of the original, in arrays of its own; frozen
 * weights are shared. The original is not touched, whatever is done here or fails here.
 *
 * <p>Not DL4J's {@code clone}: that shares the list of listeners and the updaters' configurations with the original.
 */
final class TrainingCopy implements AutoCloseable {

    private final Network<?> copy;
    private final Losses losses = new Losses();
    /** What undoes the changes of a step that do not come from learning, where nothing is to be learned. */
    private final List<Runnable> undone = new ArrayList<>();

    /** DL4J reports the loss of each iteration; truncated backpropagation makes several iterations of a batch. */
    private static final class Losses extends BaseTrainingListener {

        private double sum;
        private int count;

        @Override
        public void iterationDone(Model model, int iteration, int epoch) {
            sum += model.score();
            count++;
        }

        double take() {
            if (count == 0) {
                throw new IllegalStateException("DL4J skipped the batches: no iteration ran. With truncated backpropagation it "
                        + "skips a batch whose labels have another number of steps than its inputs, and only logs that. Nor "
                        + "does it train a ComputationGraph in which vertices alone have parameters");
            }
            double mean = sum / count;
            sum = 0;
            count = 0;
            return mean;
        }
    }

    private TrainingCopy(Network<?> copy) {
        this.copy = copy;
        copy.model().addListeners(losses);
    }

    /**
     * @param what is being done, for messages
     * @throws IllegalArgumentException if the network is not initialised, or nothing in it learns at a learning rate
     * @throws IllegalStateException    while its adapters are disabled or scaled, which a copy would not be
     */
    static TrainingCopy of(Model original, String what) {
        DisabledScopes.requireNone(original, what);
        Scales.requireNone(original, what);
        Network<?> from = Networks.of(original);
        Network<?> to = from.rebuild(Map.of(), Map.of());
        Wiring.connect(to);
        Recomputation.copy(from, to);
        to.model().params().assign(from.model().params());
        TrainingCopy copy = new TrainingCopy(to);
        copy.requireRate(what);
        Updater updater = from.updaterSoFar();
        if (updater != null && updater.getStateViewArray() != null) {
            to.updater().setStateViewArray(to.runtime(to.nodes().get(0).name()), updater.getStateViewArray(), false);
        }
        return copy;
    }

    private void requireRate(String what) {
        if (blocks().stream().noneMatch(block -> block.getGradientUpdater().getConfig().hasLearningRate())) {
            Set<String> updaters = new LinkedHashSet<>();
            blocks().forEach(block -> block.getLayersAndVariablesInBlock().forEach(state -> updaters.add(
                    state.getLayer().getConfig().getLayerName() + " ("
                            + block.getGradientUpdater().getConfig().getClass().getSimpleName() + ")")));
            close();
            throw new IllegalArgumentException(what + " needs a network that trains with a learning rate, but "
                    + (updaters.isEmpty() ? "nothing in this one trains" : "this one has " + String.join(", ", updaters))
                    + ". Give it an updater with a learning rate, such as Adam, and do not freeze all of it: LoRA.apply(base, "
                    + "LoRAConfig.builder().updater(new Adam(1e-3)).build())");
        }
    }

    private List<UpdaterBlock> blocks() {
        return copy.model().params().length() > 0 && copy.updater() instanceof BaseMultiLayerUpdater<?> blocks
                ? blocks.getUpdaterBlocks() : List.of();
    }

    /**
     * Makes everything with a learning rate learn at this one, whatever rate or schedule it had; with LoRA+, B learns at its
     * multiple.
     *
     * @param rate 0 or more
     */
    void learnAt(double rate) {
        undone.clear();
        for (UpdaterBlock block : blocks()) {
            if (rate == 0) {
                block.getLayersAndVariablesInBlock().stream().filter(TrainingCopy::decays).forEach(this::undo);
            }
            IUpdater updater = block.getGradientUpdater().getConfig().clone();
            if (updater.hasLearningRate()) {
                UpdaterBlock.ParamState any = block.getLayersAndVariablesInBlock().get(0);
                if (rate == 0 && ScaledLearningRate.ofOneStep(updater) instanceof Nesterovs) {
                    // Its velocity would move parameters even at rate 0.
                    block.getUpdaterView().assign(0);
                }
                updater.setLrAndSchedule(rate * ratio(any.getLayer(), any.getParamName()), null);
                block.setGradientUpdater(updater.instantiate(block.getUpdaterView(), false));
            }
        }
    }

    private static boolean decays(UpdaterBlock.ParamState parameter) {
        List<Regularization> all = parameter.getLayer().getConfig().getRegularizationByParam(parameter.getParamName());
        return all != null && all.stream().anyMatch(Accumulation::ignoresRate);
    }

    private void undo(UpdaterBlock.ParamState parameter) {
        INDArray before = parameter.getParamView().dup();
        undone.add(() -> parameter.getParamView().assign(before));
    }

    private static double ratio(Trainable layer, String parameter) {
        return layer.getConfig() instanceof AdaptedConfiguration adapted ? adapted.rateRatio(parameter) : 1;
    }

    /**
     * One step of training.
     *
     * @return the loss before the step; the mean if there are several segments
     */
    double fit(MultiDataSet batch) {
        copy.fit(batch);
        undone.forEach(Runnable::run);
        return losses.take();
    }

    /** {@return the mean loss of a batch's examples, without training} */
    double score(MultiDataSet batch) {
        return copy.score(batch);
    }

    /** Gives the memory back. DL4J's {@code close} would also destroy the caller's workspaces. */
    @Override
    public void close() {
        Updater updater = copy.updaterSoFar();
        INDArray state = updater == null ? null : updater.getStateViewArray();
        Stream.of(copy.model().params(), copy.model().getGradientsViewArray(), state)
                .filter(array -> array != null && array.closeable()).forEach(INDArray::close);
    }
}
