package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.transformers.Transformer;
import io.github.dl4jlora.transformers.TransformerShape;
import io.github.dl4jlora.transformers.contrastive.CachedNegatives;
import io.github.dl4jlora.transformers.layer.InBatchNegatives;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;

/**
 * A child process: encoders of texts as teams adapt them, by architecture, with random weights and LoRA on query and value.
 *
 * <ul>
 *   <li>{@code step SCHEME} takes turns with BGE-small's step</li>
 *   <li>{@code pairs N} prints the bytes that contrastive steps on N pairs take beyond what was resident before</li>
 *   <li>{@code long kept} and {@code long recomputed} print the most bytes that were resident in steps of BERT-base in INT8</li>
 * </ul>
 */
final class TextChild {

    /** BGE-small has the sizes of all-MiniLM-L6-v2 and twice its layers. */
    static final TransformerShape BGE_SMALL = TransformerShape.bert(30522, 512, 384, 1536, 12, 12);
    static final int TEXTS = 32;
    static final int TOKENS = 128;
    static final int RANK = 8;

    /** Of MiniLM's sizes, and of a part of {@link CachedNegatives}. */
    static final int PAIR_TOKENS = 64;
    static final int PART = 64;

    static final int LONG_TEXTS = 2;
    static final int LONG_TOKENS = 512;

    /** In all steps together: the same for any batch, so that Java's heap has grown as far. */
    private static final int PAIRS_IN_ALL = 2048;
    private static final int LONG_STEPS = 6;
    private static final double TEMPERATURE = 0.05;

    private TextChild() {
    }

    public static void main(String[] args) throws InterruptedException {
        if (args[0].equals("step")) {
            Clock.takeTurns(step(args[1].equals("FLOAT") ? null : Quantization.valueOf(args[1])));
            System.exit(0);
        }
        System.out.println(Child.RESULT + switch (args[0]) {
            case "pairs" -> ofPairs(Integer.parseInt(args[1]));
            case "long" -> {
                beyondBefore(LONG_STEPS, longTexts(args[1].equals("recomputed")));
                yield Memory.peak();
            }
            default -> throw new IllegalArgumentException(args[0] + " is not one of step, pairs, long");
        });
        System.exit(0);
    }

    private static Runnable step(Quantization scheme) {
        ComputationGraph adapted = EncoderChild.adapted(BGE_SMALL, RANK, scheme);
        DataSet batch = EncoderChild.batch(TEXTS, TOKENS);
        return () -> adapted.fit(batch);
    }

    private static Runnable longTexts(boolean isRecomputed) {
        ComputationGraph adapted = EncoderChild.adapted(BertBaseChild.SHAPE, RANK, Quantization.INT8);
        if (isRecomputed) {
            LoRA.recompute(adapted, Transformer.BLOCKS);
        }
        DataSet batch = EncoderChild.batch(LONG_TEXTS, LONG_TOKENS);
        return () -> adapted.fit(batch);
    }

    private static long ofPairs(int pairs) throws InterruptedException {
        return beyondBefore(PAIRS_IN_ALL / pairs, stepOn(pairs));
    }

    private static Runnable stepOn(int pairs) {
        ComputationGraph base = EncoderChild.initialised(EncoderChild.pooled(TransformerShape.MINI_LM_L6)
                .addLayer("contrast", new LossLayer.Builder(InBatchNegatives.ofTemperature(TEMPERATURE)).build(),
                        Transformer.POOLING).setOutputs("contrast"));
        ComputationGraph cached = CachedNegatives.of(LoRA.apply(base, LoRAConfig.builder().rank(RANK)
                .targets(Transformer.QUERY_VALUE).updater(new Adam(1e-4)).build()), PART);
        INDArray ids = EncoderChild.batch(2 * pairs, PAIR_TOKENS).getFeatures();
        INDArray groups = Nd4j.concat(0, numbers(pairs), numbers(pairs));
        DataSet batch = new DataSet(ids, groups);
        return () -> cached.fit(batch);
    }

    private static INDArray numbers(int pairs) {
        return Nd4j.arange(pairs).castTo(DataType.FLOAT).reshape(pairs, 1);
    }

    /** {@return by how many bytes the process was larger during these steps than before them, at most} */
    private static long beyondBefore(int steps, Runnable step) throws InterruptedException {
        long before = Memory.settled();
        for (int i = 0; i < steps; i++) {
            step.run();
        }
        return Memory.peak() - before;
    }
}
