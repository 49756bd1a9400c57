package io.github.dl4jlora.internal.untrusted;

import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.shade.jackson.core.JsonParser;
import org.nd4j.shade.jackson.core.JsonToken;

import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Set;
import java.util.zip.CRC32;
import java.util.zip.CheckedInputStream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipException;
import java.util.zip.ZipFile;

/**
 * Restores a file that DL4J's {@link ModelSerializer} wrote, of whichever network type it is, as a file that anybody may
 * have written: the configuration comes first, and what it asks for is compared with what the file holds before an array
 * is made. Of the other entries only parameters and updater state are read, so no Java object is ever deserialised.
 */
public final class ModelZip {

    private static final int LONGEST_CONFIGURATION = 16 << 20;
    private static final int DEEPEST_CONFIGURATION = 100;

    private final File file;
    private final ZipFile zip;

    private ModelZip(File file, ZipFile zip) {
        this.file = file;
        this.zip = zip;
    }

    /**
     * @param loadUpdater whether to restore the updater's state too, where the file has it
     * @param frozenIds   content ids of the frozen weights that are at hand; a layer that asks for others is refused
     * @return a ComputationGraph or a MultiLayerNetwork
     * @throws IOException if the file is missing, truncated, no DL4J model, or promises more than it holds; the message
     *                     names it
     */
    public static Model restore(File file, boolean loadUpdater, Set<String> frozenIds) throws IOException {
        if (!file.isFile()) {
            throw new IOException(file + " does not exist or is no file");
        }
        // Whoever restores it while a workspace is open has a network that outlives that.
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces(); ZipFile zip = new ZipFile(file)) {
            ModelZip source = new ModelZip(file, zip);
            String configuration = source.configuration(frozenIds);
            return configuration.contains("\"vertexInputs\"") ? source.graph(configuration, loadUpdater)
                    : source.layers(configuration, loadUpdater);
        } catch (ZipException e) {
            throw new IOException(file + " is truncated or no saved DL4J network: " + e.getMessage(), e);
        } catch (IOException | RuntimeException | StackOverflowError | LinkageError e) {
            // The last two: a configuration that nests layers in layers, or names a class that cannot be initialised.
            throw new IOException(file + " cannot be restored as a DL4J network: " + e.getMessage(), e);
        }
    }

    private ZipEntry entry(String name) throws IOException {
        ZipEntry entry = zip.getEntry(name);
        if (entry == null) {
            throw new IOException("it is no saved DL4J network, since it lacks " + name);
        }
        return entry;
    }

    private String configuration(Set<String> frozenIds) throws IOException {
        byte[] text;
        try (InputStream in = zip.getInputStream(entry(ModelSerializer.CONFIGURATION_JSON))) {
            text = in.readNBytes(LONGEST_CONFIGURATION + 1);
        }
        if (text.length > LONGEST_CONFIGURATION) {
            throw new IOException("its configuration is longer than " + LONGEST_CONFIGURATION + " bytes");
        }
        UntrustedJson.refuseExcess(text, DEEPEST_CONFIGURATION, (token, parser) -> {
            refuseMissingWeights(token, parser, frozenIds);
            // Old object detectors' bounding boxes come with a count that DL4J allocates unseen.
            if (token.isNumeric() && "numElements".equals(parser.getCurrentName()) && parser.getValueAsDouble() > text.length) {
                throw new IOException("its configuration declares an array of " + parser.getText() + " numbers");
            }
        });
        return new String(text, StandardCharsets.UTF_8);
    }

    /** Where weights are missing a frozen layer stands on zeros, as many as its configuration likes. */
    private static void refuseMissingWeights(JsonToken token, JsonParser parser, Set<String> frozenIds) throws IOException {
        if (token.isScalarValue() && "id".equals(parser.getCurrentName())
                && "frozen".equals(parser.getParsingContext().getParent().getCurrentName())
                && !frozenIds.contains(parser.getText())) {
            throw new IOException("it lacks the frozen weights " + parser.getText() + " that its configuration refers to");
        }
    }

    private ComputationGraph graph(String json, boolean loadUpdater) throws IOException {
        ComputationGraphConfiguration conf = ComputationGraphConfiguration.fromJson(json);
        long length = 0;
        for (Map.Entry<String, GraphVertex> vertex : conf.getVertices().entrySet()) {
            length = sum(length, vertex.getValue().numParams(true), vertex.getKey());
        }
        INDArray parameters = parameters(length);
        if (parameters != null) {
            conf.setDataType(parameters.dataType());
        }
        ComputationGraph graph = new ComputationGraph(conf);
        graph.init(parameters, false);
        if (hasState(loadUpdater)) {
            restoreState(graph.getUpdater().getStateViewArray());
        }
        return graph;
    }

    private MultiLayerNetwork layers(String json, boolean loadUpdater) throws IOException {
        MultiLayerConfiguration conf = MultiLayerConfiguration.fromJson(json);
        long length = 0;
        for (NeuralNetConfiguration layer : conf.getConfs()) {
            length = sum(length, layer.getLayer().initializer().numParams(layer), layer.getLayer().getLayerName());
        }
        INDArray parameters = parameters(length);
        if (parameters != null) {
            conf.setDataType(parameters.dataType());
        }
        MultiLayerNetwork network = new MultiLayerNetwork(conf);
        network.init(parameters, false);
        if (hasState(loadUpdater)) {
            restoreState(network.getUpdater().getStateViewArray());
        }
        return network;
    }

    private static long sum(long soFar, long more, String layer) throws IOException {
        if (more < 0 || soFar + more < 0) {
            throw new IOException("layer \"" + layer + "\" has a number of parameters out of range");
        }
        return soFar + more;
    }

    /** The vector of a network with that many parameters; null for one that has none. */
    private INDArray parameters(long length) throws IOException {
        ZipEntry entry = entry(ModelSerializer.COEFFICIENTS_BIN);
        if (length == 0) {
            return null;
        }
        return vector(entry, length, Expansion.most(entry, file));
    }

    private boolean hasState(boolean wanted) {
        return wanted && zip.getEntry(ModelSerializer.UPDATER_BIN) != null;
    }

    /** @param state what the updaters keep, a few numbers for each parameter; null if nothing */
    private void restoreState(INDArray state) throws IOException {
        ZipEntry entry = entry(ModelSerializer.UPDATER_BIN);
        if (state == null) {
            throw new IOException("it has updater state, but its configuration names updaters that keep none");
        }
        // As long as what is there already, it needs no other bound; untrained it is all zeros.
        try (INDArray stored = vector(entry, state.length(), Long.MAX_VALUE)) {
            state.assign(stored);
        }
    }

    private INDArray vector(ZipEntry entry, long length, long mostBytes) throws IOException {
        CRC32 sum = new CRC32();
        try (DataInputStream in = new DataInputStream(
                new BufferedInputStream(new CheckedInputStream(zip.getInputStream(entry), sum), 1 << 16))) {
            INDArray vector = StoredVector.read(in, length, mostBytes);
            // ZipFile, unlike ZipInputStream, leaves that to its caller.
            if (sum.getValue() != entry.getCrc()) {
                vector.close();
                throw new IOException("its checksum is wrong");
            }
            return vector;
        } catch (IOException | RuntimeException e) {
            throw new IOException(entry.getName() + ": " + e.getMessage(), e);
        }
    }
}
