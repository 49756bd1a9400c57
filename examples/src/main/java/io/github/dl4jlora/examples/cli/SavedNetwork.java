package io.github.dl4jlora.examples.cli;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.LoRASummary;
import io.github.dl4jlora.Quantization;
import io.github.dl4jlora.examples.AnyNetwork;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.nd4j.linalg.dataset.api.preprocessor.Normalizer;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.ZipEntry;
import java.util.zip.ZipException;
import java.util.zip.ZipFile;

/**
 * A network read from a file that DL4J's ModelSerializer or LoRA.save wrote, whichever it is.
 *
 * @param model      a ComputationGraph or a MultiLayerNetwork
 * @param kind       what the file holds
 * @param normalizer of the data that the network was trained on, where the file has one; null otherwise
 */
public record SavedNetwork(Path file, Model model, Kind kind, Normalizer<?> normalizer) {

    /** What a file holds. */
    public enum Kind {

        /** A network without adapters. */
        STOCK("a DL4J network"),

        /** Base and adapters, as LoRA.save writes them. */
        SELF_CONTAINED("an adapted network with its base"),

        /** A base without adapters, which serves and is adapted, but does not train: in fewer bits, for example. */
        FROZEN("a frozen network"),

        /** What ModelSerializer writes of an adapted network: the base may lie elsewhere. */
        CHECKPOINT("an adapted network as ModelSerializer writes it");

        private final String words;

        Kind(String words) {
            this.words = words;
        }

        @Override
        public String toString() {
            return words;
        }
    }

    private static final String FROZEN = "frozen/index.json";
    private static final String GRAPH_ONLY = "\"vertexInputs\"";
    private static final int LONGEST_CONFIGURATION = 64 << 20;

    /**
     * @throws IOException if the file is missing, damaged or of another kind; the message names it
     */
    public static SavedNetwork read(Path file) throws IOException {
        requireFile(file);
        boolean selfContained;
        boolean graph;
        boolean normalized;
        try (ZipFile zip = new ZipFile(file.toFile())) {
            ZipEntry configuration = zip.getEntry(ModelSerializer.CONFIGURATION_JSON);
            if (configuration == null) {
                throw new IOException(file + " is a zip file, but no saved network: it lacks "
                        + ModelSerializer.CONFIGURATION_JSON
                        + ". Save networks with DL4J's ModelSerializer or with LoRA.save");
            }
            selfContained = zip.getEntry(FROZEN) != null;
            graph = text(zip, configuration).contains(GRAPH_ONLY);
            normalized = zip.getEntry(ModelSerializer.NORMALIZER_BIN) != null;
        } catch (ZipException e) {
            return mapped(file, e);
        }
        try {
            Model model = selfContained ? LoRA.load(file)
                    : graph ? ModelSerializer.restoreComputationGraph(file.toFile(), true)
                    : ModelSerializer.restoreMultiLayerNetwork(file.toFile(), true);
            Kind kind = selfContained ? model.params().length() == 0 ? Kind.FROZEN : Kind.SELF_CONTAINED
                    : isAdapted(model) ? Kind.CHECKPOINT : Kind.STOCK;
            return new SavedNetwork(file, model, kind, normalized
                    ? ModelSerializer.restoreNormalizerFromFile(file.toFile()) : null);
        } catch (IOException | RuntimeException e) {
            throw unreadable(file, "restored as a DL4J network", e);
        }
    }

    /** @param noZip what is told of a file that is no mapped base either */
    private static SavedNetwork mapped(Path file, ZipException noZip) throws IOException {
        if (!LoRA.isBase(file)) {
            throw new IOException(file + " is truncated, or no saved network: " + noZip.getMessage() + ". Save it anew", noZip);
        }
        return new SavedNetwork(file, LoRA.openBase(file), Kind.FROZEN, null);
    }

    /**
     * Reads a network without adapters layer by layer, and keeps it in fewer bits.
     *
     * @param file that ModelSerializer or Keras wrote
     * @throws IOException as {@link #read(Path)}
     */
    static SavedNetwork readQuantized(Path file, Quantization scheme) throws IOException {
        requireFile(file);
        try {
            Model model = LoRA.loadQuantized(file, scheme);
            return new SavedNetwork(file, model, Kind.FROZEN, hasNormalizer(file)
                    ? ModelSerializer.restoreNormalizerFromFile(file.toFile()) : null);
        } catch (IOException | RuntimeException e) {
            throw unreadable(file, "quantised", e);
        }
    }

    /** A Keras file is no zip file, and has none. */
    private static boolean hasNormalizer(Path file) throws IOException {
        try (ZipFile zip = new ZipFile(file.toFile())) {
            return zip.getEntry(ModelSerializer.NORMALIZER_BIN) != null;
        } catch (ZipException e) {
            return false;
        }
    }

    private static void requireFile(Path file) throws IOException {
        if (Files.isDirectory(file)) {
            throw new IOException(file + " is a folder, but a saved network (.zip) is needed here"
                    + (AdapterFolder.is(file) ? "; it holds an adapter" : ""));
        }
        if (!Files.isRegularFile(file)) {
            throw new IOException(file + " does not exist or is no file. Check the name");
        }
        AdapterFolder.refusePart(file);
    }

    private static IOException unreadable(Path file, String what, Exception cause) {
        String reason = String.valueOf(cause.getMessage());
        return new IOException(reason.contains(file.toString()) ? reason : file + " cannot be " + what + ": " + reason, cause);
    }

    /**
     * Reads an adapted network, and its base if that is named.
     *
     * @param base null if the file holds all, or the network is stock
     */
    static SavedNetwork read(Path file, Path base) throws IOException {
        SavedNetwork network = read(file);
        if (base != null) {
            if (network.kind != Kind.CHECKPOINT) {
                throw new IOException(file + " is " + network.kind + ", so it needs no --base. Leave it out");
            }
            try {
                AnyNetwork.attach(network.model, read(base).stock().model);
            } catch (IllegalArgumentException e) {
                throw new IOException(base + " is not the base of " + file + ": " + e.getMessage(), e);
            }
        }
        return network;
    }

    private static String text(ZipFile zip, ZipEntry entry) throws IOException {
        try (InputStream in = zip.getInputStream(entry)) {
            return new String(in.readNBytes(LONGEST_CONFIGURATION), StandardCharsets.UTF_8);
        }
    }

    private static boolean isAdapted(Model model) {
        return LoRA.summary(model).rows().stream().anyMatch(row -> row.rank() > 0);
    }

    boolean isStock() {
        return kind == Kind.STOCK || kind == Kind.FROZEN;
    }

    /**
     * This, if it is a network without adapters.
     *
     * @throws IOException if it is adapted
     */
    public SavedNetwork stock() throws IOException {
        if (!isStock()) {
            throw new IOException(file + " is " + kind
                    + ", but one without adapters is needed here, the base. Name the file that it was adapted from");
        }
        return this;
    }

    /**
     * This, if it is an adapted network.
     *
     * @throws IOException if it is stock
     */
    SavedNetwork adapted() throws IOException {
        if (isStock()) {
            throw new IOException(file + " is " + kind + " without adapters. Make an adapted one with: dl4j-lora apply " + file
                    + " --rank 8 -o tuned.zip");
        }
        return this;
    }

    /** Bytes that all values would take in the network's data type. */
    long plainBytes() {
        return summary().totalParams() * (model instanceof ComputationGraph graph ? graph.getConfiguration().getDataType()
                : ((MultiLayerNetwork) model).getLayerWiseConfigurations().getDataType()).width();
    }

    String type() {
        return model instanceof ComputationGraph ? "ComputationGraph" : "MultiLayerNetwork";
    }

    LoRASummary summary() {
        return LoRA.summary(model);
    }

    /** The same file's network made into another one. */
    SavedNetwork with(Model changed) {
        return new SavedNetwork(file, changed, kind, normalizer);
    }
}
