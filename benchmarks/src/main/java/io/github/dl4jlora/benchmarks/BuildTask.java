package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.transformers.TransformerShape;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.dataset.DataSet;

import java.util.function.Supplier;

/** A training step with LoRA that is timed on several builds of the library. */
enum BuildTask {

    CHAIN_256("3 dense layers, 256 wide, batch 32", () -> step(Shape.of(256))),
    CHAIN_1024("3 dense layers, 1024 wide, batch 32", () -> step(Shape.of(1024))),
    CHAIN_NARROW("12 dense layers, 64 wide, batch 32", () -> step(Shape.square(64, 12, 32, 8, "Adam"))),
    CHAIN_ONE_ROW("3 dense layers, 256 wide, batch 1", () -> step(Shape.square(256, 3, 1, 8, "Adam"))),
    FEED_FORWARD("feed-forward block 384-1536-384, 2,048 rows", () -> step(Shape.transformer())),
    IMAGES(LayerTask.IMAGES.title(), () -> step(LayerTask.IMAGES)),
    SEQUENCES(LayerTask.SEQUENCES.title(), () -> step(LayerTask.SEQUENCES)),
    LSTM(LayerTask.LSTM.title(), () -> step(LayerTask.LSTM)),
    MINI_LM("MiniLM's sizes, 8 texts of 64 tokens", () -> step(TransformerShape.MINI_LM_L6, 64)),
    BERT_BASE("BERT-base's sizes, 8 texts of 128 tokens", () -> step(BertBaseChild.SHAPE, BertBaseTask.TOKENS));

    private final String title;
    private final Supplier<Runnable> step;

    BuildTask(String title, Supplier<Runnable> step) {
        this.title = title;
        this.step = step;
    }

    String title() {
        return title;
    }

    /** A step of a new network. */
    Runnable step() {
        return step.get();
    }

    private static Runnable step(Shape shape) {
        return step(Networks.of(Side.LORA, shape), Networks.batch(shape));
    }

    private static Runnable step(LayerTask task) {
        return step(LayerSide.KERNEL.network(task), task.data());
    }

    private static Runnable step(MultiLayerNetwork network, DataSet batch) {
        return () -> network.fit(batch);
    }

    private static Runnable step(TransformerShape shape, int tokens) {
        ComputationGraph network = LoRA.apply(EncoderChild.base(shape), EncoderChild.config(BertBaseTask.RANK));
        DataSet batch = EncoderChild.batch(BertBaseTask.TEXTS, tokens);
        return () -> network.fit(batch);
    }
}
