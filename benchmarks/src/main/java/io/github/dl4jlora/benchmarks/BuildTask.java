package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.transformers.TransformerShape;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.dataset.DataSet;

/** A training step with LoRA that is timed on several builds of the library. */
enum BuildTask {

    CHAIN_256("3 dense layers, 256 wide, batch 32", Shape.of(256)),
    CHAIN_1024("3 dense layers, 1024 wide, batch 32", Shape.of(1024)),
    CHAIN_NARROW("12 dense layers, 64 wide, batch 32", Shape.square(64, 12, 32, 8, "Adam")),
    CHAIN_ONE_ROW("3 dense layers, 256 wide, batch 1", Shape.square(256, 3, 1, 8, "Adam")),
    FEED_FORWARD("feed-forward block 384-1536-384, 2,048 rows", Shape.transformer()),
    IMAGES(LayerTask.IMAGES),
    SEQUENCES(LayerTask.SEQUENCES),
    LSTM(LayerTask.LSTM),
    MINI_LM("MiniLM's sizes, 8 texts of 64 tokens", TransformerShape.MINI_LM_L6, 64),
    BERT_BASE("BERT-base's sizes, 8 texts of 128 tokens", BertBaseChild.SHAPE, BertBaseTask.TOKENS);

    private static final int RANK = 8;
    private static final int TEXTS = 8;

    private final String title;
    private final Shape shape;
    private final LayerTask layers;
    private final TransformerShape encoder;
    private final int tokens;

    BuildTask(String title, Shape shape) {
        this(title, shape, null, null, 0);
    }

    BuildTask(LayerTask layers) {
        this(layers.title(), null, layers, null, 0);
    }

    BuildTask(String title, TransformerShape encoder, int tokens) {
        this(title, null, null, encoder, tokens);
    }

    BuildTask(String title, Shape shape, LayerTask layers, TransformerShape encoder, int tokens) {
        this.title = title;
        this.shape = shape;
        this.layers = layers;
        this.encoder = encoder;
        this.tokens = tokens;
    }

    String title() {
        return title;
    }

    /** A new network and its batch. */
    Runnable step() {
        if (encoder != null) {
            ComputationGraph graph = LoRA.apply(EncoderChild.base(encoder), EncoderChild.config(RANK));
            DataSet batch = EncoderChild.batch(TEXTS, tokens);
            return () -> graph.fit(batch);
        }
        MultiLayerNetwork network = shape != null ? Networks.of(Side.LORA, shape)
                : LoRA.apply(layers.base(), LoRAConfig.builder().rank(RANK).targets(layers.adapted()).build());
        DataSet batch = shape != null ? Networks.batch(shape) : layers.data();
        return () -> network.fit(batch);
    }
}
