package io.github.dl4jlora.examples.tasks;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.machine.Threads;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import org.nd4j.linalg.util.FeatureUtil;

import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.function.IntUnaryOperator;
import java.util.zip.GZIPInputStream;

/** One network, two tasks: an adapter for digits that lie on their side and one for mirrored digits change places in it. */
public class SwapTwoAdapters {

    private static final Path FOLDER = Path.of("target", "tasks", "SwapTwoAdapters");
    private static final int SEED = 7;

    /** Where a pixel of a changed digit comes from. */
    private enum Task {
        UPRIGHT(i -> i), TURNED(i -> (7 - i % 8) * 8 + i / 8), MIRRORED(i -> i / 8 * 8 + 7 - i % 8);

        private final IntUnaryOperator source;

        Task(IntUnaryOperator source) {
            this.source = source;
        }
    }

    public static void main(String[] args) throws Exception {
        Threads.settle();                                          // first of all: ND4J's threads no longer spin
        MultiLayerNetwork base = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(SEED)
                .updater(new Adam(2e-3)).activation(Activation.RELU).list()
                .layer(new DenseLayer.Builder().name("fc1").nIn(64).nOut(128).build())
                .layer(new DenseLayer.Builder().name("fc2").nOut(128).build())
                .layer(new OutputLayer.Builder(LossFunction.MCXENT).name("out").nOut(10).activation(Activation.SOFTMAX).build())
                .build());
        base.init();
        base.fit(new ExistingDataSetIterator(digits(Task.UPRIGHT).subList(0, 43)), 10);
        learn(base, Task.TURNED);
        learn(base, Task.MIRRORED);

        // Adapters are swapped in place: the network is built once, and all is checked before the first value changes.
        LoRAAdapter turned = LoRAAdapter.load(FOLDER.resolve(Task.TURNED.name()));
        LoRAAdapter mirrored = LoRAAdapter.load(FOLDER.resolve(Task.MIRRORED.name()));
        MultiLayerNetwork network = LoRA.apply(base, turned);
        INDArray some = digits(Task.TURNED).get(43).getFeatures();
        INDArray first = network.output(some).dup();
        tell("Adapter for turned digits", network);
        mirrored.applyTo(network);
        tell("Adapter for mirrored digits", network);
        try (LoRA.Scope off = LoRA.disabled(network)) {
            tell("Adapter switched off", network);
        }
        turned.applyTo(network);
        if (!network.output(some).equals(first)) {
            throw new IllegalStateException("Swapped back, the network computes something else than before");
        }
        // To train on after a swap, forget the other task's momentum: applyTo(network, LoRAAdapter.ApplyOption.RESET_UPDATER).
        System.out.println("Swapped back, the network computes what it did, bit for bit.");
    }

    private static void learn(MultiLayerNetwork base, Task task) throws Exception {
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK)
                .updater(new Adam(3e-3)).seed(SEED).build());
        tuned.fit(new ExistingDataSetIterator(digits(task).subList(0, 43)), 10);
        LoRAAdapter.of(tuned).save(FOLDER.resolve(task.name()));
        System.out.printf("%s digits: %.1f %% right before, %.1f %% after.%n", task, percent(base, task), percent(tuned, task));
    }

    private static void tell(String how, MultiLayerNetwork network) throws Exception {
        System.out.printf("%s: %.1f %% of upright, %.1f %% of turned, %.1f %% of mirrored digits.%n", how,
                percent(network, Task.UPRIGHT), percent(network, Task.TURNED), percent(network, Task.MIRRORED));
    }

    private static double percent(MultiLayerNetwork network, Task task) throws Exception {
        return 100 * network.evaluate(new ExistingDataSetIterator(digits(task).subList(43, 57))).accuracy();
    }

    /** Real handwriting, a file to copy along: 64 numbers a line, from 0 (paper) to 16 (ink), and the digit that they show. */
    private static List<DataSet> digits(Task task) throws Exception {
        String file = "/io/github/dl4jlora/examples/digits.csv.gz";
        try (InputStream in = new GZIPInputStream(Objects.requireNonNull(SwapTwoAdapters.class.getResourceAsStream(
                file), "Copy " + file + " from dl4j-lora's examples/src/main/resources to yours"))) {
            INDArray lines = Nd4j.readNumpy(DataType.FLOAT, in, ",", StandardCharsets.US_ASCII);
            INDArray pixels = Nd4j.create(DataType.FLOAT, lines.rows(), 64);
            for (int i = 0; i < 64; i++) {
                pixels.putColumn(i, lines.getColumn(task.source.applyAsInt(i)).div(16));
            }
            DataSet digits = new DataSet(pixels, FeatureUtil.toOutcomeMatrix(lines.getColumn(64).toIntVector(), 10));
            digits.shuffle(SEED);
            return digits.batchBy(32);
        }
    }
}
