package io.github.dl4jlora.examples;

import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.optimize.api.BaseTrainingListener;

import java.util.stream.LongStream;

/**
 * Times the steps of a training, each from the end of the previous step; the first step of an epoch has no previous one and does
 * not count.
 */
public final class StepTimer extends BaseTrainingListener {

    private static final long NONE = -1;

    private final LongStream.Builder nanos = LongStream.builder();
    private final long start = System.nanoTime();
    private long last = NONE;
    private long end = start;

    @Override
    public void onEpochEnd(Model model) {
        end = System.nanoTime();
    }

    @Override
    public void onEpochStart(Model model) {
        last = NONE;
    }

    @Override
    public void iterationDone(Model model, int iteration, int epoch) {
        long now = System.nanoTime();
        if (last != NONE) {
            nanos.add(now - last);
        }
        last = now;
    }

    /** From the timer's creation to the end of the last epoch. */
    public double totalSeconds() {
        return (end - start) / 1e9;
    }

    /** Call it once, after the training; NaN if no step was timed. */
    public double medianMillis() {
        long[] sorted = nanos.build().sorted().toArray();
        return sorted.length == 0 ? Double.NaN : sorted[sorted.length / 2] / 1e6;
    }
}
