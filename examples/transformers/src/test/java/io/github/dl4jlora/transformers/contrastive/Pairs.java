package io.github.dl4jlora.transformers.contrastive;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.transformers.Head;
import io.github.dl4jlora.transformers.Transformer;
import io.github.dl4jlora.transformers.TransformerShape;
import io.github.dl4jlora.transformers.layer.InBatchNegatives;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.IUpdater;

import java.util.Random;

/** A tiny encoder under a contrastive loss, and random texts of 1 to 7 tokens for it. */
final class Pairs {

    private static final int VOCABULARY = 23;
    private static final int TOKENS = 7;

    private Pairs() {
    }

    static ComputationGraph encoder(InBatchNegatives loss, DataType type) {
        GraphBuilder graph = Transformer.addTo(new NeuralNetConfiguration.Builder().seed(3).dataType(type).updater(new Adam(1e-3))
                .graphBuilder(), TransformerShape.bert(VOCABULARY, TOKENS, 8, 12, 2, 2), Head.meanPooling());
        graph.addLayer("contrast", new LossLayer.Builder(loss).build(), Transformer.POOLING).setOutputs("contrast");
        ComputationGraph network = new ComputationGraph(graph.build());
        network.init();
        Nd4j.getRandom().setSeed(3);
        network.params().addi(Nd4j.randn(type, network.params().shape()).muli(0.3));
        return network;
    }

    static LoRAConfig.Builder lora(IUpdater updater) {
        return LoRAConfig.builder().rank(2).targets("encoder.*(query|value)").updater(updater).seed(5);
    }

    /** With adapters that have learned something: A and B are both random. */
    static ComputationGraph adapted(ComputationGraph encoder, LoRAConfig config) {
        ComputationGraph adapted = LoRA.apply(encoder, config);
        Nd4j.getRandom().setSeed(4);
        adapted.params().addi(Nd4j.randn(adapted.params().dataType(), adapted.params().shape()).muli(0.3));
        return adapted;
    }

    static ComputationGraph adapted(InBatchNegatives loss, DataType type) {
        return adapted(encoder(loss, type), lora(new Adam(1e-2)).build());
    }

    static DataSet batch(InBatchNegatives loss, int pairs, DataType type, long seed) {
        Random random = new Random(seed);
        int rows = (2 + loss.getHardNegatives()) * pairs;
        double[][] ids = new double[rows][TOKENS];
        double[][] groups = new double[rows][1];
        for (int row = 0; row < rows; row++) {
            int length = 1 + random.nextInt(TOKENS);
            for (int i = 0; i < length; i++) {
                ids[row][i] = 1 + random.nextInt(VOCABULARY - 1);
            }
            // Two queries of a batch share their document.
            groups[row][0] = row < 2 * pairs ? Math.max(row % pairs, 1) : row;
        }
        return new DataSet(Nd4j.createFromArray(ids).castTo(type), Nd4j.createFromArray(groups).castTo(type));
    }

    static INDArray gradient(ComputationGraph network, DataSet batch) {
        network.setInputs(batch.getFeatures());
        network.setLabels(batch.getLabels().dup());
        INDArray mask = batch.getFeaturesMaskArray();
        network.setLayerMaskArrays(mask == null ? null : new INDArray[]{mask}, null);
        network.computeGradientAndScore();
        return network.getFlattenedGradients().dup();
    }

    /** Relative, Frobenius. */
    static double difference(INDArray actual, INDArray expected) {
        return actual.sub(expected).norm2Number().doubleValue() / expected.norm2Number().doubleValue();
    }
}
