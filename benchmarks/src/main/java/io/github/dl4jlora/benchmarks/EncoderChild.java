package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.transformers.Head;
import io.github.dl4jlora.transformers.Transformer;
import io.github.dl4jlora.transformers.TransformerShape;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.NoOp;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/**
 * A child process that takes turns: times all-MiniLM-L6-v2's architecture with random weights under a classifier, with LoRA on
 * query and value. Arguments: those of an {@link EncoderTask}.
 */
final class EncoderChild {

    private static final int CLASSES = 2;

    private EncoderChild() {
    }

    public static void main(String[] args) {
        ComputationGraph base = base();
        Quantization scheme = args[4].equals("FLOAT") ? null : Quantization.valueOf(args[4]);
        ComputationGraph adapted = LoRA.apply(base, config(Integer.parseInt(args[3])).toBuilder().quantize(scheme)
                .pack(Boolean.parseBoolean(args[5])).build());
        DataSet batch = batch(Integer.parseInt(args[1]), Integer.parseInt(args[2]));
        Runnable measured = switch (args[0]) {
            case "lora" -> () -> adapted.fit(batch);
            case "forward" -> () -> adapted.output(batch.getFeatures());
            case "base-forward" -> () -> base.output(batch.getFeatures());
            case "frozen-forward" -> {
                ComputationGraph frozen = LoRA.freeze(base);
                yield () -> frozen.output(batch.getFeatures());
            }
            default -> throw new IllegalArgumentException(args[0] + " is not one of lora, forward, base-forward, frozen-forward");
        };
        Clock.takeTurns(measured);
        System.exit(0);
    }

    static LoRAConfig config(int rank) {
        return LoRAConfig.builder().rank(rank).targets(Transformer.QUERY_VALUE).trainable("classifier")
                .updater(new Adam(1e-4)).build();
    }

    static ComputationGraph base() {
        return base(TransformerShape.MINI_LM_L6);
    }

    static ComputationGraph base(TransformerShape shape) {
        OutputLayer classifier = new OutputLayer.Builder(LossFunction.MCXENT).nIn(shape.hidden()).nOut(CLASSES)
                .activation(Activation.SOFTMAX).build();
        return initialised(pooled(shape).addLayer("classifier", classifier, Transformer.POOLING).setOutputs("classifier"));
    }

    /** {@return a graph up to a vector for each text, which goes on from {@link Transformer#POOLING}} */
    static GraphBuilder pooled(TransformerShape shape) {
        return Transformer.addTo(new NeuralNetConfiguration.Builder().seed(3).updater(new NoOp()).graphBuilder(), shape,
                Head.meanPooling());
    }

    static ComputationGraph initialised(GraphBuilder configuration) {
        ComputationGraph base = new ComputationGraph(configuration.build());
        base.init();
        return base;
    }

    /**
     * {@return a base with random weights and LoRA on query and value}
     *
     * @param scheme of the base's weights; null for FLOAT
     */
    static ComputationGraph adapted(TransformerShape shape, int rank, Quantization scheme) {
        ComputationGraph base = base(shape);
        ComputationGraph adapted = LoRA.apply(base, config(rank).toBuilder().quantize(scheme).build());
        if (scheme != null) {
            base.close();
        }
        return adapted;
    }

    static DataSet batch(int texts, int tokens) {
        INDArray ids = Nd4j.rand(DataType.FLOAT, texts, tokens).muli(TransformerShape.MINI_LM_L6.vocabulary() - 2).addi(1);
        INDArray labels = Nd4j.zeros(texts, CLASSES);
        for (int text = 0; text < texts; text++) {
            labels.putScalar(text, text % CLASSES, 1);
        }
        return new DataSet(Nd4j.math().floor(ids), labels);
    }
}
