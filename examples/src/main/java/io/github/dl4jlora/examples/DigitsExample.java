package io.github.dl4jlora.examples;

import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.console.Program;
import io.github.dl4jlora.console.ResultTable;
import io.github.dl4jlora.machine.Threads;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.weights.WeightInit;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import picocli.CommandLine.Command;
import picocli.CommandLine;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Locale;

/**
 * A network that reads upright digits learns to read digits that lie on their side, in three ways: with only its output layer
 * trained, with LoRA, and with every weight trained. All three start from the same network and get the same images, epochs and
 * updater. {@link #compare} shows the whole procedure.
 */
@Command(name = "digits", sortOptions = false, description = "Trains a network on upright handwritten digits, teaches it digits "
        + "turned by 90 degrees with LoRA, and compares that with training only its output layer and with full fine-tuning.")
public final class DigitsExample extends Comparison {

    private static final int EPOCHS = 20;
    private static final double ALPHA = 1;
    private static final int WIDTH = 256;
    private static final int LAST_HIDDEN = 2;
    private static final int BATCH = 32;
    private static final double LEARNING_RATE = 2e-3;
    private static final double TEST_SHARE = 0.25;

    DigitsExample() {
        super(EPOCHS, ALPHA);
    }

    public static void main(String[] args) {
        Threads.settle();
        System.exit(Program.run(commandLine(), args));
    }

    /** What {@link #main} runs. */
    public static CommandLine commandLine() {
        return commandLine(new DigitsExample());
    }

    @Override
    Integer compare() throws IOException {
        LoRAConfig lora = lora(LEARNING_RATE).build();
        Path folder = outputFolder();

        // Real handwriting, and the same images lying on their side. Nothing is trained on test images.
        Digits.Split upright = Digits.load().split(TEST_SHARE, seed());
        Digits.Split turned = new Digits.Split(upright.train().turned(), upright.test().turned());
        tellData(String.format(Locale.ROOT, "%,d handwritten digits to train on, %,d to test on", upright.train().size(),
                upright.test().size()));

        // The base learns to read upright digits only.
        MultiLayerNetwork base = newNetwork();
        train("base, upright", base, upright.train().batches(BATCH));
        Before before = Before.of(base, turned.test().features());

        // Three ways to teach it turned digits. What has to be stored: whole networks, or an adapter beside the base.
        ThreeWays ways = teach(base, lora, LAST_HIDDEN, LEARNING_RATE, () -> turned.train().batches(BATCH), folder);
        ResultTable results = printTable(ways, base,
                "turned digits", network -> Figures.accuracy(network, turned.test().batches(BATCH)),
                "upright digits", network -> Figures.accuracy(network, upright.test().batches(BATCH)));
        return conclude(new Story("LoRA on turned digits", "A network that reads upright handwritten digits is taught to read "
                + "them turned by 90 degrees.", "Turned and upright digits: the share of test images that are read right."),
                base, before, ways, results, folder);
    }

    private MultiLayerNetwork newNetwork() {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(seed())
                .updater(new Adam(LEARNING_RATE)).weightInit(WeightInit.RELU).activation(Activation.RELU).list()
                .layer(new DenseLayer.Builder().name("fc1").nIn(Digits.PIXELS).nOut(WIDTH).build())
                .layer(new DenseLayer.Builder().name("fc2").nOut(WIDTH).build())
                .layer(new DenseLayer.Builder().name("fc3").nOut(WIDTH).build())
                .layer(new OutputLayer.Builder(LossFunction.MCXENT).name("out").nOut(Digits.CLASSES)
                        .weightInit(WeightInit.XAVIER).activation(Activation.SOFTMAX).build())
                .build());
        network.init();
        return network;
    }
}
