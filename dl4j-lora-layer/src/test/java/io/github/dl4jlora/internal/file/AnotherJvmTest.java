package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.ChildJvm;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models.Kind;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

/** Files made here and read in a JVM of their own, where nothing keeps a base alive. */
@Tag("heavy")
class AnotherJvmTest {

    @TempDir
    Path folder;

    @Test
    void networksLiveOnInAJvmThatHasNotTheirBase() throws IOException, InterruptedException {
        Properties expected = new Properties();
        for (Kind kind : Kind.values()) {
            save(kind, expected);
        }
        ComputationGraph richBase = Elsewhere.richBase();
        ComputationGraph rich = Elsewhere.richAdapted(richBase);
        rich.fit(Elsewhere.richData());
        ModelSerializer.writeModel(richBase, folder.resolve("rich-base.zip").toFile(), false);
        ModelSerializer.writeModel(rich, folder.resolve("rich-plain.zip").toFile(), true);
        LoRA.save(rich, folder.resolve("rich-whole.zip"), true);
        ComputationGraph frozen = frozen();

        ChildJvm.run(ChildJvm.classpath(), folder.resolve("log"), "io.github.dl4jlora.internal.file.Elsewhere",
                folder.toString());
        Properties found = new Properties();
        try (var in = Files.newBufferedReader(folder.resolve("answers.properties"))) {
            found.load(in);
        }

        for (Kind kind : Kind.values()) {
            for (String answer : List.of("-outputs", "-params", "-frozen")) {
                String wanted = expected.getProperty(kind + answer);
                assertThat(found.getProperty(kind + "-loaded" + answer)).as(kind + " loaded" + answer).isEqualTo(wanted);
                if (kind.isShared()) {
                    assertThat(found.getProperty(kind + "-attached" + answer)).as(kind + " attached" + answer).isEqualTo(wanted);
                }
            }
            if (kind.isShared()) {
                String id = expected.getProperty(kind + "-id");
                assertThat(List.of(found.getProperty(kind + "-missing"), found.getProperty(kind + "-missing-fit")))
                        .allSatisfy(message -> assertThat(message).startsWith("FrozenWeightsMissingException: Layer \"fc1\"")
                                .contains(id, "LoRA.attach"));
            }
        }
        assertThat(found.getProperty("frozen-missing")).startsWith("FrozenWeightsMissingException").contains("LoRA.attach");
        assertThat(List.of(found.getProperty("frozen-attached"), found.getProperty("frozen-whole")))
                .allSatisfy(outputs -> assertThat(outputs).isEqualTo(Arrays.toString(Elsewhere.richOutputs(frozen))));
        assertThat(Elsewhere.withParameters(richBase)).contains("conv", "bn", "fc1", "lstm", "attention", "fc2", "out");
        for (String name : List.of("conv", "bn", "lstm", "attention", "fc2", "out")) {
            assertThat(found.getProperty("rich-missing-" + name))
                    .startsWith("FrozenWeightsMissingException: Layer \"" + name + "\"")
                    .contains("LoRA.attach");
        }
        assertThat(found.getProperty("rich-found")).isEqualTo(Arrays.toString(Elsewhere.richOutputs(rich)));
        assertThat(found.getProperty("rich-whole")).isEqualTo(Arrays.toString(Elsewhere.richOutputs(rich)));
        rich.fit(Elsewhere.richData());
        assertThat(found.getProperty("rich-params")).isEqualTo(Arrays.toString(Models.params(rich)));
    }

    /** Saved, on other weights than the other networks'. */
    private ComputationGraph frozen() throws IOException {
        ComputationGraph base = Elsewhere.richBase();
        base.params().muli(0.9);
        ComputationGraph frozen = LoRA.freeze(base);
        assertThat(Elsewhere.richOutputs(frozen)).containsExactly(Elsewhere.richOutputs(base), within(1e-6));
        ModelSerializer.writeModel(base, folder.resolve("frozen-base.zip").toFile(), false);
        ModelSerializer.writeModel(frozen, folder.resolve("frozen-plain.zip").toFile(), true);
        LoRA.save(frozen, folder.resolve("frozen-whole.zip"), true);
        return frozen;
    }

    private void save(Kind kind, Properties expected) throws IOException {
        Model base = kind.base();
        Model adapted = kind.adapt(base);
        Models.fitSteps(adapted, 0, 3);
        ModelSerializer.writeModel(base, folder.resolve(kind + "-base.zip").toFile(), false);
        ModelSerializer.writeModel(adapted, folder.resolve(kind + "-plain.zip").toFile(), true);
        LoRA.save(adapted, folder.resolve(kind + "-whole.zip"), true);
        if (kind.isShared()) {
            expected.setProperty(kind + "-id", io.github.dl4jlora.internal.network.BaseValues.verified(adapted)
                    .get("fc1").id());
        }
        Elsewhere.record(expected, kind.toString(), adapted);
    }

    @Test
    void mergedNetworksNeedNoPlugin() throws IOException, InterruptedException {
        Map<Kind, double[]> expected = new HashMap<>();
        INDArray features = Networks.random(DataType.FLOAT, 77, 5, Networks.IN);
        for (Kind kind : List.of(Kind.GRAPH_SHARED, Kind.LAYERS_SHARED)) {
            Model adapted = kind.adapt(kind.base());
            Models.fitSteps(adapted, 0, 3);
            Model merged = Models.merge(adapted);
            ModelSerializer.writeModel(merged, folder.resolve(kind + ".zip").toFile(), true);
            expected.put(kind, Models.values(Models.output(merged, features)));
        }
        Nd4j.writeAsNumpy(features, folder.resolve("features.npy").toFile());

        ChildJvm.run(withoutThePlugin(), folder.resolve("log"), "io.github.dl4jlora.internal.file.StockReader",
                folder.resolve("GRAPH_SHARED.zip").toString(), folder.resolve("LAYERS_SHARED.zip").toString(),
                folder.resolve("features.npy").toString(), folder.resolve("outputs").toString());

        assertThat(Files.readAllLines(folder.resolve("outputs"))).containsExactly(
                Arrays.toString(expected.get(Kind.GRAPH_SHARED)), Arrays.toString(expected.get(Kind.LAYERS_SHARED)));
    }

    /** The jars alone, and a folder with nothing but the class that runs. */
    private List<String> withoutThePlugin() throws IOException {
        String name = "io/github/dl4jlora/internal/file/StockReader.class";
        Path copy = folder.resolve("classes").resolve(name);
        Files.createDirectories(copy.getParent());
        try (InputStream in = getClass().getClassLoader().getResourceAsStream(name)) {
            Files.copy(in, copy);
        }
        List<String> classpath = new ArrayList<>(ChildJvm.classpath());
        classpath.removeIf(entry -> Files.isDirectory(Path.of(entry)) || entry.contains("dl4j-lora-layer"));
        classpath.add(folder.resolve("classes").toString());
        return classpath;
    }
}
