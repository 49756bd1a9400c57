package io.github.dl4jlora.transformers;

import io.github.dl4jlora.bank.BankSession;
import io.github.dl4jlora.transformers.layer.KeyValueCache;
import org.deeplearning4j.nn.graph.ComputationGraph;

import java.util.function.Function;

/** Where one text is read. */
interface TextReader extends AutoCloseable {

    /** Has a network do something, with the adapters that are wanted. */
    <T> T compute(Function<ComputationGraph, T> work);

    KeyValueCache cache();

    @Override
    void close();

    /** A network of the caller's. */
    record OwnNetwork(ComputationGraph network) implements TextReader {

        @Override
        public <T> T compute(Function<ComputationGraph, T> work) {
            return work.apply(network);
        }

        @Override
        public KeyValueCache cache() {
            return new KeyValueCache();
        }

        @Override
        public void close() {
            // The network is the caller's.
        }
    }

    /** The networks of a bank. */
    record Session(BankSession session) implements TextReader {

        @Override
        public <T> T compute(Function<ComputationGraph, T> work) {
            return session.compute(network -> {
                if (network instanceof ComputationGraph graph) {
                    return work.apply(graph);
                }
                throw new IllegalArgumentException("The bank's base is a " + network.getClass().getSimpleName()
                        + ", but only a causal language model can write text: Checkpoint.causalLanguageModel()");
            });
        }

        @Override
        public KeyValueCache cache() {
            return KeyValueCache.ofSession();
        }

        @Override
        public void close() {
            session.close();
        }
    }
}
