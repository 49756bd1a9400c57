package io.github.dl4jlora.internal.base;

import io.github.dl4jlora.frozen.BaseOpener;
import io.github.dl4jlora.internal.untrusted.ModelZip;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.factory.Nd4j;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.ref.SoftReference;
import java.net.MalformedURLException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Base networks that a configuration names by URI, for JVMs (a cluster's executors) that get the adapted network but
 * not its base. Each is read once per JVM. It stays while any of its layers is in use and, since a cluster builds and drops
 * a network per task, softly after that: until nobody has asked for a while and the heap is short.
 */
public final class BaseLocation {

    private static final Logger LOG = LoggerFactory.getLogger(BaseLocation.class);
    private static final Map<URI, SoftReference<Map<String, FrozenWeights>>> LOADED = new ConcurrentHashMap<>();

    private BaseLocation() {
    }

    /**
     * @return the weights with this id
     * @throws UncheckedIOException  if the location cannot be read
     * @throws IllegalStateException if no layer of the network there has this id
     */
    static synchronized FrozenWeights load(URI location, String id) {
        Map<String, FrozenWeights> layers = loaded(location);
        if (layers == null) {
            layers = read(location);
            LOADED.put(location, new SoftReference<>(layers));
        }
        FrozenWeights found = layers.get(id);
        if (found == null) {
            throw new IllegalStateException("The base at " + location + " has no layer with the content id " + id
                    + ": it is not the network that the adapter was made for");
        }
        return found;
    }

    /**
     * @return the weights with this id, or null where this location has not been read yet or has none such
     */
    static FrozenWeights alreadyLoaded(URI location, String id) {
        Map<String, FrozenWeights> layers = loaded(location);
        return layers == null ? null : layers.get(id);
    }

    private static Map<String, FrozenWeights> loaded(URI location) {
        SoftReference<Map<String, FrozenWeights>> reference = LOADED.get(location);
        return reference == null ? null : reference.get();
    }

    private static Map<String, FrozenWeights> read(URI location) {
        // A forward pass asks, with workspaces open: the network must not end up in one of them.
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            Map<String, FrozenWeights> layers = byId(restore(location));
            LOG.info("Read the base network at {}, {} layers with parameters", location, layers.size());
            return layers;
        } catch (IOException e) {
            throw new UncheckedIOException("The base network at " + location + " cannot be loaded: " + e.getMessage(), e);
        }
    }

    private static Model restore(URI location) throws IOException {
        if ("file".equals(location.getScheme())) {
            return ModelZip.restore(file(location), false, Set.of());
        }
        Path copy = Files.createTempFile("dl4j-lora-base", ".zip");
        try (InputStream in = open(location)) {
            Files.copy(in, copy, StandardCopyOption.REPLACE_EXISTING);
            return ModelZip.restore(copy.toFile(), false, Set.of());
        } finally {
            Files.deleteIfExists(copy);
        }
    }

    private static File file(URI location) throws IOException {
        try {
            return new File(location);
        } catch (IllegalArgumentException e) {
            throw new IOException("it is no file on this machine: " + e.getMessage() + "; write file:///folder/base.zip", e);
        }
    }

    private static InputStream open(URI location) throws IOException {
        // Where a cluster loads its jobs' classes by a loader of their own, the thread's is the one that sees them all.
        for (BaseOpener opener : ServiceLoader.load(BaseOpener.class)) {
            if (opener.opens(location)) {
                return opener.open(location);
            }
        }
        try {
            return location.toURL().openStream();
        } catch (MalformedURLException e) {
            throw new IOException("nothing on the class path opens \"" + location.getScheme() + ":\"; register a "
                    + BaseOpener.class.getName() + " for it, or use a file that every machine can see", e);
        }
    }

    private static Map<String, FrozenWeights> byId(Model base) {
        Map<String, FrozenWeights> layers = new HashMap<>();
        for (Trainable part : parts(base)) {
            if (part.params() != null && part.numParams() > 0) {
                FrozenWeights weights = FrozenWeights.ofOwn(part.params(), part.paramTable(false));
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
