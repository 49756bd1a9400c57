package io.github.dl4jlora.internal.adapted;

import io.github.dl4jlora.conf.Accumulated;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.schedule.ISchedule;

import java.util.Objects;

/**
 * A multiple of another updater's learning rate, whether that is a number or a schedule. It reads the other updater each time,
 * and so follows changes of its learning rate.
 */
public final class ScaledLearningRate implements ISchedule {

    private static final long serialVersionUID = 1L;

    private final IUpdater of;
    private final double ratio;

    private ScaledLearningRate(IUpdater of, double ratio) {
        this.of = of;
        this.ratio = ratio;
    }

    /** The same updater with a multiple of its learning rate. */
    public static IUpdater of(IUpdater updater, double ratio) {
        IUpdater scaled = updater.clone();
        scaled.setLrAndSchedule(Double.NaN, new ScaledLearningRate(Objects.requireNonNull(ofOneStep(updater)), ratio));
        return scaled;
    }

    /** The updater whose iterations are updates: one of several batches has it inside. Null for null. */
    public static @Nullable IUpdater ofOneStep(@Nullable IUpdater updater) {
        return updater instanceof Accumulated accumulated ? accumulated.getUpdater() : updater;
    }

    @Override
    public double valueAt(int iteration, int epoch) {
        return ratio * of.getLearningRate(iteration, epoch);
    }

    @Override
    public ISchedule clone() {
        return new ScaledLearningRate(of.clone(), ratio);
    }

    @Override
    public boolean equals(@Nullable Object other) {
        return other instanceof ScaledLearningRate that && ratio == that.ratio && of.equals(that.of);
    }

    @Override
    public int hashCode() {
        return Objects.hash(of, ratio);
    }
}
