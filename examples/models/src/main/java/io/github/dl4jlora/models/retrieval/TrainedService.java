package io.github.dl4jlora.models.retrieval;

import io.github.dl4jlora.examples.Checks;
import io.github.dl4jlora.models.encoder.PretrainedEncoder;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;

/**
 * Serves an encoder and the adapters that were trained on it, and asks them as clients do. Who has a service registers it with
 * {@link java.util.ServiceLoader}.
 */
public interface TrainedService {

    /**
     * A query, and the documents among which its answer is.
     *
     * @param adapter   that was trained for it
     * @param query     without the model's prompt
     * @param documents without the model's prompt; the first is the answer
     */
    record Question(String adapter, String query, List<String> documents) {
    }

    /**
     * Serves until all questions are answered.
     *
     * @param adapters  folder of a folder for each adapter
     * @param maxTokens where texts are cut
     * @param out       gets what clients were answered
     * @param checks    that the answers are those of the network
     * @throws IOException if the service cannot be started
     */
    void ask(PretrainedEncoder model, Path adapters, int maxTokens, List<Question> questions, PrintWriter out, Checks checks)
            throws IOException;
}
