package io.github.dl4jlora.bank;

/**
 * Is told of an {@link AdapterBank}'s work, to count and time it. Methods are called by the threads that do the work, several at
 * once, and should return soon; what they throw is logged and harms no request. {@link AdapterBank#status} tells how much there
 * is at the moment.
 *
 * <pre>{@code
 * LongAdder examples = new LongAdder();
 * BankMetrics metrics = new BankMetrics() {
 *     public void computed(long count, int mixes, long nanos) {
 *         examples.add(count);
 *     }
 * };
 * AdapterBank bank = new AdapterBank(base, BankConfig.builder().metrics(metrics).build());
 * }</pre>
 */
public interface BankMetrics {

    /** Ignores everything. */
    BankMetrics NONE = new BankMetrics() {
    };

    /**
     * A batch was computed.
     *
     * @param examples how many it had
     * @param mixes    how many different ones it had
     * @param nanos    how long it took, waiting for a network included
     */
    default void computed(long examples, int mixes, long nanos) {
    }

    /**
     * A submitted request ended, in one way or another.
     *
     * @param mix     what it asked for; of a request with a mix for each example, the first
     * @param outcome how
     * @param nanos   from when it was submitted
     */
    default void ended(AdapterMix mix, Outcome outcome, long nanos) {
    }

    /**
     * A request was refused because too many were waiting.
     *
     * @param mix what it asked for; of a request with a mix for each example, the first
     */
    default void refused(AdapterMix mix) {
    }

    /**
     * An adapter was loaded from the source.
     *
     * @param name  its name
     * @param bytes of its values
     * @param nanos how long it took
     */
    default void loaded(String name, long bytes, long nanos) {
    }

    /**
     * An adapter could not be loaded from the source.
     *
     * @param name  its name
     * @param cause why
     */
    default void notLoaded(String name, Exception cause) {
    }

    /**
     * An adapter made room for others.
     *
     * @param name  its name
     * @param bytes of its values
     */
    default void evicted(String name, long bytes) {
    }

    /** How a submitted request ended. */
    enum Outcome {

        /** With outputs. */
        ANSWERED,
        /** With an exception. */
        FAILED,
        /** Its time ran out. */
        TIMED_OUT,
        /** Its caller cancelled it. */
        CANCELLED
    }
}
