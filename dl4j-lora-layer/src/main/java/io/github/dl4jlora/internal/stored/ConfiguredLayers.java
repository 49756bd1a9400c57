package io.github.dl4jlora.internal.stored;

import org.deeplearning4j.nn.conf.layers.BaseLayer;
import org.deeplearning4j.nn.weights.WeightInit;
import org.jspecify.annotations.Nullable;
import org.nd4j.shade.jackson.core.JsonParser;
import org.nd4j.shade.jackson.core.JsonToken;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * Counts the layers of a configuration before DL4J parses it. DL4J treats a layer without activation or weight initialisation as
 * one of an old format, and parses the whole configuration again for each such layer.
 */
final class ConfiguredLayers {

    /** More layers than any network has; DL4J makes some thousand in a second. */
    private static final int MOST = 5_000;
    /** Bytes that may be parsed again. */
    private static final long MOST_AGAIN = 64L << 20;
    /** What the base holds for layers that train in full: its weights are looked for, which may read them. */
    private static final String RECORD = "trainedInFull";
    private static final String DL4J = "org.deeplearning4j.";
    /** Initialisations of the old format that need no distribution. */
    private static final Set<String> STARTS = Arrays.stream(WeightInit.values()).filter(start -> start != WeightInit.DISTRIBUTION)
            .map(WeightInit::name).collect(Collectors.toUnmodifiableSet());

    private final long length;
    private final Deque<Found> open = new ArrayDeque<>();
    private int layers;
    private int recorded;
    private int old;

    /** What has been seen of an object. */
    private static final class Found {
        private final @Nullable String name;
        private @Nullable String type;
        private boolean activation;
        private boolean start;

        Found(@Nullable String name) {
            this.name = name;
        }
    }

    /** @param length bytes of the configuration */
    ConfiguredLayers(long length) {
        this.length = length;
    }

    /** @throws IOException if there are more layers than a network has, or DL4J would take too long over them */
    void look(JsonToken token, JsonParser parser) throws IOException {
        switch (token) {
            case START_OBJECT -> {
                begin(parser.getCurrentName());
                open.push(new Found(parser.getCurrentName()));
            }
            case END_OBJECT -> end(open.pop());
            case VALUE_STRING -> {
                if (!open.isEmpty()) {
                    text(parser.getCurrentName(), parser.getText());
                }
            }
            default -> { }
        }
    }

    private void text(@Nullable String name, String value) {
        if ("@class".equals(name)) {
            open.peek().type = value;
        } else if ("weightInit".equals(name)) {
            // As 1.0.0-beta3 and older wrote it: DL4J parses the configuration again once, for all such layers.
            open.peek().start |= STARTS.contains(value);
        }
    }

    private void begin(@Nullable String name) throws IOException {
        if (name == null || open.isEmpty()) {
            return;
        }
        if (RECORD.equals(open.peek().name) && ++recorded > MOST) {
            throw new IOException("its configuration records more than " + MOST + " layers that train in full");
        }
        switch (name) {
            case "activationFn" -> open.peek().activation = true;
            case "weightInitFn" -> open.peek().start = true;
            case "layer" -> {
                if (++layers > MOST) {
                    throw new IOException("its configuration has more than " + MOST + " layers");
                }
            }
            default -> { }
        }
    }

    private void end(Found object) throws IOException {
        if (!(object.activation && object.start) && isBaseLayer(object.type) && ++old * length > MOST_AGAIN) {
            throw new IOException("its configuration has " + old + " or more layers in an old format, and is too long for that. "
                    + "Restore the network with the DL4J release that wrote it, and save it again");
        }
    }

    /** Looks the class up by its name, without initialising it. */
    private static boolean isBaseLayer(@Nullable String type) {
        try {
            return type != null && type.startsWith(DL4J)
                    && BaseLayer.class.isAssignableFrom(Class.forName(type, false, BaseLayer.class.getClassLoader()));
        } catch (ClassNotFoundException | LinkageError e) {
            return false;
        }
    }
}
