package io.github.dl4jlora;

import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.stock.StockLayers;
import io.github.dl4jlora.internal.stored.Assembly;
import io.github.dl4jlora.internal.stored.StreamedBase;
import io.github.dl4jlora.internal.stored.ValuesElsewhere;
import io.github.dl4jlora.internal.untrusted.RawValues;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.graph.vertex.GraphVertex;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.util.Map;
import java.util.Objects;

/**
 * A base network whose values come from a place that the library does not know: a configuration, and an object that gives the
 * values of each layer when its turn comes. {@link LoRA#loadQuantized(BaseSource, LoRAConfig)} never has the values of more
 * than one layer in memory.
 *
 * <pre>{@code
 * BaseSource<ComputationGraph> source = BaseSource.of(base.getConfiguration(), (layer, parameters) ->
 *         parameters.forEach((key, values) -> values.assign(read(layer, key))));   // read: yours
 * LoRAConfig config = LoRAConfig.builder().rank(8).quantize(Quantization.INT8).build();
 * ComputationGraph tuned = LoRA.loadQuantized(source, config);
 * }</pre>
 *
 * @param <M> the network type
 */
public final class BaseSource<M extends Model> {

    /** Gives the values of layers. */
    @FunctionalInterface
    public interface Values {

        /**
         * Writes the values of one layer or vertex in place.
         *
         * @param layer      its name; in a MultiLayerNetwork the index of a layer that has none
         * @param parameters by DL4J's keys, with the shapes and orders of {@code paramTable()}: views, which belong to the
         *                   caller again afterwards. They hold undefined values at first, so that each value must be written
         * @throws IOException if the values cannot be read; passed on, unchanged, to the caller that asked for the network
         */
        void fill(String layer, Map<String, INDArray> parameters) throws IOException;
    }

    /** Makes a network on a vector of parameters. */
    @FunctionalInterface
    private interface Assembler<M> {
        M make(Assembly.Parameters parameters) throws IOException;
    }

    private final Assembler<M> assembler;
    private final DataType type;
    private final Values values;

    private BaseSource(Assembler<M> assembler, @Nullable DataType type, Values values) {
        this.assembler = assembler;
        this.type = type == null ? DataType.FLOAT : type;
        this.values = Objects.requireNonNull(values, "The source of the values is null");
    }

    /**
     * A ComputationGraph's source.
     *
     * @param configuration copied whenever a network is made from it
     * @param values        asked for every layer that has parameters, once for each network, in the order of DL4J's vector
     * @return the source, which has asked for nothing yet
     */
    public static BaseSource<ComputationGraph> of(ComputationGraphConfiguration configuration, Values values) {
        return new BaseSource<>(vector -> Assembly.of(StockLayers.copy(configuration), vector), configuration.getDataType(),
                values);
    }

    /**
     * A MultiLayerNetwork's source.
     *
     * @param configuration copied whenever a network is made from it
     * @param values        asked for every layer that has parameters, once for each network, in the order of DL4J's vector
     * @return the source, which has asked for nothing yet
     */
    public static BaseSource<MultiLayerNetwork> of(MultiLayerConfiguration configuration, Values values) {
        return new BaseSource<>(vector -> Assembly.of(configuration.clone(), vector), configuration.getDataType(), values);
    }

    /**
     * Makes a stock network with these values. ND4J's random generator is not touched.
     *
     * @return a network of this configuration, in memory of its own
     * @throws IOException as thrown by {@link Values#fill Values.fill}; nothing of the network is left then
     */
    public M network() throws IOException {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            M network = assembler.make(length -> Nd4j.createUninitialized(type, 1, length));
            boolean filled = false;
            try {
                for (Trainable layer : ValuesElsewhere.layers(network)) {
                    values.fill(nameOf(layer), layer.paramTable(false));
                }
                filled = true;
                return network;
            } finally {
                if (!filled && network.params() != null) {
                    network.params().close();
                }
            }
        }
    }

    /** The same values layer by layer, each layer in memory that then belongs to its consumer. */
    StreamedBase streamed() throws IOException {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            return new Streamed(assembler.make(length -> ValuesElsewhere.vector(type, length)), values);
        }
    }

    private static String nameOf(Trainable layer) {
        if (layer instanceof GraphVertex vertex) {
            return vertex.getVertexName();
        }
        Layer running = (Layer) layer;
        String own = running.conf().getLayer().getLayerName();
        return own == null ? String.valueOf(running.getIndex()) : own;
    }

    private record Streamed(Model standIn, Values values) implements StreamedBase {

        @Override
        public void forEach(LayerValues taker) throws IOException {
            for (Trainable layer : ValuesElsewhere.layers(standIn)) {
                taker.accept(layer, RawValues.filled(layer.params().dataType(), layer.params().length(), flat ->
                        values.fill(nameOf(layer), ValuesElsewhere.sameViews(layer, flat))));
            }
        }
    }
}
