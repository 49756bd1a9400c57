package io.github.dl4jlora.evidence;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.transferlearning.FineTuneConfiguration;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.nd4j.linalg.learning.config.Adam;

import java.util.List;
import java.util.function.UnaryOperator;

/**
 * A way to teach a base something. Methods of the same name are equal.
 *
 * @param name as in tables
 * @param way  makes a network that trains
 */
public record Method(String name, Way way) {

    /** Alpha of every adapter here, unless a claim is about alpha. */
    public static final double ALPHA = 16;

    /** Makes a network that trains from a base. */
    @FunctionalInterface
    public interface Way {

        /** {@return a network to train, on a copy of the base or beside it} */
        ComputationGraph prepare(Task task, Task.Start start, double rate, long seed);
    }

    /** Every weight trains. */
    public static Method full() {
        return new Method("full fine-tuning", (task, start, rate, seed) -> anew(start, rate, seed).build());
    }

    /** Only the layers above a layer train. */
    public static Method above(String layer) {
        return new Method("head-only", (task, start, rate, seed) -> anew(start, rate, seed).setFeatureExtractor(layer).build());
    }

    private static TransferLearning.GraphBuilder anew(Task.Start start, double rate, long seed) {
        return new TransferLearning.GraphBuilder(start.base()).fineTuneConfiguration(
                new FineTuneConfiguration.Builder().updater(new Adam(rate)).seed(seed).build());
    }

    /** Plain LoRA, s = 16 / rank. */
    public static Method lora(int rank) {
        return lora("LoRA, rank " + rank, rank, settings -> settings);
    }

    /** LoRA, s = 16 / rank, with changed settings. */
    public static Method lora(String name, int rank, UnaryOperator<LoRAConfig.Builder> different) {
        return new Method(name, (task, start, rate, seed) -> LoRA.apply(start.base(),
                different.apply(settings(task, rate, seed).rank(rank)).build()));
    }

    /** LoRA, s = 16 / rank, on other layers than the task's targets. */
    public static Method loraOn(String name, int rank, List<String> targets) {
        return new Method(name, (task, start, rate, seed) -> LoRA.apply(start.base(),
                settings(targets, task, rate, seed).rank(rank).build()));
    }

    /** As {@link #lora(String, int, UnaryOperator)}, with a start that is taken from the task's examples. */
    public static Method fromData(String name, int rank, UnaryOperator<LoRAConfig.Builder> different) {
        return new Method(name, (task, start, rate, seed) -> LoRA.apply(start.base(),
                different.apply(settings(task, rate, seed).rank(rank)).build(), new ExistingDataSetIterator(start.batches())));
    }

    /** Settings of a task's adapters, without the rank. */
    private static LoRAConfig.Builder settings(Task task, double rate, long seed) {
        return settings(task.targets(), task, rate, seed);
    }

    private static LoRAConfig.Builder settings(List<String> targets, Task task, double rate, long seed) {
        return LoRAConfig.builder().targets(targets.toArray(String[]::new)).alpha(ALPHA)
                .trainable(task.trainable().toArray(String[]::new)).scaling(Scaling.ALPHA_OVER_RANK).updater(new Adam(rate))
                .seed(seed);
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Method method && method.name.equals(name);
    }

    @Override
    public int hashCode() {
        return name.hashCode();
    }

    @Override
    public String toString() {
        return name;
    }
}
