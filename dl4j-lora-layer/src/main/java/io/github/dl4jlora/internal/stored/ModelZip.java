package io.github.dl4jlora.internal.stored;

import io.github.dl4jlora.internal.untrusted.Expansion;
import io.github.dl4jlora.internal.untrusted.UntrustedZip;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.NeuralNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.preprocessor.Normalizer;
import org.nd4j.linalg.factory.Nd4j;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.util.Set;
import java.util.zip.CRC32;
import java.util.zip.CheckedInputStream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipException;
import java.util.zip.ZipFile;

/**
 * Restores a network of either type from a file that DL4J's {@link ModelSerializer} wrote, and treats it as a file that anybody
 * may have written. The configuration comes first, and what it asks for is compared with what the file holds before an array is
 * made. Of the other entries only parameters, updater state and the normalizer are read, so no Java object is ever deserialised.
 */
public final class ModelZip implements AutoCloseable {

    private static final Logger LOG = LoggerFactory.getLogger(ModelZip.class);

    private final File file;
    private final ZipFile zip;

    private ModelZip(File file, ZipFile zip) {
        this.file = file;
        this.zip = zip;
    }

    /**
     * @param loadUpdater whether to restore the updater's state too, where the file has it
     * @param frozenIds   content ids of the frozen weights that are at hand; a layer that asks for others is refused
     * @param look        called for each layer and vertex before any is instantiated
     * @return a ComputationGraph or a MultiLayerNetwork
     * @throws IOException if the file is missing, truncated, no DL4J model, or promises more than it holds; the message
     *                     names it
     */
    public static Model restore(File file, boolean loadUpdater, Set<String> frozenIds, StoredConfiguration.Look look)
            throws IOException {
        return restore(file, loadUpdater, id -> {
            // Without its weights a frozen layer would stand on zeros, as many as its configuration asks for.
            if (!frozenIds.contains(id)) {
                throw new IOException("it lacks the frozen weights " + id + " that its configuration refers to");
            }
        }, look);
    }

    /**
     * As {@link #restore(File, boolean, Set, StoredConfiguration.Look)}, of a network whose frozen weights, if it has any, are
     * elsewhere.
     *
     * @throws IOException as there
     */
    public static Model restore(File file, boolean loadUpdater) throws IOException {
        return restore(file, loadUpdater, id -> { }, (name, configured) -> { });
    }

    private static Model restore(File file, boolean loadUpdater, StoredConfiguration.Reference frozen,
                                 StoredConfiguration.Look look) throws IOException {
        // A network that is restored while a workspace is open outlives the workspace.
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces(); ModelZip source = open(file)) {
            return source.named(() -> source.restored(loadUpdater, frozen, look));
        }
    }

    /**
     * Reads the normalizer beside a network, from any kind of file that may hold one.
     *
     * @return null if there is none
     * @throws IOException if the file is missing, damaged or no zip file, or the normalizer is of a kind that is not read; the
     *                     message names the file
     */
    public static @Nullable Normalizer<?> normalizer(File file) throws IOException {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces(); ModelZip source = open(file)) {
            ZipEntry entry = source.zip.getEntry(ModelSerializer.NORMALIZER_BIN);
            return entry == null ? null : source.normalizer(entry);
        }
    }

    private Normalizer<?> normalizer(ZipEntry entry) throws IOException {
        try {
            byte[] bytes = bytes(entry, StoredNormalizer.LONGEST);
            if (bytes.length > StoredNormalizer.LONGEST) {
                throw new IOException("it is longer than " + StoredNormalizer.LONGEST + " bytes");
            }
            return StoredNormalizer.read(bytes);
        } catch (IOException e) {
            throw new IOException(file + ": its " + entry.getName() + " cannot be read: " + e.getMessage(), e);
        }
    }

    /**
     * Java's ZipFile does not look at checksums.
     *
     * @return the entry's bytes; of one that is longer than {@code longest}, more bytes than that
     */
    private byte[] bytes(ZipEntry entry, int longest) throws IOException {
        CRC32 sum = new CRC32();
        try (InputStream in = new CheckedInputStream(zip.getInputStream(entry), sum)) {
            byte[] bytes = in.readNBytes(longest + 1);
            if (bytes.length <= longest && sum.getValue() != entry.getCrc()) {
                throw new IOException("the checksum of its " + entry.getName() + " is wrong");
            }
            return bytes;
        }
    }

    /** Whether a file has an entry. */
    public static boolean has(File file, String entry) throws IOException {
        try (ModelZip source = open(file)) {
            return source.zip.getEntry(entry) != null;
        }
    }

    static ModelZip open(File file) throws IOException {
        return new ModelZip(file, UntrustedZip.open(file));
    }

    /** Runs a step, and names the file if the step fails. */
    <T> T named(StoredConfiguration.Step<T> step) throws IOException {
        try {
            return StoredConfiguration.named(file, step);
        } catch (IOException e) {
            throw e.getCause() instanceof ZipException damage ? UntrustedZip.damaged(file, damage) : e;
        }
    }

    @Override
    public void close() throws IOException {
        zip.close();
    }

    private Model restored(boolean loadUpdater, StoredConfiguration.Reference frozen, StoredConfiguration.Look look)
            throws IOException {
        Model network = network(configuration(frozen), look, length -> coefficients(length).all());
        if (loadUpdater && zip.getEntry(ModelSerializer.UPDATER_BIN) != null) {
            restoreState(updaterState(network));
        }
        return network;
    }

    private void tellOfOthers() {
        if (zip.getEntry(ModelSerializer.NORMALIZER_BIN) != null) {
            LOG.info("{} holds a normalizer, too: LoRA.restoreNormalizer reads it", file);
        }
        if (zip.getEntry(ModelSerializer.PREPROCESSOR_BIN) != null) {
            LOG.warn("{}: its {} is not read, because it is a serialised Java object, which could run code; prepare the "
                    + "network's data yourself as that object did", file, ModelSerializer.PREPROCESSOR_BIN);
        }
    }

    /** The updaters' state, the network's own array; null if its updaters keep nothing. */
    public static @Nullable INDArray updaterState(Model network) {
        return ((NeuralNetwork) network).updaterState();
    }

    private ZipEntry entry(String name) throws IOException {
        ZipEntry entry = zip.getEntry(name);
        if (entry == null) {
            throw new IOException("it is not a saved DL4J network: it lacks " + name);
        }
        return entry;
    }

    /** As {@link StoredConfiguration#checked}. */
    String configuration(StoredConfiguration.Reference frozen) throws IOException {
        tellOfOthers();
        return StoredConfiguration.checked(bytes(entry(ModelSerializer.CONFIGURATION_JSON), StoredConfiguration.LONGEST), frozen);
    }

    Model network(String json, StoredConfiguration.Look look, Assembly.Parameters parameters) throws IOException {
        entry(ModelSerializer.COEFFICIENTS_BIN);
        return StoredConfiguration.network(json, look, parameters);
    }

    /** The parameters, of which there must be {@code length}; to be closed. */
    StoredVector coefficients(long length) throws IOException {
        ZipEntry entry = entry(ModelSerializer.COEFFICIENTS_BIN);
        return StoredVector.open(zip, entry, length, Expansion.most(entry, file));
    }

    /** @param state what the updaters keep, a few numbers for each parameter; null if nothing */
    private void restoreState(@Nullable INDArray state) throws IOException {
        if (state == null) {
            throw new IOException("it has updater state, but its configuration names updaters without state");
        }
        // It has to be as long as the present state, so it needs no other bound; an untrained network's is all zeros.
        ZipEntry entry = entry(ModelSerializer.UPDATER_BIN);
        try (INDArray stored = StoredVector.open(zip, entry, state.length(), Long.MAX_VALUE).all()) {
            state.assign(stored);
        }
    }
}
