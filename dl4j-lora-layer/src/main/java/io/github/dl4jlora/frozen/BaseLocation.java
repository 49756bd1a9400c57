package io.github.dl4jlora.frozen;

import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.factory.Nd4j;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.ref.WeakReference;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Base networks that a configuration names by URI, for JVMs (a cluster's executors) that get the adapted network but
 * not its base. Each is read once per JVM and lives while any of its layers is in use.
 */
final class BaseLocation {

    private static final Map<URI, WeakReference<Map<String, FrozenWeights>>> LOADED = new HashMap<>();

    private BaseLocation() {
    }

    /**
     * @return the weights with this id
     * @throws UncheckedIOException  if the location cannot be read
     * @throws IllegalStateException if no layer of the network there has this id
     */
    static synchronized FrozenWeights load(URI location, String id) {
        WeakReference<Map<String, FrozenWeights>> reference = LOADED.get(location);
        Map<String, FrozenWeights> layers = reference == null ? null : reference.get();
        if (layers == null) {
            layers = read(location);
            LOADED.put(location, new WeakReference<>(layers));
        }
        FrozenWeights found = layers.get(id);
        if (found == null) {
            throw new IllegalStateException("The base at " + location + " has no layer with the content id " + id
                    + ": it is not the network that the adapter was made for");
        }
        return found;
    }

    private static Map<String, FrozenWeights> read(URI location) {
        // A forward pass asks, with workspaces open: the network must not end up in one of them.
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            if ("file".equals(location.getScheme())) {
                return byId(ModelZip.restore(new File(location), false, Set.of()));
            }
            Path copy = Files.createTempFile("dl4j-lora-base", ".zip");
            try (InputStream in = location.toURL().openStream()) {
                Files.copy(in, copy, StandardCopyOption.REPLACE_EXISTING);
                return byId(ModelZip.restore(copy.toFile(), false, Set.of()));
            } finally {
                Files.deleteIfExists(copy);
            }
        } catch (IOException e) {
            throw new UncheckedIOException("The base network at " + location + " cannot be loaded: " + e.getMessage(), e);
        }
    }

    private static Map<String, FrozenWeights> byId(Model base) {
        Map<String, FrozenWeights> layers = new HashMap<>();
        for (Trainable part : parts(base)) {
            if (part.params() != null && part.numParams() > 0) {
                FrozenWeights weights = FrozenWeights.of(part.params(), part.paramTable(false));
                weights.keepAlive(layers);
                layers.put(weights.id(), weights);
            }
        }
        return layers;
    }

    private static List<Trainable> parts(Model base) {
        return base instanceof ComputationGraph graph
                ? new ArrayList<>(List.of(graph.getVertices()))
                : new ArrayList<>(List.of(((MultiLayerNetwork) base).getLayers()));
    }
}
