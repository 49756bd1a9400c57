package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.ChildJvm;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.activations.Activation;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

/** One base, mapped by two JVMs, of which the second has less memory of its own than the base is long. */
@Tag("heavy")
class MappedInAnotherJvmTest {

    private static final int WIDTH = 3000;

    @TempDir
    private Path folder;

    @Test
    void itsPagesAreSharedAndTakeNothingOfWhatIsAllowed() throws IOException, InterruptedException {
        Assumptions.assumeTrue(Files.isReadable(Path.of("/proc/self/smaps")), "only Linux tells who shares what");
        Path file = folder.resolve("shared-base.lora");
        LoRA.writeBase(base(), file, null);
        MultiLayerNetwork here = LoRA.openMultiLayerNetworkBase(file);
        double first = MappedElsewhere.first(here);

        Map<String, String> there = new HashMap<>();
        List<String> options = List.of("-Xmx40m", "-Dorg.bytedeco.javacpp.maxbytes=40m",
                "-Dorg.bytedeco.javacpp.maxphysicalbytes=0");
        for (String line : ChildJvm.runIn(Map.of(), ChildJvm.classpath(), options, folder.resolve("log"), MappedElsewhere.class,
                file.toString())) {
            if (line.contains("=")) {
                there.put(line.substring(0, line.indexOf('=')), line.substring(line.indexOf('=') + 1));
            }
        }

        // There BLAS may run on another number of threads.
        assertThat(Double.parseDouble(there.get("first"))).isCloseTo(first, within(1e-5));
        long kilobytes = Files.size(file) / 1024;
        assertThat(kilobytes).isGreaterThan(2 * 32 * 1024);
        // Where memory is short, the system takes pages of a file back.
        long resident = Long.parseLong(there.get("Rss"));
        assertThat(resident).isGreaterThan(kilobytes / 2);
        assertThat(Long.parseLong(there.get("Pss"))).isLessThan(resident * 6 / 10);
        assertThat(MappedElsewhere.first(here)).isEqualTo(first);
    }

    private static MultiLayerNetwork base() {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(3).activation(Activation.TANH).list()
                .layer(new DenseLayer.Builder().nIn(WIDTH).nOut(WIDTH).build())
                .layer(new DenseLayer.Builder().nIn(WIDTH).nOut(WIDTH).build())
                .layer(new OutputLayer.Builder().nIn(WIDTH).nOut(3).activation(Activation.SOFTMAX).build()).build());
    }
}
