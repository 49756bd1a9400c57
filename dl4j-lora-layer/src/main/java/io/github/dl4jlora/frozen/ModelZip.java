package io.github.dl4jlora.frozen;

import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.util.ModelSerializer;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.zip.ZipEntry;
import java.util.zip.ZipException;
import java.util.zip.ZipFile;

/**
 * Restores a file that DL4J's {@link ModelSerializer} wrote, of whichever network type it is.
 */
public final class ModelZip {

    private static final int LONGEST_CONFIGURATION = 64 << 20;

    private ModelZip() {
    }

    /**
     * @param loadUpdater whether to restore the updater's state too, where the file has it
     * @return a ComputationGraph or a MultiLayerNetwork
     * @throws IOException if the file is missing, truncated or no DL4J model; the message names it
     */
    public static Model restore(File file, boolean loadUpdater) throws IOException {
        boolean graph = configuration(file).contains("\"vertexInputs\"");
        try {
            return graph ? ModelSerializer.restoreComputationGraph(file, loadUpdater)
                    : ModelSerializer.restoreMultiLayerNetwork(file, loadUpdater);
        } catch (IOException | RuntimeException e) {
            throw new IOException(file + " cannot be restored as a DL4J network: " + e.getMessage(), e);
        }
    }

    private static String configuration(File file) throws IOException {
        if (!file.isFile()) {
            throw new IOException(file + " does not exist or is no file");
        }
        try (ZipFile zip = new ZipFile(file)) {
            ZipEntry entry = zip.getEntry(ModelSerializer.CONFIGURATION_JSON);
            if (entry == null || zip.getEntry(ModelSerializer.COEFFICIENTS_BIN) == null) {
                throw new IOException(file + " is no saved DL4J network: it lacks " + ModelSerializer.CONFIGURATION_JSON
                        + " or " + ModelSerializer.COEFFICIENTS_BIN);
            }
            try (InputStream in = zip.getInputStream(entry)) {
                byte[] text = in.readNBytes(LONGEST_CONFIGURATION + 1);
                if (text.length > LONGEST_CONFIGURATION) {
                    throw new IOException(file + ": configuration.json is longer than " + LONGEST_CONFIGURATION + " bytes");
                }
                return new String(text, StandardCharsets.UTF_8);
            }
        } catch (ZipException e) {
            throw new IOException(file + " is truncated or no saved DL4J network: " + e.getMessage(), e);
        }
    }
}
