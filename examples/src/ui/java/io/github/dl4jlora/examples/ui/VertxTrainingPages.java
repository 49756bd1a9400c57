package io.github.dl4jlora.examples.ui;

import io.github.dl4jlora.examples.TrainingPages;
import org.deeplearning4j.core.storage.StatsStorage;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.deeplearning4j.ui.VertxUIServer;
import org.deeplearning4j.ui.model.storage.InMemoryStatsStorage;

import java.io.IOException;
import java.net.ServerSocket;

/** {@link TrainingPages} by DL4J's own server, with the figures of all trainings in memory. */
final class VertxTrainingPages implements TrainingPages {

    private final StatsStorage storage = new InMemoryStatsStorage();
    private final VertxUIServer server;

    VertxTrainingPages(int port) {
        // The server itself reports a taken port by never starting.
        try (ServerSocket probe = new ServerSocket(port)) {
            probe.setReuseAddress(true);
        } catch (IOException e) {
            throw new IllegalStateException("Port " + port + " cannot be used for the training pages: " + e.getMessage()
                    + ". Choose another with --ui-port", e);
        }
        server = VertxUIServer.getInstance(port, false, null);
        server.attach(storage);
    }

    @Override
    public TrainingListener listener(String training) {
        return new AdapterStatsListener(storage, training.replaceAll("[^A-Za-z0-9-]+", "-"));
    }

    @Override
    public String address() {
        return "http://localhost:" + server.getPort() + "/train";
    }

    @Override
    public void close() {
        try {
            VertxUIServer.stopInstance();
        } catch (Exception e) {
            throw new IllegalStateException("The training pages did not stop: " + e.getMessage(), e);
        }
    }
}
