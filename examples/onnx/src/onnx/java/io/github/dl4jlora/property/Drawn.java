package io.github.dl4jlora.property;

import net.jqwik.api.Shrinkable;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.INDArrayIndex;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.util.Arrays;
import java.util.Random;
import java.util.function.Consumer;
import java.util.function.Predicate;

/** A random stock network of the property suite in FLOAT, with a batch of data. */
public final class Drawn {

    private static final int GENERATOR_SIZE = 1000;
    private static final int AGAIN = 100;
    private static final double MOST_ROUNDED = 2e-6;

    private final Shrinkable<NetworkSpec> drawn;
    private final NetworkSpec spec;
    private final Trial trial;

    private Drawn(Shrinkable<NetworkSpec> drawn) {
        this.drawn = drawn;
        this.spec = single(drawn.value());
        this.trial = new Trial(spec);
    }

    /** Hands over networks that DL4J itself can compute, always the same ones for a seed. To be called by jqwik. */
    public static void networks(long seed, int count, Consumer<Drawn> check) {
        var generator = Specs.networks().generator(GENERATOR_SIZE);
        Random random = new Random(seed);
        DataType before = Nd4j.defaultFloatingPointType();
        try {
            for (int i = 0; i < count;) {
                Drawn next = of(generator.next(random));
                if (next != null) {
                    check.accept(next);
                    i++;
                }
            }
        } finally {
            Nd4j.setDefaultDataTypes(before, before);
        }
    }

    private static @Nullable Drawn of(Shrinkable<NetworkSpec> drawn) {
        try {
            return new Drawn(drawn);
        } catch (StockFails e) {
            return null;
        }
    }

    /** A smaller network that fails too, found in at most so many steps. */
    public Drawn smallest(Predicate<Drawn> fails, int steps) {
        Drawn smallest = this;
        boolean smaller = true;
        int left = steps;
        while (smaller) {
            smaller = false;
            for (Shrinkable<NetworkSpec> candidate : (Iterable<Shrinkable<NetworkSpec>>) smallest.drawn.shrink()::iterator) {
                if (left-- <= 0) {
                    return smallest;
                }
                Drawn other = of(candidate);
                if (other != null && fails.test(other)) {
                    smallest = other;
                    smaller = true;
                    break;
                }
            }
        }
        return smallest;
    }

    /**
     * Whether DL4J computes the same each time, and nearly the same in DOUBLE. Some of its layers read memory that nobody has
     * written, and its means of many values are rounded.
     */
    public boolean isSteady() {
        if (hasConvolvedMask()) {
            return false;
        }
        INDArray output = trial.output(trial.original);
        for (int again = 0; again < AGAIN; again++) {
            Trial other = new Trial(spec);
            if (!Trial.bits(other.output(other.original)).equals(Trial.bits(output))) {
                return false;
            }
        }
        if (mask() != null) {
            // Masks in DOUBLE are not for all of its layers.
            return true;
        }
        INDArray precise = trial.output(trial.original instanceof ComputationGraph graph ? graph.convertDataType(DataType.DOUBLE)
                : ((MultiLayerNetwork) trial.original).convertDataType(DataType.DOUBLE));
        return precise.sub(output.castTo(DataType.DOUBLE)).amaxNumber().doubleValue() <= MOST_ROUNDED;
    }

    private static NetworkSpec single(NetworkSpec spec) {
        return new NetworkSpec(spec.graph(), spec.input(), spec.layers(), spec.head(), spec.headRole(), spec.settings(),
                spec.examples(), spec.masked(), spec.workspaces(), DataType.FLOAT, spec.adam(), spec.scheduled(), spec.path(),
                spec.seed());
    }

    /** {@return the network} */
    public Model network() {
        return trial.original;
    }

    /** {@return the type of its input; that of words tells their number in an example} */
    public InputType type() {
        return spec.input().isWords() ? InputType.feedForward(trial.features.size(1)) : spec.input().type;
    }

    /** {@return a batch of features} */
    public INDArray features() {
        return trial.features;
    }

    /** {@return the mask of the features; null for none} */
    public @Nullable INDArray mask() {
        return trial.featuresMask;
    }

    /** Whether its input is sequences, of values or of indexes. */
    public boolean isSequence() {
        return spec.input().signal == Signal.SEQUENCE;
    }

    /** Whether other lengths can be told: a mask is partly unwritten memory behind strided causal convolutions. */
    public boolean hasOtherLengths() {
        return isSequence() && !hasConvolvedMask();
    }

    private boolean hasConvolvedMask() {
        return mask() != null && spec.layers().stream().anyMatch(layer -> layer.kind() == Kind.CONVOLUTION_1D);
    }

    /** {@return the dimension of time of its features} */
    public int time() {
        return spec.input() == Input.SEQUENCE ? 2 : 1;
    }

    /** {@return features of another length} */
    public INDArray features(int length) {
        INDArray twice = Nd4j.concat(time(), spec.input().features(DataType.FLOAT, spec.examples(), spec.seed() + 5),
                spec.input().features(DataType.FLOAT, spec.examples(), spec.seed() + 6));
        INDArrayIndex[] part = new INDArrayIndex[twice.rank()];
        Arrays.fill(part, NDArrayIndex.all());
        part[time()] = NDArrayIndex.interval(0, length);
        return twice.get(part).dup('c');
    }

    @Override
    public String toString() {
        return spec.toString();
    }
}
