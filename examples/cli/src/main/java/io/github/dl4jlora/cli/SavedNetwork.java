package io.github.dl4jlora.cli;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.report.LoRASummary;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.dataset.api.preprocessor.Normalizer;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Pattern;

/**
 * A network read from a file that DL4J's ModelSerializer or LoRA.save wrote.
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

        /** A base without adapters that can be used and adapted, but not trained: a quantised one, for example. */
        FROZEN("a frozen network"),

        /** A frozen network as ModelSerializer writes it: its weights are elsewhere. */
        FROZEN_CHECKPOINT("a frozen network as ModelSerializer writes it"),

        /** An adapted network as ModelSerializer writes it: the base may be elsewhere. */
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

    /** The first bytes of an HDF5 file. */
    private static final byte[] HDF5 = {(byte) 0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
    private static final Pattern KERAS = Pattern.compile("(?i).*\\.(h5|hdf5|keras)");

    /**
     * Reads a network from an untrusted file: the library checks its sizes before it allocates memory, and deserialises no
     * objects.
     *
     * @throws IOException if the file is missing, damaged or of another kind; the message names it
     */
    public static SavedNetwork read(Path file) throws IOException {
        requireFile(file);
        if (LoRA.isBase(file)) {
            return new SavedNetwork(file, LoRA.openBase(file), Kind.FROZEN, null);
        }
        refuseKeras(file);
        try {
            Normalizer<?> normalizer = LoRA.restoreNormalizer(file).orElse(null);
            boolean selfContained = LoRA.isSelfContained(file);
            Model model = selfContained ? LoRA.load(file) : LoRA.restore(file, true);
            return new SavedNetwork(file, model, kind(model, selfContained), normalizer);
        } catch (IOException | RuntimeException e) {
            throw unreadable(file, "restored as a DL4J network", e);
        }
    }

    private static Kind kind(Model model, boolean selfContained) {
        LoRASummary summary = LoRA.summary(model);
        if (model.params().length() == 0 && summary.totalParams() > 0) {
            return selfContained ? Kind.FROZEN : Kind.FROZEN_CHECKPOINT;
        }
        return selfContained ? Kind.SELF_CONTAINED
                : summary.rows().stream().anyMatch(row -> row.rank() > 0) ? Kind.CHECKPOINT : Kind.STOCK;
    }

    /**
     * Reads a network without adapters layer by layer, and keeps it in fewer bits.
     *
     * @param file that ModelSerializer or Keras wrote
     * @throws IOException as {@link #read(Path)}; also if a Keras file is not named like one, so that nobody runs the C library
     *                     HDF5 on it unknowingly
     */
    static SavedNetwork readQuantized(Path file, Quantization scheme) throws IOException {
        return readQuantized(file, "quantised", path -> LoRA.loadQuantized(path, scheme));
    }

    /**
     * As the other, and adapts it: layers that train in full stay as they are.
     *
     * @param config with {@code quantize}
     */
    static SavedNetwork readQuantized(Path file, LoRAConfig config) throws IOException {
        return readQuantized(file, "adapted", path -> LoRA.loadQuantized(path, config));
    }

    /** Reads a network in a way of its own. */
    private interface Reader {
        Model read(Path file) throws IOException;
    }

    private static SavedNetwork readQuantized(Path file, String what, Reader reader) throws IOException {
        requireFile(file);
        boolean keras = isHdf5(file);
        if (keras && !KERAS.matcher(file.toString()).matches()) {
            throw new IOException(file + " is a Keras file. DL4J's importer and HDF5 would read it, and trust its content. If "
                    + "you trust it, too, name it " + file.getFileName() + ".h5");
        }
        try {
            Normalizer<?> normalizer = keras || LoRA.isBase(file) ? null : LoRA.restoreNormalizer(file).orElse(null);
            return new SavedNetwork(file, reader.read(file), Kind.FROZEN, normalizer);
        } catch (IOException | RuntimeException e) {
            throw unreadable(file, what, e);
        }
    }

    private static void refuseKeras(Path file) throws IOException {
        if (isHdf5(file)) {
            throw new IOException(file + " is a Keras file, which only quantize and apply --quantize read. Save it as a DL4J "
                    + "network with KerasModelImport and ModelSerializer");
        }
    }

    private static boolean isHdf5(Path file) throws IOException {
        try (InputStream in = Files.newInputStream(file)) {
            return Arrays.equals(in.readNBytes(HDF5.length), HDF5);
        }
    }

    private static void requireFile(Path file) throws IOException {
        if (Files.isDirectory(file)) {
            throw new IOException(file + " is a folder, but a saved network (.zip) is needed here"
                    + (AdapterFolder.is(file) ? "; it holds an adapter" : ""));
        }
        if (!Files.isRegularFile(file)) {
            throw new IOException(file + (Files.notExists(file) ? " does not exist" : " is not a file") + ". Check the name");
        }
        AdapterFolder.refusePart(file);
    }

    private static IOException unreadable(Path file, String what, Exception cause) {
        String reason = String.valueOf(cause.getMessage());
        return new IOException(reason.contains(file.toString()) ? reason : file + " cannot be " + what + ": " + reason, cause);
    }

    /**
     * Reads an adapted network, and its base if one is given. The normalizer is the adapted network's own, or else its base's.
     *
     * @param base null if the file holds all, or the network is stock
     */
    static SavedNetwork read(Path file, Path base) throws IOException {
        SavedNetwork network = read(file);
        if (base != null) {
            if (network.kind != Kind.CHECKPOINT && network.kind != Kind.FROZEN_CHECKPOINT) {
                throw new IOException(file + " is " + network.kind + ", so it needs no --base. Leave it out");
            }
            SavedNetwork stock = read(base).stock();
            try {
                AnyNetwork.attach(network.model, stock.model);
            } catch (IllegalArgumentException e) {
                throw new IOException(base + " is not the base of " + file + ": " + e.getMessage(), e);
            }
            return network.normalizer != null ? network
                    : new SavedNetwork(file, network.model, network.kind, stock.normalizer);
        }
        return network;
    }

    boolean isStock() {
        return kind == Kind.STOCK || isFrozen();
    }

    /** Without adapters, and not to be trained. */
    boolean isFrozen() {
        return kind == Kind.FROZEN || kind == Kind.FROZEN_CHECKPOINT;
    }

    /**
     * This network, if it has no adapters.
     *
     * @throws IOException if it is adapted
     */
    public SavedNetwork stock() throws IOException {
        if (!isStock()) {
            throw new IOException(file + " is " + kind
                    + ", but a network without adapters is needed here. Name the file of the base that it was adapted from "
                    + "in its place");
        }
        return this;
    }

    /**
     * The base of this network, which is adapted.
     *
     * @param instead the command that does the same with the base and the adapter apart
     * @throws IOException if the base is in fewer bits: its values are rounded, and the adapter was made for those before
     */
    Model unloaded(String instead) throws IOException {
        List<String> schemes = Arrays.stream(Quantization.values()).map(Quantization::name).toList();
        for (LoRASummary.Row row : summary().rows()) {
            if (row.rank() > 0 && schemes.contains(row.storedAs())) {
                throw new IOException(file + " holds its base in " + row.storedAs() + ", but its adapter was made for the "
                        + "values before rounding. Take the adapter out with dl4j-lora export " + file
                        + " -o ADAPTER, and name both: " + instead);
            }
        }
        return AnyNetwork.unload(model);
    }

    /**
     * This network, if it is adapted.
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

    /** A network made from the one in the same file. */
    SavedNetwork with(Model changed) {
        return new SavedNetwork(file, changed, kind, normalizer);
    }
}
