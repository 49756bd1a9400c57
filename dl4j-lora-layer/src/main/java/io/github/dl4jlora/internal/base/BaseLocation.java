package io.github.dl4jlora.internal.base;

import io.github.dl4jlora.internal.common.GuardedBy;
import io.github.dl4jlora.internal.common.UriSecrets;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.io.UncheckedIOException;
import java.lang.ref.SoftReference;
import java.net.SocketTimeoutException;
import java.net.URI;
import java.nio.channels.ClosedByInterruptException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;

/**
 * A base network that configurations name by URI, for JVMs (a cluster's executors) that get the adapted network but not its
 * base. It is read once per JVM, and again when a network asks for weights that it did not have: the file may be another by now.
 * It stays in memory while any of its layers is in use. A cluster builds and drops a network per task, so after that it is held
 * softly: until nobody has asked for a while and the heap is short.
 *
 * <p>Threads that ask while it is being read wait for that; nobody waits for another location.
 */
public final class BaseLocation {

    private static final Logger LOG = LoggerFactory.getLogger(BaseLocation.class);
    private static final Map<URI, BaseLocation> KNOWN = new ConcurrentHashMap<>();

    private final URI uri;
    /**
     * In which forms layers were asked for, by the content id of their original values; an empty form stands for those values as
     * they are. A form stays in the set: a network in one form does not end the use of a network in another.
     */
    private final Map<String, Set<Optional<StoredForm>>> asked = new ConcurrentHashMap<>();
    /** Volatile, since whoever only looks takes no lock. */
    private volatile SoftReference<Map<String, FrozenWeights>> layers = new SoftReference<>(null);
    @GuardedBy("this")
    private @Nullable FutureTask<Map<String, FrozenWeights>> reading;

    private BaseLocation(URI uri) {
        this.uri = uri;
    }

    /**
     * Reads the location, again if need be, for weights that are not {@linkplain #alreadyLoaded already loaded}.
     *
     * @return the weights that the reference is to
     * @throws UncheckedIOException  if the location cannot be read
     * @throws IllegalStateException if no layer of the network there has this id, or the thread is interrupted
     */
    static FrozenWeights load(URI location, FrozenReference to) {
        FrozenWeights found = of(location, to).having(to.getId()).get(to.getId());
        if (found == null) {
            throw new IllegalStateException("The base at " + UriSecrets.shown(location) + " has no layer with the content id "
                    + to.baseId() + (to.scheme() == null ? "" : " and the " + to.scheme() + " form " + to.getId())
                    + ": it is not the network that the adapter was made for");
        }
        return found;
    }

    /**
     * @return the weights that the reference names; null if the location is not read yet or lacks them
     */
    static @Nullable FrozenWeights alreadyLoaded(URI location, FrozenReference to) {
        Map<String, FrozenWeights> layers = of(location, to).layers.get();
        return layers == null ? null : layers.get(to.getId());
    }

    /**
     * The location, which knows from now on in what form the reference needs its layer. All of a network's references ask before
     * the network runs.
     */
    private static BaseLocation of(URI location, FrozenReference to) {
        BaseLocation base = KNOWN.computeIfAbsent(location, BaseLocation::new);
        base.asked.computeIfAbsent(to.baseId(), id -> ConcurrentHashMap.newKeySet()).add(Optional.ofNullable(to.getForm()));
        return base;
    }

    /**
     * The layers, with this one if the location has it. Only a reading that began after the layer was asked for in its form is
     * sure to have that form; so if a reading of another thread lacks it, the location is read again. It is read again, too, if
     * the other thread was interrupted.
     */
    private Map<String, FrozenWeights> having(String id) {
        for (;;) {
            FutureTask<Map<String, FrozenWeights>> task;
            boolean own;
            synchronized (this) {
                Map<String, FrozenWeights> present = layers.get();
                if (present != null && present.containsKey(id)) {
                    return present;
                }
                FutureTask<Map<String, FrozenWeights>> others = reading;
                task = others == null || others.isDone() ? new FutureTask<>(this::read) : others;
                own = task != others;
                reading = task;
            }
            Map<String, FrozenWeights> found = result(task, own);
            if (own || found.containsKey(id)) {
                return found;
            }
        }
    }

    /**
     * @param own whether this thread is to read, not another
     * @return what was read; nothing if another thread was interrupted while it read
     */
    private Map<String, FrozenWeights> result(FutureTask<Map<String, FrozenWeights>> task, boolean own) {
        if (own) {
            task.run();
            synchronized (this) {
                reading = reading == task ? null : reading;
            }
        }
        try {
            return task.get();
        } catch (ExecutionException e) {
            Throwable cause = Objects.requireNonNull(e.getCause());
            if (!own && isInterrupt(cause)) {
                return Map.of();
            }
            throw failed(cause);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw failed(e);
        }
    }

    /** A connection whose time is up says so by such an exception, too. */
    private static boolean isInterrupt(Throwable failure) {
        return failure instanceof ClosedByInterruptException
                || failure instanceof InterruptedIOException && !(failure instanceof SocketTimeoutException);
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
        // A forward pass asks while workspaces are open: the network must not end up in one of them.
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            Map<String, FrozenWeights> read = layersThere();
            LOG.info("Read the base network at {}, {} layers with parameters", UriSecrets.shown(uri), read.size());
            layers = new SoftReference<>(read);
            return read;
        }
    }

    /**
     * @param found gets the weights in each form that was asked for and that fits them; as they are if nobody asked for the layer
     * @return whether {@code found} got them as they are, too
     */
    private boolean asAsked(FrozenWeights original, Map<String, FrozenWeights> found) {
        Set<Optional<StoredForm>> forms = Set.copyOf(asked.getOrDefault(original.id(), Set.of(Optional.empty())));
        for (Optional<StoredForm> form : forms) {
            try {
                FrozenWeights weights = form.map(it -> original.quantized(it.scheme(), it.parts())).orElse(original);
                found.put(weights.id(), weights);
            } catch (IllegalArgumentException e) {
                // Anybody's checkpoint may ask for any form; only who asked is told that it is not there.
                LOG.debug("{} cannot be kept as {}", original.signature(), form, e);
            }
        }
        return forms.contains(Optional.empty());
    }

    /** Each layer in all forms in which it was asked for, so that no two networks take turns at reading. */
    private Map<String, FrozenWeights> layersThere() throws IOException {
        Map<String, FrozenWeights> found = new HashMap<>();
        List<INDArray> arrays = new ArrayList<>();
        boolean read = false;
        try {
            BaseFile.forEach(uri, (layer, values) -> {
                arrays.add(values);
                FrozenWeights original = FrozenWeights.unregisteredOwn(values, layer.paramTable(false));
                if (!asAsked(original, found)) {
                    values.close();
                }
            }, claimed -> {
                // References that find the weights here do not hash them again.
                if (!claimed.isIntact()) {
                    throw new IOException("the weights " + claimed.id() + " in it do not match their id: it is damaged");
                }
                asAsked(claimed, found);
            });
            read = true;
        } finally {
            if (!read) {
                arrays.stream().filter(array -> !array.wasClosed()).forEach(INDArray::close);
            }
        }
        found.values().forEach(weights -> weights.keepAlive(found));
        found.values().stream().filter(weights -> weights.scheme() == null).forEach(FrozenWeightsRegistry::register);
        return found;
    }
}
