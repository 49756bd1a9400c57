package io.github.dl4jlora.evidence.task;

import io.github.dl4jlora.evidence.Task;
import io.github.dl4jlora.examples.Text;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.weights.WeightInit;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.List;

/** A recurrent network that has read Carroll letter by letter learns Shakespeare, measured in bits per letter. */
public final class Shakespeare implements Task {

    private static final int CHARACTERS = 40_000;
    private static final int WIDTH = 128;
    private static final int BATCH = 32;
    private static final int STEPS = 32;
    private static final int BASE_EPOCHS = 4;
    private static final int EPOCHS = 2;
    private static final double BASE_RATE = 5e-3;
    private static final double TEST_SHARE = 0.15;
    /** Bits per letter without any knowledge; a network that diverged counts as this bad. */
    private static final double NOTHING_KNOWN = Math.log(Text.ALPHABET.length()) / Math.log(2);

    @Override
    public String name() {
        return "Shakespeare";
    }

    @Override
    public String measure() {
        return "bits a letter of Shakespeare";
    }

    @Override
    public boolean isLoss() {
        return true;
    }

    @Override
    public List<String> targets() {
        return List.of("lstm", "out");
    }

    @Override
    public int epochs() {
        return EPOCHS;
    }

    @Override
    public Start start(long seed) {
        Text.Split carroll = Text.load("alice.txt.gz").first(CHARACTERS).split(TEST_SHARE);
        Text.Split shakespeare = Text.load("shakespeare.txt.gz").first(CHARACTERS).split(TEST_SHARE);
        List<DataSet> batches = shakespeare.train().list(BATCH, STEPS);
        List<DataSet> ofShakespeare = shakespeare.test().list(BATCH, STEPS);
        List<DataSet> ofCarroll = carroll.test().list(BATCH, STEPS);
        ComputationGraph base = network(seed);
        base.fit(new ExistingDataSetIterator(carroll.train().list(BATCH, STEPS)), BASE_EPOCHS);
        return new Start(base, batches, network -> bits(network, ofShakespeare), network -> bits(network, ofCarroll));
    }

    private static ComputationGraph network(long seed) {
        GraphBuilder graph = new NeuralNetConfiguration.Builder().seed(seed).updater(new Adam(BASE_RATE))
                .weightInit(WeightInit.XAVIER).graphBuilder().addInputs("letters")
                .setInputTypes(InputType.recurrent(Text.ALPHABET.length()))
                .addLayer("lstm", new LSTM.Builder().nIn(Text.ALPHABET.length()).nOut(WIDTH).activation(Activation.TANH).build(),
                        "letters")
                .addLayer("out", new RnnOutputLayer.Builder(LossFunction.MCXENT).nIn(WIDTH).nOut(Text.ALPHABET.length())
                        .activation(Activation.SOFTMAX).build(), "lstm").setOutputs("out");
        ComputationGraph network = new ComputationGraph(graph.build());
        network.init();
        return network;
    }

    private static double bits(ComputationGraph network, List<DataSet> batches) {
        double bits = 0;
        double letters = 0;
        for (DataSet batch : batches) {
            // DL4J's score is the loss of a whole sequence, in nats, averaged over sequences.
            bits += network.score(batch) * batch.numExamples() / Math.log(2);
            letters += batch.numExamples() * STEPS;
        }
        return Double.isFinite(bits) ? Math.min(NOTHING_KNOWN, bits / letters) : NOTHING_KNOWN;
    }
}
