package io.github.dl4jlora.internal.stored;

import io.github.dl4jlora.internal.untrusted.UntrustedJson;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.core.JsonStreamContext;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;

/** The configuration of a network in a file that anybody may have written. */
public final class StoredConfiguration {

    /** Bytes of the longest configuration that is read. */
    public static final int LONGEST = 16 << 20;
    private static final int DEEPEST = 100;
    private static final int LONGEST_REASON = 500;
    private static final String GRAPH_ONLY = "vertexInputs";
    private static final String FROZEN = "frozen";

    /** Looks at the content id of frozen weights that the configuration refers to. */
    @FunctionalInterface
    public interface Reference {
        void to(String id) throws IOException;
    }

    /** Looks at what is configured. */
    @FunctionalInterface
    public interface Look {

        /**
         * @param name       of the layer or vertex, for messages
         * @param configured DL4J's configuration of it: a {@code Layer}, or a {@code GraphVertex} that is no layer
         */
        void at(String name, Object configured) throws IOException;
    }

    /** Part of the reading. */
    @FunctionalInterface
    public interface Step<T> {
        T read() throws IOException;
    }

    private StoredConfiguration() {
    }

    /**
     * Runs a step, and names the file if the step fails.
     *
     * @param file for the message
     * @throws IOException whatever goes wrong
     */
    public static <T> T named(Object file, Step<T> step) throws IOException {
        try {
            return step.read();
        } catch (IOException | RuntimeException | StackOverflowError | LinkageError e) {
            // The last two are for a configuration that nests layers in layers, or names a class that cannot be initialised.
            throw new IOException(file + " cannot be restored as a DL4J network: " + reason(e), e);
        }
    }

    /** The reason in one line: parsers quote over several lines what they do not understand. */
    private static String reason(Throwable e) {
        String said = (e instanceof JsonProcessingException json ? "its configuration is damaged: " + json.getOriginalMessage()
                : String.valueOf(e.getMessage())).lines().findFirst().orElse("")
                .replaceFirst(" \\(start marker at .*", "").strip();
        String text = said.length() <= LONGEST_REASON ? said : said.substring(0, LONGEST_REASON) + "…";
        return e instanceof NullPointerException || e instanceof ClassCastException || e instanceof Error
                ? "its configuration is damaged (" + e.getClass().getSimpleName() + ": " + text + ")" : text;
    }

    /** @return JSON that may be parsed; it may still ask for more parameters than there are */
    public static String checked(byte[] stored, Reference frozen) throws IOException {
        if (stored.length > LONGEST) {
            throw new IOException("its configuration is longer than " + LONGEST + " bytes");
        }
        byte[] text = inUtf8(stored, Charset.defaultCharset());
        ConfiguredLayers layers = new ConfiguredLayers(text.length);
        UntrustedJson.refuseExcess(text, DEEPEST, (token, parser) -> {
            layers.look(token, parser);
            if (token.isScalarValue() && "id".equals(parser.getCurrentName())
                    && isReference(parser.getParsingContext().getParent())) {
                frozen.to(parser.getText());
            }
            // Bounding boxes of old object detectors come with a count, and DL4J allocates that many without a check.
            if (token.isNumeric() && "numElements".equals(parser.getCurrentName()) && parser.getValueAsDouble() > text.length) {
                throw new IOException("its configuration declares an array of " + parser.getText() + " numbers");
            }
        });
        return new String(text, StandardCharsets.UTF_8);
    }

    /** Whether the field's value refers to frozen weights: what is recorded of layers in full training is under their names. */
    private static boolean isReference(JsonStreamContext field) {
        JsonStreamContext outer = field.getParent();
        return FROZEN.equals(field.getCurrentName()) && !(outer != null && "trainedInFull".equals(outer.getCurrentName())
                && FROZEN.equals(outer.getParent().getCurrentName()));
    }

    /**
     * DL4J writes and reads in the encoding of its machine. Letters beyond ASCII in an encoding of 8 bits are not valid UTF-8.
     *
     * @param machines the encoding of this machine
     */
    static byte[] inUtf8(byte[] text, Charset machines) throws IOException {
        try {
            StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(text));
            return text;
        } catch (CharacterCodingException e) {
            if (machines.equals(StandardCharsets.UTF_8)) {
                throw new IOException("its configuration has names that are not in UTF-8. DL4J writes names in the encoding of "
                        + "its machine: read the file there, or with that encoding (java -Dfile.encoding=windows-1252, for "
                        + "example), and save it again", e);
            }
            return new String(text, machines).getBytes(StandardCharsets.UTF_8);
        }
    }

    /**
     * Makes the network.
     *
     * @param json as {@link #checked} returned it
     * @param look called for each layer and vertex before any is instantiated
     */
    public static Model network(String json, Look look, Assembly.Parameters parameters) throws IOException {
        if (UntrustedJson.hasField(json, GRAPH_ONLY)) {
            ComputationGraphConfiguration conf = ComputationGraphConfiguration.fromJson(json);
            forEach(conf, look);
            return Assembly.of(conf, parameters);
        }
        MultiLayerConfiguration conf = MultiLayerConfiguration.fromJson(json);
        forEach(conf, look);
        return Assembly.of(conf, parameters);
    }

    /**
     * {@return the configuration as JSON, to be written}
     *
     * @throws IOException if it is longer than what is read, has more layers, or a part that DL4J writes but does not read, such
     *                     as a RampSchedule, so that the file could never be read again
     */
    public static String json(Model network) throws IOException {
        String json = network instanceof ComputationGraph graph ? graph.getConfiguration().toJson()
                : ((MultiLayerNetwork) network).getLayerWiseConfigurations().toJson();
        try {
            checked(json.getBytes(StandardCharsets.UTF_8), id -> { });
            if (network instanceof ComputationGraph) {
                ComputationGraphConfiguration.fromJson(json);
            } else {
                MultiLayerConfiguration.fromJson(json);
            }
        } catch (IOException | RuntimeException e) {
            throw new IOException("The network is not written, since nobody could read it: " + reason(e), e);
        }
        return json;
    }

    /** Looks at the configuration of each layer and vertex of a network. */
    public static void forEach(Model network, Look look) throws IOException {
        if (network instanceof ComputationGraph graph) {
            forEach(graph.getConfiguration(), look);
        } else {
            forEach(((MultiLayerNetwork) network).getLayerWiseConfigurations(), look);
        }
    }

    private static void forEach(ComputationGraphConfiguration conf, Look look) throws IOException {
        for (var vertex : conf.getVertices().entrySet()) {
            look.at(vertex.getKey(), vertex.getValue() instanceof LayerVertex layer ? layer.getLayerConf().getLayer()
                    : vertex.getValue());
        }
    }

    private static void forEach(MultiLayerConfiguration conf, Look look) throws IOException {
        for (int i = 0; i < conf.getConfs().size(); i++) {
            Layer layer = conf.getConf(i).getLayer();
            look.at(layer.getLayerName() == null ? String.valueOf(i) : layer.getLayerName(), layer);
        }
    }
}
