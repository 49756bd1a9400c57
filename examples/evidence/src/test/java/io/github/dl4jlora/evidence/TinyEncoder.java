package io.github.dl4jlora.evidence;

import io.github.dl4jlora.transformers.Head;
import io.github.dl4jlora.transformers.Transformer;
import io.github.dl4jlora.transformers.TransformerShape;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/** An encoder of MiniLM's proportions that nobody trained, and texts of four tokens whose class is the first token's. */
final class TinyEncoder implements Task {

    static final int WIDTH = 36;
    static final int LAYERS = 2;
    static final String HEAD = "classifier";

    private static final TransformerShape SHAPE = TransformerShape.bert(11, 4, WIDTH, 4 * WIDTH, LAYERS, 2);
    private static final int CLASSES = 2;
    private static final int BATCHES = 6;
    private static final int BATCH = 5;

    @Override
    public String name() {
        return "tiny encoder";
    }

    @Override
    public String measure() {
        return "texts told right, %";
    }

    @Override
    public List<String> targets() {
        return List.of("encoder\\..*\\.(query|value)");
    }

    @Override
    public List<String> trainable() {
        return List.of(HEAD);
    }

    @Override
    public int epochs() {
        return 1;
    }

    @Override
    public Start start(long seed) {
        GraphBuilder graph = Transformer.addTo(new NeuralNetConfiguration.Builder().seed(seed).updater(new Adam()).graphBuilder(),
                SHAPE, Head.meanPooling());
        graph.addLayer(HEAD, new OutputLayer.Builder(LossFunction.MCXENT).nIn(WIDTH).nOut(CLASSES)
                .activation(Activation.SOFTMAX).build(), Transformer.POOLING).setOutputs(HEAD);
        ComputationGraph base = new ComputationGraph(graph.build());
        base.init();
        Random random = new Random(seed);
        List<DataSet> batches = IntStream.range(0, BATCHES).mapToObj(i -> batch(random)).toList();
        return new Start(base, batches, network -> Task.percentRight(network, batches), network -> Double.NaN);
    }

    private static DataSet batch(Random random) {
        float[][] ids = new float[BATCH][SHAPE.positions()];
        float[][] classes = new float[BATCH][CLASSES];
        for (int text = 0; text < BATCH; text++) {
            for (int i = 0; i < SHAPE.positions(); i++) {
                ids[text][i] = 1 + random.nextInt(SHAPE.vocabulary() - 1);
            }
            classes[text][(int) ids[text][0] % CLASSES] = 1;
        }
        return new DataSet(Nd4j.create(ids), Nd4j.create(classes));
    }
}
