package io.github.dl4jlora.internal.serve;

import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.blas.SlimFactors;
import io.github.dl4jlora.internal.common.GuardedBy;
import io.github.dl4jlora.internal.content.AdapterContent;
import io.github.dl4jlora.internal.content.Delta;
import io.github.dl4jlora.internal.inspect.AdaptedView;
import io.github.dl4jlora.internal.swap.Swap;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataBuffer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Stream;

/**
 * An adapter in the form in which a bank serves it: for each adapted matrix what a route has, in the network's type and in one
 * vector, and the values that have to be put into a network. Whoever computes with it holds it. Its memory is freed as soon as it
 * is retired and nobody holds it any more, not when a garbage collector happens to run.
 */
public final class ServedAdapter {

    private final @Nullable AdapterContent values;
    private final @Nullable DataBuffer vector;
    private final Map<String, Route> routes;
    private final @Nullable NetworkKind ownKind;
    private final long bytes;
    /** Volatile, since pools ask for it without the lock. */
    private volatile boolean retired;
    /** The bank is one of them until it retires the adapter. */
    @GuardedBy("this")
    private int holders = 1;

    private ServedAdapter(@Nullable AdapterContent values, @Nullable DataBuffer vector, Map<String, Route> routes,
                          @Nullable NetworkKind ownKind) {
        this.values = values;
        this.vector = vector;
        this.routes = routes;
        this.ownKind = ownKind;
        this.bytes = (vector == null ? 0 : vector.length() * vector.getElementSize())
                + besideVector().mapToLong(ServedAdapter::bytesOf).sum() + (values == null ? 0 : bytesOf(values));
    }

    private static long bytesOf(AdapterContent values) {
        return Stream.concat(values.trained().values().stream().flatMap(layer -> layer.values().stream()),
                values.biases().values().values().stream()).mapToLong(ServedAdapter::bytesOf).sum();
    }

    /** Scales and biases. */
    private Stream<INDArray> besideVector() {
        return routes.values().stream().flatMap(route -> Stream.of(route.scale(), route.bias())).filter(Objects::nonNull);
    }

    private static long bytesOf(INDArray array) {
        return array.length() * array.dataType().width();
    }

    /**
     * Casts an adapter and puts its matrices into one vector.
     *
     * @param kind that computes it
     * @return one that is held once
     * @throws IllegalArgumentException if it does not fit
     */
    static ServedAdapter of(AdapterContent adapter, NetworkKind kind, Map<String, AdaptedView.Base> bases) {
        AdapterContent fitting = Swap.fitting(adapter, kind.view(), bases);
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            Packing packing = new Packing();
            fitting.deltas().forEach((layer, delta) ->
                    packing.add(layer, delta, Objects.requireNonNull(kind.view().adaptedMatrices().get(layer))));
            DataBuffer vector = packing.vector();
            return new ServedAdapter(kind.isOfOneAdapter() ? fitting.with(Map.of()) : null, vector,
                    vector == null ? Map.of() : packing.routes(vector), kind.isOfOneAdapter() ? kind : null);
        }
    }

    /** Collects matrices, and puts them side by side into one vector. */
    private static final class Packing {

        /** What a route has, and where in the vector A and B will be. */
        private record Place(String layer, INDArray a, INDArray b, long offset, double factor, @Nullable INDArray scale,
                             @Nullable INDArray bias) {

            SlimFactors of(DataBuffer vector) {
                return new SlimFactors(vector, offset, a.size(0), a.size(1), b.size(1));
            }
        }

        private final List<Place> places = new ArrayList<>();
        private long length;

        void add(String layer, Delta delta, AdaptedView.AdaptedMatrix matrix) {
            DataType type = matrix.a().dataType();
            Map<String, INDArray> cast = new HashMap<>();
            delta.parts().forEach((key, value) -> cast.put(key, value.castTo(type)));
            INDArray a = Objects.requireNonNull(cast.get(Variant.A));
            INDArray b = Objects.requireNonNull(cast.get(Variant.B));
            INDArray scale = matrix.outputScale(delta.kind().variant(), cast, delta.factor());
            if (scale == null && !delta.kind().variant().isAdditive()) {
                throw new IllegalArgumentException("Layer \"" + layer + "\": a bank cannot serve the variant "
                        + delta.kind().variant().name() + ", which neither adds to W nor scales outputs. Serve the network that "
                        + "LoRA.apply(base, adapter) returns, or merge the adapter with LoRA.merge");
            }
            if (cast.containsKey(Variant.START_A)) {
                // W − s·A0·B0 + s·A·B, on a W that stays whole.
                a = Nd4j.concat(1, a, cast.get(Variant.START_A));
                b = Nd4j.concat(0, b, Objects.requireNonNull(cast.get(Variant.START_B)).neg());
            }
            INDArray bias = cast.get(DefaultParamInitializer.BIAS_KEY);
            places.add(new Place(layer, a, b, length, delta.factor(), scale, bias == null ? null : bias.dup()));
            length += a.length() + b.length();
        }

        /** Null for an adapter of no matrix. */
        @Nullable DataBuffer vector() {
            if (places.isEmpty()) {
                return null;
            }
            DataBuffer vector = Nd4j.createUninitialized(places.get(0).a.dataType(), length).data();
            places.forEach(place -> {
                place.of(vector).a().assign(place.a);
                place.of(vector).b().assign(place.b);
            });
            return vector;
        }

        Map<String, Route> routes(DataBuffer vector) {
            Map<String, Route> routes = new HashMap<>();
            places.forEach(place -> routes.put(place.layer,
                    new Route(0, 0, place.of(vector), place.factor, place.scale, place.bias)));
            return Map.copyOf(routes);
        }
    }

    /** Holds it. Somebody must hold it already. */
    public synchronized void hold() {
        holders++;
    }

    /** Lets go of it, and frees its memory if nobody else holds it. */
    public synchronized void release() {
        holders--;
        if (holders == 0) {
            if (vector != null) {
                vector.close();
            }
            besideVector().forEach(INDArray::close);
        }
    }

    /** The bank lets go of it: requests to come will not find it. */
    public void retire() {
        retired = true;
        release();
    }

    boolean isRetired() {
        return retired;
    }

    /** Memory in bytes. */
    public long bytes() {
        return bytes;
    }

    /** The kind of networks that its values are put into; null for an adapter without values. */
    public @Nullable NetworkKind ownKind() {
        return ownKind;
    }

    /** What has to be put into a network before it computes this; null for an adapter without values. */
    @Nullable AdapterContent values() {
        return values;
    }

    /** Why it can be neither weighted nor added to others; null if it can. */
    @Nullable String moreThanAdding() {
        return values != null ? "it has layers or biases that were trained in full"
                : routes.values().stream().anyMatch(route -> route.scale() != null) ? "it is DoRA, which scales outputs"
                : routes.values().stream().anyMatch(route -> route.bias() != null) ? "it has trained biases" : null;
    }

    /** The network's data type, if that cannot hold the factor of ΔW times this weight; else null. */
    @Nullable DataType tooSmallFor(double weight) {
        DataType type = vector == null ? null : vector.dataType();
        return type == null || routes.values().stream().allMatch(route -> isFinite(route.factor() * weight, type)) ? null : type;
    }

    private static boolean isFinite(double value, DataType type) {
        return Math.abs(value) <= switch (type) {
            case HALF -> 65504;
            case BFLOAT16, FLOAT -> Float.MAX_VALUE;
            default -> Double.MAX_VALUE;
        };
    }

    /** What a matrix computes with in place of its own adapter, for some examples; null if this adapter does not change it. */
    public @Nullable Route route(String layer, double weight, long from, long to) {
        Route route = routes.get(layer);
        return route == null ? null : new Route(from, to, route.slim(), route.factor() * weight, route.scale(), route.bias());
    }

    /** The matrices that it changes. */
    Set<String> matrices() {
        return routes.keySet();
    }
}
