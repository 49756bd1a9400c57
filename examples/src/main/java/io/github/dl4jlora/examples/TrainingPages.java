package io.github.dl4jlora.examples;

import org.deeplearning4j.optimize.api.TrainingListener;

/**
 * DL4J's training pages in a browser. Their server is large, so it comes with the Maven profile {@code ui}; {@link UiOption}
 * finds it if it is there.
 */
public interface TrainingPages extends AutoCloseable {

    /** Opens training pages. */
    interface Provider {

        /**
         * Starts serving.
         *
         * @throws IllegalStateException if the port is taken
         */
        TrainingPages open(int port);
    }

    /**
     * Shows one training.
     *
     * @param training its name on the pages
     */
    TrainingListener listener(String training);

    /** Where the browser finds them. */
    String address();

    /** Stops serving. */
    @Override
    void close();
}
