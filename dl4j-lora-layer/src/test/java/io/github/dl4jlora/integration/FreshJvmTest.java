package io.github.dl4jlora.integration;

import io.github.dl4jlora.ChildJvm;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.buffer.DataType;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** The jars that the poms put together suit each other, and are those that the poms name. */
@EnabledOnOs(OS.LINUX)
class FreshJvmTest {

    private static final String LOADED = "loaded: ";

    private static List<String> printed;

    /** A program that adapts a network and trains it. */
    public static final class Program {

        private Program() {
        }

        public static void main(String[] args) throws IOException {
            ComputationGraph adapted = LoRA.apply(Networks.trainedGraph(), LoRAConfig.builder().rank(2).build());
            adapted.fit(Networks.data(DataType.FLOAT, 4, 1));
            try (Stream<String> maps = Files.lines(Path.of("/proc/self/maps"))) {
                maps.filter(line -> line.contains("libopenblas")).map(line -> LOADED + line.replaceFirst("^[^/]*", "")).distinct()
                        .forEach(System.out::println);
            }
        }
    }

    @BeforeAll
    static void run(@TempDir Path folder) throws IOException, InterruptedException {
        ChildJvm.run(ChildJvm.classpath(), folder.resolve("log"), Program.class.getName());
        printed = Files.readAllLines(folder.resolve("log"));
    }

    @Test
    void noJarWarnsOfAnother() {
        assertThat(printed).filteredOn(line -> !line.startsWith(LOADED)).isEmpty();
    }

    @Test
    void theOpenBlasThatThePomNamesIsTheOnlyOneLoaded() {
        String version = System.getProperty("openblas.version");
        assertThat(printed).filteredOn(line -> line.startsWith(LOADED)).isNotEmpty()
                .allSatisfy(line -> assertThat(line).contains("/openblas-" + version + "-"));
    }
}
