package io.github.dl4jlora.internal.base;

import org.deeplearning4j.nn.api.Trainable;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.ref.SoftReference;
import java.net.URI;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;

/**
 * A base network that configurations name by URI, for JVMs (a cluster's executors) that get the adapted network but not its
 * base. It is read once per JVM, and again when somebody asks for weights that it did not have: the file may be another by
 * now. It stays while any of its layers is in use and, since a cluster builds and drops a network per task, softly after that:
 * until nobody has asked for a while and the heap is short.
 *
 * <p>Whoever asks while it is being read waits for that; nobody waits for another location.
 */
public final class BaseLocation {

    private static final Logger LOG = LoggerFactory.getLogger(BaseLocation.class);
    private static final Map<URI, BaseLocation> KNOWN = new ConcurrentHashMap<>();

    private final URI uri;
    private volatile SoftReference<Map<String, FrozenWeights>> layers = new SoftReference<>(null);
    private FutureTask<Map<String, FrozenWeights>> reading;

    private BaseLocation(URI uri) {
        this.uri = uri;
    }

    /**
     * Weights that are not among those that were read, see {@link #alreadyLoaded}: reads the location, again if need be.
     *
     * @return the weights with this id
     * @throws UncheckedIOException  if the location cannot be read
     * @throws IllegalStateException if no layer of the network there has this id, or the thread is interrupted
     */
    static FrozenWeights load(URI location, String id) {
        BaseLocation base = KNOWN.computeIfAbsent(location, BaseLocation::new);
        FrozenWeights found = base.having(id).get(id);
        if (found == null) {
            throw new IllegalStateException("The base at " + UriSecrets.shown(location) + " has no layer with the content id "
                    + id + ": it is not the network that the adapter was made for");
        }
        return found;
    }

    /**
     * @return the weights with this id, or null where this location has not been read yet or has none such
     */
    static FrozenWeights alreadyLoaded(URI location, String id) {
        BaseLocation base = KNOWN.get(location);
        Map<String, FrozenWeights> layers = base == null ? null : base.layers.get();
        return layers == null ? null : layers.get(id);
    }

    private Map<String, FrozenWeights> having(String id) {
        FutureTask<Map<String, FrozenWeights>> task;
        synchronized (this) {
            Map<String, FrozenWeights> present = layers.get();
            if (present != null && present.containsKey(id)) {
                return present;
            }
            if (reading == null) {
                reading = new FutureTask<>(this::read);
            }
            task = reading;
        }
        try {
            // Does nothing where another thread is at it.
            task.run();
            return task.get();
        } catch (ExecutionException e) {
            throw failed(e.getCause());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw failed(e);
        } finally {
            synchronized (this) {
                reading = reading == task ? null : reading;
            }
        }
    }

    private RuntimeException failed(Throwable cause) {
        if (cause instanceof Error error) {
            throw error;
        }
        String message = "The base network at " + UriSecrets.shown(uri) + " cannot be loaded: ";
        // "host" says less than "UnknownHostException: host".
        String why = cause.getClass() == IOException.class ? cause.getMessage()
                : cause.getClass().getSimpleName() + ": " + cause.getMessage();
        return cause instanceof IOException io ? new UncheckedIOException(message + why, io)
                : new IllegalStateException(message + why, cause);
    }

    private Map<String, FrozenWeights> read() throws IOException {
        // A forward pass asks, with workspaces open: the network must not end up in one of them.
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            Map<String, FrozenWeights> read = byId(valuesOfLayers());
            LOG.info("Read the base network at {}, {} layers with parameters", UriSecrets.shown(uri), read.size());
            layers = new SoftReference<>(read);
            return read;
        }
    }

    private Map<Trainable, INDArray> valuesOfLayers() throws IOException {
        Map<Trainable, INDArray> values = new IdentityHashMap<>();
        boolean read = false;
        try {
            BaseFile.forEach(uri, values::put);
            read = true;
            return values;
        } finally {
            if (!read) {
                values.values().forEach(INDArray::close);
            }
        }
    }

    private static Map<String, FrozenWeights> byId(Map<Trainable, INDArray> values) {
        Map<String, FrozenWeights> layers = new HashMap<>();
        values.forEach((layer, array) -> {
            FrozenWeights weights = FrozenWeights.ofOwn(array, layer.paramTable(false));
            weights.keepAlive(layers);
            layers.put(weights.id(), weights);
        });
        return layers;
    }
}
