package io.github.dl4jlora.models.spam;

import java.io.IOException;
import java.io.Reader;
import java.io.Writer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;

/**
 * The result of one method. F1, precision and recall are those of spam.
 *
 * @param seconds  of training
 * @param peakMib  the process's peak memory during training; 0 if the system does not report it
 * @param bytes    of what has to be kept besides the base, or of the whole network
 */
record Outcome(double f1, double precision, double recall, long trained, double seconds, long peakMib, long bytes) {

    void write(Path file) throws IOException {
        Properties properties = new Properties();
        properties.setProperty("f1", Double.toString(f1));
        properties.setProperty("precision", Double.toString(precision));
        properties.setProperty("recall", Double.toString(recall));
        properties.setProperty("trained", Long.toString(trained));
        properties.setProperty("seconds", Double.toString(seconds));
        properties.setProperty("peakMib", Long.toString(peakMib));
        properties.setProperty("bytes", Long.toString(bytes));
        try (Writer writer = Files.newBufferedWriter(file)) {
            properties.store(writer, null);
        }
    }

    static Outcome read(Path file) throws IOException {
        Properties properties = new Properties();
        try (Reader reader = Files.newBufferedReader(file)) {
            properties.load(reader);
        }
        return new Outcome(Double.parseDouble(properties.getProperty("f1")),
                Double.parseDouble(properties.getProperty("precision")),
                Double.parseDouble(properties.getProperty("recall")), Long.parseLong(properties.getProperty("trained")),
                Double.parseDouble(properties.getProperty("seconds")), Long.parseLong(properties.getProperty("peakMib")),
                Long.parseLong(properties.getProperty("bytes")));
    }
}
