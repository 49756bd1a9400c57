package io.github.dl4jlora.examples.ui;

import io.github.dl4jlora.examples.TrainingPages;
import io.github.dl4jlora.report.page.AdapterStatsListener;
import org.deeplearning4j.core.storage.StatsStorage;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.deeplearning4j.ui.VertxUIServer;
import org.deeplearning4j.ui.model.storage.InMemoryStatsStorage;

import java.io.IOException;
import java.net.ServerSocket;
import java.time.LocalDateTime;
import java.time.format.DateTimeFormatter;
import java.util.Locale;

/** {@link TrainingPages} by DL4J's own server, with the figures of all trainings in memory. */
final class VertxTrainingPages implements TrainingPages {

    private static final DateTimeFormatter START = DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss", Locale.ROOT);

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

    /** The session's name tells when it began; DL4J's pages have a cell for that, which they leave empty. */
    @Override
    public TrainingListener listener(String training) {
        return new AdapterStatsListener(storage, 1, training.replaceAll("[^A-Za-z0-9 ,-]+", "-") + ", "
                + LocalDateTime.now().format(START));
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
