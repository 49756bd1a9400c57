package io.github.dl4jlora.property;

import io.github.dl4jlora.Gradients;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.NeuralNetwork;
import org.deeplearning4j.nn.conf.layers.BaseOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.lossfunctions.impl.LossBinaryXENT;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Stream;

/** A spec come true: the stock network and a batch of data. */
final class Trial {

    private static final int STEADY = 100;
    /** One, two or three examples alone have few directions, or none. */
    private static final int START_EXAMPLES = 6;

    final NetworkSpec spec;
    final Set<String> names;
    final Model original;
    private Model restored;
    private Model mapped;
    final INDArray features;
    final INDArray labels;
    /** Null: none. */
    final INDArray featuresMask;
    /** Null: none. */
    final INDArray labelsMask;

    /**
     * @throws StockFails if DL4J cannot build the network, or not compute it
     */
    Trial(NetworkSpec spec) {
        this.spec = spec;
        Nd4j.setDefaultDataTypes(spec.type(), spec.type());
        Nd4j.getRandom().setSeed(spec.seed());
        this.features = spec.input().features(spec.type(), spec.examples(), spec.seed());
        this.featuresMask = spec.masked() && spec.input().signal == Signal.SEQUENCE ? mask(Input.STEPS) : null;
        try {
            this.names = Stock.names(spec);
            this.original = Stock.of(spec);
            INDArray output = output(original);
            if (!Double.isFinite(output.castTo(DataType.DOUBLE).sumNumber().doubleValue())) {
                throw new ArithmeticException("its output is not finite");
            }
            this.labels = Networks.random(spec.type(), spec.seed() + 1, output.shape());
            spec.head().makeLabels(labels);
            this.labelsMask = featuresMask == null || output.rank() != 3 ? null
                    : mask((int) output.size(spec.input() == Input.SEQUENCE_CHANNELS_LAST ? 1 : 2));
        } catch (RuntimeException e) {
            throw new StockFails("building or output", e);
        }
    }

    /** Sequences of different lengths. */
    private INDArray mask(int steps) {
        return mask(steps, spec.examples());
    }

    private INDArray mask(int steps, int examples) {
        INDArray mask = Nd4j.ones(spec.type(), examples, steps);
        for (int i = 0; i < examples; i++) {
            for (int t = 0; t <= i && t < steps - 1; t++) {
                mask.putScalar(i, steps - 1 - t, 0);
            }
        }
        return mask;
    }

    /** Whether something is trained in full, so that of the base's values not all need be there any more. */
    boolean trainsInFull() {
        return names.stream().anyMatch(name -> name.matches(Role.TRAINED.pattern()));
    }

    private boolean adaptsHeadAlone() {
        return names.stream().filter(name -> name.matches(Role.ADAPTED.pattern())).allMatch(name -> name.contains(Stock.HEAD));
    }

    LoRAConfig config() {
        return config(spec.settings());
    }

    LoRAConfig config(Settings asked) {
        Settings settings = spec.hasBatchNorm() && !asked.everywhere() ? asked.withoutBiasesOfFrozenLayers() : asked;
        if (!settings.everywhere() && !settings.isTakenBy(Settings.By.PRODUCT) && adaptsHeadAlone()) {
            settings = settings.by(Engine.FUSED);
        }
        LoRAConfig.Builder config = settings.config().targets(Role.ADAPTED.pattern()).updater(Stock.updater(spec))
                .seed(spec.seed());
        return (trainsInFull() ? config.trainable(Role.TRAINED.pattern()) : config).build();
    }

    /**
     * The same without the bounds within which DL4J's binary cross-entropy keeps probabilities: beyond them its score is
     * constant, but its gradient is not zero.
     */
    Trial unclipped() {
        Trial other = new Trial(spec);
        Layer head = other.original instanceof ComputationGraph graph ? graph.getOutputLayer(0)
                : ((MultiLayerNetwork) other.original).getOutputLayer();
        if (head.conf().getLayer() instanceof BaseOutputLayer output && output.getLossFn() instanceof LossBinaryXENT loss) {
            loss.setClipEps(0);
        }
        return other;
    }

    /** The stock network that an adapted one stands on: of values that were quantised, as they are given back. */
    Model base() {
        if (spec.settings().place().scheme == null) {
            return original;
        }
        restored = restored != null ? restored : Models.unload(adapted());
        return restored;
    }

    /** What adapters are put on: the stock network, or what stands on a file of it. */
    Model source() {
        // LoRA.writeBase refuses a network without parameters, of which nothing can be named.
        if (!spec.settings().place().mapped || original.params().length() == 0) {
            return original;
        }
        if (mapped == null) {
            try {
                java.nio.file.Path file = Files.createTempFile("property", ".base");
                try {
                    LoRA.writeBase(original, file, spec.settings().place().scheme);
                    mapped = LoRA.openBase(file);
                } finally {
                    // What is mapped stays without its name, but for Windows, which deletes nothing that is open.
                    if (!file.toFile().delete()) {
                        file.toFile().deleteOnExit();
                    }
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
        return mapped;
    }

    /** {@link #source} without adapters, frozen. */
    Model frozen() {
        return spec.settings().place().mapped ? source() : Models.freeze(original, spec.settings().place().scheme);
    }

    /** A fresh adapted network. */
    Model adapted() {
        return apply(source(), config());
    }

    /** Of a start from data with data that has enough of it. */
    Model apply(Model from, LoRAConfig config) {
        return config.loraInit().needsData() ? Models.apply(from, config, new ExistingDataSetIterator(List.of(startData())))
                : Models.apply(from, config);
    }

    private DataSet startData() {
        INDArray many = spec.input().features(spec.type(), START_EXAMPLES, spec.seed() + 3);
        INDArray mask = featuresMask == null ? null : mask(Input.STEPS, START_EXAMPLES);
        if (!isFinite(output(original, many.dup(), mask == null ? null : mask.dup()))) {
            throw new StockFails("the output of more examples is not finite", null);
        }
        long[] shape = labels.shape().clone();
        shape[0] *= START_EXAMPLES / (double) spec.examples();
        INDArray wanted = Networks.random(spec.type(), spec.seed() + 4, shape);
        spec.head().makeLabels(wanted);
        return new DataSet(many, wanted, mask, labelsMask == null ? null : mask((int) labelsMask.size(1), START_EXAMPLES));
    }

    /** A network with an adapter, on values that are kept as the settings say: the engine decides which are quantised. */
    Model with(LoRAAdapter adapter) {
        Settings.Place place = spec.settings().place();
        return place.scheme == null && !place.isPacked() ? Models.with(source(), adapter)
                : Models.with(source(), adapter, LoRAConfig.builder().quantize(place.scheme).pack(place.isPacked())
                        .engine(config().engine()).build());
    }

    /** One whose adapters have other values than at the start. */
    Model tuned() {
        return tuned(config());
    }

    Model tuned(LoRAConfig config) {
        return tuned(source(), config);
    }

    Model tuned(Model from, LoRAConfig config) {
        return randomized(apply(from, config), spec.seed());
    }

    Model randomized(Model adapted, long seed) {
        Networks.randomizeAdapters(adapted.paramTable(), seed);
        return adapted;
    }

    /** A tuned one that was also trained, biases and all. */
    Model trained() {
        Model tuned = tuned();
        fit(tuned);
        return tuned;
    }

    /** What an inference pass computes, as a copy. */
    INDArray output(Model network) {
        DataType type = network.params() == null ? spec.type() : network.params().dataType();
        // Some of DL4J's layers write to their input.
        return output(network, features.dup().castTo(type), featuresMask == null ? null : featuresMask.dup().castTo(type));
    }

    /** In a batch DL4J's TimeDistributed masks an example by another's mask. */
    boolean mixesUpMasks() {
        return featuresMask != null && spec.layers().stream().anyMatch(layer -> layer.wraps().contains(Wrap.TIME_DISTRIBUTED));
    }

    /** As {@link #output(Model)}, of one example alone, which not all of DL4J's graphs can compute. */
    INDArray output(Model network, int example) {
        DataType type = network.params() == null ? spec.type() : network.params().dataType();
        return output(network, only(example, features).castTo(type),
                featuresMask == null ? null : only(example, featuresMask).castTo(type));
    }

    private static INDArray only(int example, INDArray examples) {
        return examples.get(NDArrayIndex.interval(example, example + 1)).dup();
    }

    private static INDArray output(Model network, INDArray features, INDArray mask) {
        return network instanceof ComputationGraph graph
                ? graph.output(false, new INDArray[]{features}, mask == null ? null : new INDArray[]{mask}, null)[0].dup()
                : ((MultiLayerNetwork) network).output(features, false, mask, null).dup();
    }

    /** In test mode. */
    double score(Model network) {
        return network instanceof ComputationGraph graph ? graph.score(data(), false)
                : ((MultiLayerNetwork) network).score(batch(), false);
    }

    void fit(Model network) {
        Models.fit(network, batch());
    }

    /** Training and inference on the caller's own arrays. */
    void useOwnArrays(Model network) {
        Models.fit(network, new DataSet(features, labels, featuresMask, labelsMask));
        output(network, features, featuresMask);
    }

    DataSet batch() {
        return new DataSet(features, labels, featuresMask, labelsMask).copy();
    }

    MultiDataSet data() {
        DataSet batch = batch();
        return new MultiDataSet(new INDArray[]{batch.getFeatures()}, new INDArray[]{batch.getLabels()},
                featuresMask == null ? null : new INDArray[]{batch.getFeaturesMaskArray()},
                labelsMask == null ? null : new INDArray[]{batch.getLabelsMaskArray()});
    }

    /** The caller's arrays, bit by bit. */
    List<List<Long>> bits() {
        return Stream.of(features, labels, featuresMask, labelsMask).filter(Objects::nonNull).map(Trial::bits).toList();
    }

    static List<Long> bits(INDArray array) {
        List<Long> bits = new ArrayList<>();
        for (double value : Models.values(array)) {
            bits.add(Double.doubleToRawLongBits(value));
        }
        return bits;
    }

    /**
     * Does with a network of DL4J's own all that an adapted one may have failed at; then with one whose layers are out of
     * freezing wrappers, as some of the adapted one's are.
     *
     * @throws StockFails if it fails too
     */
    static void requireStock(NetworkSpec spec) {
        train(new Trial(spec));
        if (spec.freezesInBase()) {
            train(new Trial(spec.unfrozen()));
        }
    }

    /**
     * Some of DL4J's layers read memory that nobody has written, such as causal convolutions of masked sequences: one
     * network in twenty of the same values computes something else.
     *
     * @throws StockFails if its results differ from one network to the next
     */
    static void requireSteadyStock(NetworkSpec spec) {
        Set<List<Object>> seen = new HashSet<>();
        for (int again = 0; again < STEADY; again++) {
            Trial trial = new Trial(spec);
            seen.add(List.of(trainingScore(trial), bits(trial.output(trial.original))));
        }
        if (seen.size() > 1) {
            throw new StockFails("networks of equal values compute different things", null);
        }
    }

    private static double trainingScore(Trial trial) {
        try {
            return trial.spec.isRandom() ? 0 : Gradients.pass(trial.original, trial.data());
        } catch (RuntimeException e) {
            // What DL4J itself froze may cut off what trains below.
            return Double.NaN;
        }
    }

    private static void train(Trial trial) {
        try {
            Gradients.pass(trial.original, trial.data());
            trial.fit(trial.original);
            trial.output(trial.original);
        } catch (RuntimeException e) {
            throw new StockFails("training", e);
        }
    }

    /** The same of the network in single precision. By oneDNN on a base in codes inputs are rounded to bfloat16. */
    double toleranceOfFloat() {
        Quantization scheme = spec.settings().place().scheme;
        boolean rounds = spec.library() == Library.ONE_DNN && (scheme == Quantization.BF16 || scheme == Quantization.INT8);
        return rounds ? 2e-2 : 2e-4;
    }

    /** How far two results of this network's data type may be apart. */
    double tolerance() {
        return switch (spec.type()) {
            case DOUBLE -> 1e-9;
            case FLOAT -> toleranceOfFloat();
            default -> 2e-2;
        };
    }

    /** The largest difference, relative to the values where these are above 1. */
    static double distance(INDArray actual, INDArray expected) {
        if (isFinite(actual) || isFinite(expected)) {
            return finiteDistance(actual, expected);
        }
        throw new StockFails("the function itself is not finite", null);
    }

    private static boolean isFinite(INDArray array) {
        return array.isEmpty() || Double.isFinite(array.castTo(DataType.DOUBLE).sumNumber().doubleValue());
    }

    private static double finiteDistance(INDArray actual, INDArray expected) {
        if (expected.length() == 0 && actual.length() == 0) {
            return 0;
        }
        double largest = Math.abs(expected.castTo(DataType.DOUBLE).amaxNumber().doubleValue());
        double distance = Networks.difference(actual, expected) / Math.max(1, largest);
        return Double.isNaN(distance) ? Double.POSITIVE_INFINITY : distance;
    }

    /** Configuration, counts, values, state of the updater. */
    static List<Object> everything(Model network) {
        INDArray state = ((NeuralNetwork) network).updaterState();
        return List.of(Models.json(network), network.params().dataType(), bits(network.params()),
                state == null ? List.of() : bits(state));
    }
}
