package io.github.dl4jlora.onnx;

import io.github.dl4jlora.transformers.Head;
import io.github.dl4jlora.transformers.Transformer;
import io.github.dl4jlora.transformers.TransformerShape;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestReporter;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

import static org.assertj.core.api.Assertions.assertThat;

/** BERT-base with random weights: 109 million parameters. */
@Tag("heavy")
class BertBaseTest {

    private static final long MEGABYTE = 1 << 20;

    @Test
    void bertBaseComputesTheSameAndTakesNoMoreThanItsWeights(@TempDir Path folder, TestReporter reporter) throws IOException {
        ComputationGraph network = Initialised.of(Transformer.addTo(new NeuralNetConfiguration.Builder().seed(1)
                .graphBuilder(), TransformerShape.BERT_BASE, Head.pooler()).build());
        Path file = folder.resolve("bert.onnx");

        long start = System.nanoTime();
        OnnxExport.write(network, file);
        reporter.publishEntry("seconds of the export", String.valueOf((System.nanoTime() - start) / 1e9));

        assertThat(Files.size(file)).isBetween(4 * network.numParams(), 4 * network.numParams() + MEGABYTE);
        INDArray ids = Nd4j.createFromArray(new float[][]{{101, 7592, 2088, 102, 0}, {101, 2748, 102, 0, 0}});
        InRuntime.agrees(InRuntime.outputs(network, ids), file, ids);
    }
}
