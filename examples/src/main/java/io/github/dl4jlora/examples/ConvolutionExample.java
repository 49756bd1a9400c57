package io.github.dl4jlora.examples;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.console.Program;
import io.github.dl4jlora.console.ResultTable;
import io.github.dl4jlora.machine.Threads;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.PoolingType;
import org.deeplearning4j.nn.conf.layers.SubsamplingLayer;
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
import java.util.Random;

/**
 * A convolutional network that reads dark digits on clean paper learns to read light digits on a dark, speckled ground:
 * with its output layer trained, with adapters on its convolutions, and with every weight trained.
 */
@Command(name = "convolution", sortOptions = false,
        description = "Trains a convolutional network on handwritten digits, teaches it "
        + "light digits on a noisy dark ground with LoRA on its convolutions, and compares that with training only its output "
        + "layer and with full fine-tuning.")
public final class ConvolutionExample extends Comparison {

    private static final int EPOCHS = 8;
    private static final double ALPHA = 4;
    private static final int CHANNELS = 32;
    private static final int WIDTH = 64;
    private static final int LAST_HIDDEN = 4;
    private static final int BATCH = 32;
    private static final double LEARNING_RATE = 2e-3;
    private static final double TEST_SHARE = 0.25;

    ConvolutionExample() {
        super(EPOCHS, ALPHA);
    }

    public static void main(String[] args) {
        Threads.settle();
        System.exit(Program.run(commandLine(), args));
    }

    static CommandLine commandLine() {
        return commandLine(new ConvolutionExample());
    }

    @Override
    Integer compare() throws IOException {
        LoRAConfig lora = lora(LEARNING_RATE).targets("conv.*").build();
        Path folder = outputFolder();

        // Real handwriting, and the same images as if chalked on a dirty board. Nothing is trained on test images.
        Digits.Split digits = Digits.load().split(TEST_SHARE, seed());
        Random random = new Random(seed());
        Digits.Split paper = new Digits.Split(digits.train().onPaper(), digits.test().onPaper());
        Digits.Split board = new Digits.Split(paper.train().onBoard(random), paper.test().onBoard(random));
        tellData(String.format(Locale.ROOT, "%,d handwritten digits to train on, %,d to test on", paper.train().size(),
                paper.test().size()));

        MultiLayerNetwork base = newNetwork(seed());
        train("base, paper", base, paper.train().batches(BATCH));
        Before before = Before.of(base, board.test().features());

        ThreeWays ways = teach(base, lora, LAST_HIDDEN, LEARNING_RATE, () -> board.train().batches(BATCH), folder);

        ResultTable results = printTable(ways, base,
                "on the board", network -> Figures.accuracy(network, board.test().batches(BATCH)),
                "on paper", network -> Figures.accuracy(network, paper.test().batches(BATCH)));
        return conclude(new Story("LoRA on convolutions: digits on the board",
                "A convolutional network that reads dark digits on clean paper is taught light digits on a dark, speckled board.",
                "On the board and on paper: the share of test images that are read right."),
                base, before, ways, results, folder);
    }

    /** {@return the network before it has learned anything; the layers 0, 1 and 3 are convolutions} */
    public static MultiLayerNetwork newNetwork(long seed) {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(seed)
                .updater(new Adam(LEARNING_RATE)).weightInit(WeightInit.RELU).activation(Activation.ELU)
                .convolutionMode(ConvolutionMode.Same).list()
                .layer(new ConvolutionLayer.Builder(3, 3).name("conv1").nOut(CHANNELS).build())
                .layer(new ConvolutionLayer.Builder(3, 3).name("conv2").nOut(2 * CHANNELS).build())
                .layer(new SubsamplingLayer.Builder(PoolingType.MAX).kernelSize(2, 2).stride(2, 2).build())
                .layer(new ConvolutionLayer.Builder(3, 3).name("conv3").nOut(2 * CHANNELS).build())
                .layer(new DenseLayer.Builder().name("fc").nOut(WIDTH).build())
                .layer(new OutputLayer.Builder(LossFunction.MCXENT).name("out").nOut(Digits.CLASSES)
                        .weightInit(WeightInit.XAVIER).activation(Activation.SOFTMAX).build())
                .setInputType(InputType.convolutionalFlat(Digits.SIDE, Digits.SIDE, 1))
                .build());
        network.init();
        return network;
    }
}
