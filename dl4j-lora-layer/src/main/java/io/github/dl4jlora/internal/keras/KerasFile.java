package io.github.dl4jlora.internal.keras;

import io.github.dl4jlora.internal.stored.Assembly;
import io.github.dl4jlora.internal.stored.ValuesElsewhere;
import io.github.dl4jlora.internal.untrusted.Expansion;
import io.github.dl4jlora.internal.untrusted.RawValues;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.PointerScope;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.graph.vertex.GraphVertex;
import org.deeplearning4j.nn.modelimport.keras.KerasLayer;
import org.deeplearning4j.nn.modelimport.keras.KerasModel;
import org.deeplearning4j.nn.modelimport.keras.KerasSequentialModel;
import org.deeplearning4j.nn.modelimport.keras.exceptions.InvalidKerasConfigurationException;
import org.deeplearning4j.nn.modelimport.keras.exceptions.UnsupportedKerasConfigurationException;
import org.deeplearning4j.nn.modelimport.keras.utils.KerasModelBuilder;
import org.deeplearning4j.nn.modelimport.keras.utils.KerasModelUtils;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.memory.conf.WorkspaceConfiguration;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.File;
import java.io.IOException;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** Has DL4J's importer read a model's weights one layer after the other; by itself, it would read all of them at once. */
final class KerasFile {

    private final File file;
    private final String root;
    private final KerasModel model;
    private final Model standIn;
    private final Map<String, Trainable> layers = new LinkedHashMap<>();

    private KerasFile(File file, String root, KerasModel model)
            throws IOException, InvalidKerasConfigurationException, UnsupportedKerasConfigurationException {
        this.file = file;
        this.root = root;
        this.model = model;
        this.standIn = standIn(file, model);
        ValuesElsewhere.layers(standIn).forEach(layer -> layers.put(running(layer).conf().getLayer().getLayerName(), layer));
    }

    /** Opens a file as {@code KerasModelImport} does, with the loss that the model was compiled with. */
    static KerasFile open(File file)
            throws IOException, InvalidKerasConfigurationException, UnsupportedKerasConfigurationException {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces();
             KerasModelBuilder builder = new KerasModel().modelBuilder().modelHdf5Filename(file.getPath())
                     .enforceTrainingConfig(true)) {
            // An importer that has an archive reads all weights at once.
            builder.close();
            builder.setTrainingArchive(null);
            boolean sequential = "Sequential".equals(KerasModelUtils.parseJsonString(builder.getModelJson()).get("class_name"));
            return new KerasFile(file, builder.getWeightsRoot(), sequential ? builder.buildSequential() : builder.buildModel());
        }
    }

    private static Model standIn(File file, KerasModel model)
            throws IOException, InvalidKerasConfigurationException, UnsupportedKerasConfigurationException {
        if (model instanceof KerasSequentialModel sequential) {
            MultiLayerConfiguration conf = sequential.getMultiLayerConfiguration();
            return Assembly.of(conf, length -> vector(file, conf.getDataType(), length));
        }
        ComputationGraphConfiguration conf = model.getComputationGraphConfiguration();
        return Assembly.of(conf, length -> vector(file, conf.getDataType(), length));
    }

    private static INDArray vector(File file, DataType type, long length) throws IOException {
        if (length > Expansion.most(file) / type.width()) {
            throw new IOException("its configuration asks for " + length + " parameters, far more than the file can hold");
        }
        return ValuesElsewhere.vector(type, length);
    }

    Model standIn() {
        return standIn;
    }

    OneLayer archive() {
        return new OneLayer(file.getPath());
    }

    /** The layers that have parameters, in the order of the vector. */
    List<String> layers() {
        return List.copyOf(layers.keySet());
    }

    Trainable runtime(String layer) {
        return Objects.requireNonNull(layers.get(layer));
    }

    private static Layer running(Trainable layer) {
        return layer instanceof GraphVertex vertex ? vertex.getLayer() : (Layer) layer;
    }

    /** @return shape {@code [n]}, in no workspace */
    INDArray values(OneLayer archive, String layer) throws Exception {
        INDArray shape = runtime(layer).params();
        // Zeros first: the importer leaves out what the file lacks.
        return RawValues.filled(shape.dataType(), shape.length(), values -> fill(values.assign(0), archive, layer));
    }

    private void fill(INDArray values, OneLayer archive, String layer)
            throws IOException, InvalidKerasConfigurationException, UnsupportedKerasConfigurationException {
        KerasLayer stored = model.getLayers().get(layer);
        if (stored == null || stored.getNumParams() == 0) {
            throw new IOException("it has no weights for layer \"" + layer + "\"");
        }
        // The importer's intermediate arrays, a few times the layer's size, would wait for the collector.
        MemoryWorkspace onTheWay = Nd4j.getWorkspaceManager()
                .createNewWorkspace(WorkspaceConfiguration.builder().build(), "KERAS_LAYER");
        try (PointerScope read = new PointerScope(FloatPointer.class); MemoryWorkspace in = onTheWay.notifyScopeEntered()) {
            archive.show(layer);
            KerasModelUtils.importWeights(archive, root, new HashMap<>(Map.of(layer, stored)), model.getKerasMajorVersion(),
                    model.getKerasBackend());
            stored.copyWeightsToLayer(another(layer, values));
            stored.getWeights().clear();
        } finally {
            Nd4j.getWorkspaceManager().destroyWorkspace(onTheWay);
        }
    }

    /** The same layer on other parameters. */
    private Layer another(String layer, INDArray parameters) {
        Trainable runtime = runtime(layer);
        NeuralNetConfiguration conf = runtime instanceof GraphVertex vertex ? configuration(vertex.getVertexName())
                : ((MultiLayerNetwork) standIn).getLayerWiseConfigurations().getConf(running(runtime).getIndex());
        NeuralNetConfiguration own = conf.clone();
        return own.getLayer().instantiate(own, null, 0, parameters, false, parameters.dataType());
    }

    private NeuralNetConfiguration configuration(String vertex) {
        return ((LayerVertex) Objects.requireNonNull(((ComputationGraph) standIn).getConfiguration().getVertices().get(vertex)))
                .getLayerConf();
    }
}
