package io.github.dl4jlora.internal.onednn;

import io.github.dl4jlora.ChildJvm;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

/** oneDNN computes where all of it is on the class path; otherwise OpenBLAS does, without a word. */
@Tag("heavy")
class OneDnnTest {

    private static final String RIGHT = "right: true";

    @TempDir
    private Path folder;

    /** A program that computes what oneDNN computes where it can. */
    public static final class Program {

        private Program() {
        }

        public static void main(String[] args) {
            MultiLayerNetwork stock = Networks.of(new NeuralNetConfiguration.Builder().seed(12).updater(new Sgd(1))
                    .list().layer(new ConvolutionLayer.Builder(3, 3).nOut(4).build())
                    .layer(new DenseLayer.Builder().nOut(5).build())
                    .layer(new OutputLayer.Builder(LossFunction.MSE).nOut(Networks.OUT).build())
                    .setInputType(InputType.convolutional(8, 8, 2)).build());
            INDArray x = Networks.random(DataType.FLOAT, 5, 3, 2, 8, 8);
            INDArray expected = stock.output(x);
            MultiLayerNetwork tuned = LoRA.apply(stock, LoRAConfig.builder().allTargets().rank(2).seed(1).build());
            boolean right = Networks.difference(LoRA.freeze(stock).output(x), expected) < 1e-5
                    && Networks.difference(tuned.output(x), expected) < 1e-5;
            for (Quantization scheme : Quantization.values()) {
                right &= Networks.difference(LoRA.freeze(stock, scheme).output(x), expected) < 0.2;
            }
            tuned.fit(x, Networks.random(DataType.FLOAT, 6, 3, Networks.OUT));
            right &= Networks.difference(tuned.output(x), expected) > 1e-6;
            System.out.println(present(OneDnn.isUsed()));
            System.out.println("right: " + right);
            System.exit(0);
        }
    }

    private static String present(boolean is) {
        return "oneDNN: " + is;
    }

    @BeforeEach
    void oneDnnIsHere() {
        assumeTrue(OneDnn.isPresent(), "oneDNN is not on the class path");
    }

    private List<String> printed(List<String> classpath) throws IOException, InterruptedException {
        return ChildJvm.runIn(Map.of(), classpath, List.of(ChildJvm.SHORT, "-D" + OneDnn.PROPERTY + "=always"),
                folder.resolve("log"), Program.class);
    }

    private List<String> printedWithout(Predicate<String> jar) throws IOException, InterruptedException {
        List<String> others = ChildJvm.classpath().stream().filter(entry -> !jar.test(Path.of(entry).getFileName().toString()))
                .toList();
        assertThat(others).hasSizeLessThan(ChildJvm.classpath().size());
        return printed(others);
    }

    @Test
    void itIsUsedWhereAllOfItIsOnTheClassPath() throws Exception {
        assertThat(printed(ChildJvm.classpath())).containsExactly(present(true), RIGHT);
        assertThat(OneDnn.description()).as("version and instructions").matches("\\d+\\.\\d+, (?!null)\\w+");
    }

    @Test
    void openBlasComputesWithoutItsJars() throws Exception {
        assertThat(printedWithout(jar -> jar.startsWith("dnnl-"))).containsExactly(present(false), RIGHT);
    }

    @Test
    void openBlasComputesWhereTheClassesThatItNamesAreMissing() throws Exception {
        assertThat(printedWithout(jar -> jar.startsWith("opencl-"))).containsExactly(present(false), RIGHT);
    }

    @Test
    void openBlasComputesWhereThereIsNoNativeCodeForThisPlatform() throws Exception {
        assertThat(printedWithout(jar -> jar.matches("dnnl-[\\d.]+-[\\d.]+-.+\\.jar"))).containsExactly(present(false), RIGHT);
    }
}
