package io.github.dl4jlora.zoo;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LayerType;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.pages.CodeBlock;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.modelimport.keras.KerasModelImport;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;

import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;

import static org.assertj.core.api.Assertions.assertThat;

/** Keras models, as DL4J imports them, are networks like any other. The files are written by keras/write_models.py. */
@Tag("heavy")
class KerasImportTest {

    @TempDir
    Path folder;

    private static String file(String name) throws URISyntaxException {
        return Path.of(KerasImportTest.class.getResource("/keras/" + name).toURI()).toString();
    }

    private static LoRAConfig.Builder config() {
        return LoRAConfig.builder().rank(1).alpha(2).seed(1).updater(new Adam(0.01));
    }

    private static DataSet images() {
        return new DataSet(Networks.random(DataType.FLOAT, 1, 4, 8, 8, 1), Nd4j.eye(5).castTo(DataType.FLOAT)
                .getRows(0, 4, 2, 3));
    }

    private static DataSet characters() {
        INDArray letters = Nd4j.zeros(DataType.FLOAT, 4, 7);
        for (int i = 0; i < letters.length(); i++) {
            letters.putScalar(i, i * 5 % 11);
        }
        return new DataSet(letters, Nd4j.eye(11).castTo(DataType.FLOAT).getRows(0, 9, 2, 3));
    }

    @Test
    void denseLayersOfAFunctionalModel() throws Exception {
        ComputationGraph imported = KerasModelImport.importKerasModelAndWeights(file("images.h5"));

        RealNetwork.check(imported, config().build(), images(), folder);
    }

    @Test
    void convolutionsOfAFunctionalModel() throws Exception {
        ComputationGraph imported = KerasModelImport.importKerasModelAndWeights(file("images.h5"));

        RealNetwork.check(imported, config().targets(LayerType.CONVOLUTION).build(), images(), folder);
    }

    @Test
    void theGuidesSample() throws Exception {
        Path path = Path.of(file("images.h5"));

        ComputationGraph base = KerasModelImport.importKerasModelAndWeights(path.toString());
        ComputationGraph tuned = LoRA.apply(base, LoRAConfig.builder().rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK)
                .targets(LayerType.CONVOLUTION).build());

        assertThat(tuned.paramTable()).containsKeys("conv1_W.A", "conv1_W.B", "conv2_W.A", "conv2_W.B").hasSize(4);
        String here = CodeBlock.normal(Files.readString(Path.of("src/test/java/io/github/dl4jlora/zoo/KerasImportTest.java")));
        assertThat(CodeBlock.of("docs/guide/networks.md", CodeBlock.JAVA))
                .flatExtracting(CodeBlock::statements).hasSize(3).allSatisfy(line -> assertThat(here).contains(line));
    }

    @Test
    void denseLayersOfASequentialModel() throws Exception {
        MultiLayerNetwork imported = KerasModelImport.importKerasSequentialModelAndWeights(file("characters.h5"));

        RealNetwork.check(imported, config().build(), characters(), folder);
    }

    @Test
    void embeddingAndLstmOfASequentialModel() throws Exception {
        MultiLayerNetwork imported = KerasModelImport.importKerasSequentialModelAndWeights(file("characters.h5"));

        RealNetwork.check(imported, config().targets(LayerType.EMBEDDING, LayerType.RECURRENT).build(), characters(), folder);
    }
}
