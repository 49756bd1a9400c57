package io.github.dl4jlora.examples;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.console.Program;
import io.github.dl4jlora.console.ResultTable;
import io.github.dl4jlora.machine.Threads;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.weights.WeightInit;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import picocli.CommandLine.Command;
import picocli.CommandLine;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Random;

/**
 * A recurrent network that has read Alice's Adventures in Wonderland letter by letter learns how Shakespeare's characters talk:
 * with its output layer trained, with adapters on its LSTM layer, and with every weight trained. The measure is bits per
 * character, on pages that it has not read.
 */
@Command(name = "style", sortOptions = false,
        description = "Trains a character LSTM on Alice in Wonderland, teaches it the style of "
        + "Shakespeare with LoRA on the LSTM layer, and compares that with training only its output layer and with full "
        + "fine-tuning, in bits per character.")
public final class StyleExample extends Comparison {

    private static final int EPOCHS = 4;
    private static final double ALPHA = 4;
    private static final int SHORT_TEXT = 20_000;
    private static final int WIDTH = 128;
    private static final int BATCH = 32;
    private static final int STEPS = 64;
    private static final double LEARNING_RATE = 5e-3;
    private static final double TEST_SHARE = 0.1;
    private static final int SAMPLE = 200;

    StyleExample() {
        super(EPOCHS, ALPHA);
    }

    public static void main(String[] args) {
        Threads.settle();
        System.exit(Program.run(commandLine(), args));
    }

    static CommandLine commandLine() {
        return commandLine(new StyleExample());
    }

    @Override
    Integer compare() throws IOException {
        LoRAConfig lora = lora(LEARNING_RATE).targets("lstm").build();
        Path folder = outputFolder();
        Text.Split alice = load("alice.txt.gz");
        Text.Split shakespeare = load("shakespeare.txt.gz");
        tellData(String.format(Locale.ROOT,
                "%,d characters of Carroll to train on, then %,d of Shakespeare; %,d and %,d to test on",
                alice.train().length(), shakespeare.train().length(), alice.test().length(), shakespeare.test().length()));

        MultiLayerNetwork base = newNetwork();
        train("base, Carroll", base, alice.train().batches(BATCH, STEPS));
        Before before = Before.of(base, shakespeare.test().batches(BATCH, STEPS).next().getFeatures());

        ThreeWays ways = teach(base, lora, 0, LEARNING_RATE, () -> shakespeare.train().batches(BATCH, STEPS), folder);

        out().println();
        out().print("Bits per character, on text that was not read:");
        ResultTable results = printTable(ways, base, "Shakespeare", network -> bits(network, shakespeare), "Carroll",
                network -> bits(network, alice));
        out().println("The base writes:        " + sample(base));
        out().println("With the adapter:       " + sample(ways.lora().network()));
        out().println();
        return conclude(new Story("LoRA on an LSTM: from Carroll to Shakespeare", "A recurrent network that has read Alice in "
                + "Wonderland letter by letter is taught how Shakespeare's characters talk.",
                "Shakespeare and Carroll: bits per character, on pages not read before; fewer are better."),
                base, before, ways, results, folder);
    }

    private Text.Split load(String resource) {
        Text text = Text.load(resource);
        return (isShort() ? text.first(SHORT_TEXT) : text).split(TEST_SHARE);
    }

    private MultiLayerNetwork newNetwork() {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(seed())
                .updater(new Adam(LEARNING_RATE)).weightInit(WeightInit.XAVIER).list()
                .layer(new LSTM.Builder().name("lstm").nIn(Text.ALPHABET.length()).nOut(WIDTH)
                        .activation(Activation.TANH).build())
                .layer(new RnnOutputLayer.Builder(LossFunction.MCXENT).name("out").nOut(Text.ALPHABET.length())
                        .activation(Activation.SOFTMAX).build())
                .build());
        network.init();
        return network;
    }

    private static String bits(MultiLayerNetwork network, Text.Split text) {
        double bits = 0;
        double characters = 0;
        for (DataSetIterator batches = text.test().batches(BATCH, STEPS); batches.hasNext(); ) {
            DataSet batch = batches.next();
            // DL4J's score is the loss of a whole sequence, in nats, averaged over sequences.
            bits += network.score(batch) * batch.numExamples() / Math.log(2);
            characters += batch.numExamples() * STEPS;
        }
        return String.format(Locale.ROOT, "%.3f", bits / characters);
    }

    /** Text sampled letter by letter; line breaks are shown as slashes. */
    private String sample(MultiLayerNetwork network) {
        Random random = new Random(seed());
        StringBuilder text = new StringBuilder("\n");
        network.rnnClearPreviousState();
        while (text.length() <= SAMPLE) {
            INDArray letter = Nd4j.zeros(1, Text.ALPHABET.length());
            letter.putScalar(0, Text.ALPHABET.indexOf(text.charAt(text.length() - 1)), 1);
            double left = random.nextDouble();
            double[] chances = network.rnnTimeStep(letter).ravel().toDoubleVector();
            int next = 0;
            while (next < chances.length - 1 && (left -= chances[next]) > 0) {
                next++;
            }
            text.append(Text.ALPHABET.charAt(next));
        }
        network.rnnClearPreviousState();
        return text.substring(1).replaceAll("\n+", " / ");
    }
}
