package io.github.dl4jlora.bank;

import java.util.Collection;
import java.util.concurrent.ConcurrentLinkedQueue;

/** Writes down what a bank tells. */
final class Recorder implements BankMetrics {

    private final Collection<String> told = new ConcurrentLinkedQueue<>();

    /** Lines, in the order in which they were told. */
    Collection<String> told() {
        return told;
    }

    long count(String begin) {
        return told.stream().filter(line -> line.startsWith(begin)).count();
    }

    @Override
    public void computed(long examples, int mixes, long nanos) {
        told.add("computed " + examples + " of " + mixes);
    }

    @Override
    public void ended(AdapterMix mix, Outcome outcome, long nanos) {
        told.add("ended " + mix + " " + outcome);
    }

    @Override
    public void refused(AdapterMix mix) {
        told.add("refused " + mix);
    }

    @Override
    public void loaded(String name, long bytes, long nanos) {
        told.add("loaded " + name + " " + bytes);
    }

    @Override
    public void notLoaded(String name, Exception cause) {
        told.add("notLoaded " + name + " " + cause.getMessage());
    }

    @Override
    public void evicted(String name, long bytes) {
        told.add("evicted " + name + " " + bytes);
    }
}
