package io.github.dl4jlora;

import io.github.dl4jlora.pages.JavaBlocks;
import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Pattern;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** The code in the public classes' comments compiles, and every class that users call has some. */
class JavadocSamplesTest {

    private static final Path SOURCES = Path.of("src/main/java/io/github/dl4jlora");
    private static final Pattern SAMPLE = Pattern.compile("<pre>\\{@code\n(.*?)}</pre>", Pattern.DOTALL);
    private static final Pattern TYPE = Pattern.compile("^public (?:abstract |final |sealed )*(class|interface|record|enum) .*",
            Pattern.MULTILINE);

    /** Made by LoRA.apply or by DL4J from JSON, or told to a variant by the layer that runs it, or to a layer by LoRA.plan. */
    private static final Set<String> NOT_CALLED = Set.of("AdaptedOutputLayer", "DenseTwin", "LoRAWrapperLayer",
            "LoRAWrapperVertex", "FrozenBaseLayer", "FrozenBaseVertex", "TrainedSameDiffLayer", "TrainedSameDiffVertex",
            "Host", "LayerWeights", "LowRankPath", "OutputScale", "Passage", "Rows");

    /** What samples use without saying where it comes from. */
    private static final String AROUND = """
            import io.github.dl4jlora.*;
            import io.github.dl4jlora.adapter.*;
            import io.github.dl4jlora.bank.*;
            import io.github.dl4jlora.conf.*;
            import io.github.dl4jlora.footprint.*;
            import io.github.dl4jlora.layer.*;
            import io.github.dl4jlora.machine.*;
            import io.github.dl4jlora.report.*;
            import io.github.dl4jlora.tune.*;
            import io.github.dl4jlora.variant.*;
            import java.io.*;
            import java.net.URI;
            import java.nio.file.*;
            import java.time.Duration;
            import java.util.*;
            import java.util.concurrent.CompletableFuture;
            import java.util.concurrent.atomic.LongAdder;
            import org.deeplearning4j.nn.conf.*;
            import org.deeplearning4j.nn.conf.layers.*;
            import org.deeplearning4j.nn.graph.ComputationGraph;
            import org.deeplearning4j.optimize.listeners.CollectScoresIterationListener;
            import org.nd4j.linalg.activations.Activation;
            import org.nd4j.linalg.api.ndarray.INDArray;
            import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
            import org.nd4j.linalg.learning.config.Adam;
            import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

            abstract class %s {
                ComputationGraph base, tuned, fineTuned;
                DataSetIterator examples;
                int epochs;
                INDArray input, twoRows, mask;
                List<INDArray> steps;
                LoRAConfig config;
                LoRAAdapter adapter, spam, tone;
                AdapterBank bank;
                String name;
                Advisor advisor;

                abstract INDArray read(String layer, String key);

                void run() throws Exception {
            %s
                }
            }
            """;

    @Test
    void everySampleCompiles() throws IOException {
        List<JavaBlocks.Source> sources = new ArrayList<>();
        for (Map.Entry<String, String> file : files().entrySet()) {
            for (String sample : samples(file.getValue())) {
                String name = "Sample" + sources.size();
                sources.add(new JavaBlocks.Source(file.getKey(), name, AROUND.formatted(name, sample)));
            }
        }

        assertThat(sources).hasSizeGreaterThan(33);
        assertThat(JavaBlocks.complaints(sources, ",-serial")).isEmpty();
    }

    @Test
    void everyClassThatUsersCallHasASample() throws IOException {
        Map<String, String> files = files();

        assertThat(files.keySet()).containsAll(NOT_CALLED);
        assertThat(files).allSatisfy((name, text) -> assertThat(samples(text).isEmpty()).as(name)
                .isEqualTo(NOT_CALLED.contains(name)));
    }

    /** By name the public types, and the overview. */
    private static Map<String, String> files() throws IOException {
        Map<String, String> texts = new TreeMap<>();
        try (Stream<Path> files = Files.walk(SOURCES)) {
            for (Path file : files.filter(file -> file.toString().endsWith(".java")).toList()) {
                String text = Files.readString(file);
                if (!SOURCES.relativize(file).startsWith("internal") && isCalled(text)) {
                    texts.put(file.getFileName().toString().replace(".java", ""), text);
                }
            }
        }
        texts.put("Overview", Files.readString(Path.of("src/javadoc/overview.html")));
        return texts;
    }

    /** Whether a file has a public type that is no enumeration and no exception, and not deprecated. */
    private static boolean isCalled(String text) {
        return !text.contains("\n@Deprecated") && TYPE.matcher(text).results()
                .anyMatch(type -> !type.group(1).equals("enum") && !type.group().contains("Exception "));
    }

    private static List<String> samples(String text) {
        return SAMPLE.matcher(text.replaceAll("(?m)^ +\\* ?", "")).results().map(found -> found.group(1)).toList();
    }
}
