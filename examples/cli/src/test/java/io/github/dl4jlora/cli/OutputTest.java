package io.github.dl4jlora.cli;

import io.github.dl4jlora.adapter.LoRAAdapter;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.dataset.api.preprocessor.NormalizerStandardize;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** Where results go: what is not to be overwritten is not, also if it was not there yet when a command began. */
class OutputTest {

    @TempDir
    private Path folder;
    private Shell shell;

    @BeforeEach
    void networks() throws IOException {
        MultiLayerNetwork base = Networks.layers(1);
        MultiLayerNetwork tuned = Networks.adapted(base, 2, 1);
        ModelSerializer.writeModel(base, folder.resolve("base.zip").toFile(), false);
        LoRAAdapter.of(tuned).save(folder.resolve("adapter"));
        NormalizerStandardize normalizer = new NormalizerStandardize();
        normalizer.fit(Networks.data(1));
        Files.copy(folder.resolve("base.zip"), folder.resolve("normalized.zip"));
        ModelSerializer.addNormalizerToModel(folder.resolve("normalized.zip").toFile(), normalizer);
        shell = new Shell(folder);
    }

    /** Both have looked before either is done, mostly. */
    @ParameterizedTest
    @ValueSource(strings = {"apply @base.zip --rank 2", "merge @base.zip @adapter", "merge @normalized.zip @adapter",
            "quantize --as int8 @base.zip", "quantize --as int8 --mapped @base.zip", "combine @adapter",
            "report @base.zip @adapter"})
    void ofTwoCommandsAtOnceOneSucceeds(String line) throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(2);
        try {
            for (int round = 0; round < 3; round++) {
                List<String> words = new ArrayList<>(List.of(line.split(" ")));
                words.addAll(List.of("-o", "@out" + round));
                CyclicBarrier together = new CyclicBarrier(2);
                List<Shell> shells = List.of(new Shell(folder), new Shell(folder));
                List<Future<Integer>> codes = new ArrayList<>();
                for (Shell one : shells) {
                    codes.add(threads.submit(() -> {
                        together.await();
                        return one.run(words.toArray(String[]::new));
                    }));
                }
                List<Integer> found = List.of(codes.get(0).get(), codes.get(1).get());

                assertThat(found).as(shells.get(0).err() + shells.get(1).err()).containsExactlyInAnyOrder(0, 1);
                assertThat(shells.get(found.indexOf(1)).err()).contains("out" + round + " exists already", "--force")
                        .doesNotContain("NEW_ONLY");
                assertThat(shells.get(found.indexOf(0)).out()).contains("out" + round);
            }
        } finally {
            threads.shutdownNow();
        }
        try (Stream<Path> left = Files.list(folder)) {
            assertThat(left.map(file -> file.getFileName().toString())).noneMatch(name -> name.startsWith("."));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"merge @base.zip @adapter", "combine @adapter"})
    @DisabledOnOs(OS.WINDOWS)
    void aLinkThatLeadsNowhereIsSomethingToo(String line) throws IOException {
        Path link = Files.createSymbolicLink(folder.resolve("link"), Path.of("to-come"));
        List<String> words = new ArrayList<>(List.of(line.split(" ")));
        words.addAll(List.of("-o", "@link"));

        assertThat(shell.run(words.toArray(String[]::new))).isEqualTo(1);
        assertThat(shell.err()).contains("link exists already", "--force");
        assertThat(folder.resolve("to-come")).doesNotExist();

        words.add("--force");
        assertThat(shell.run(words.toArray(String[]::new))).as(shell.err()).isZero();
        assertThat(link).isSymbolicLink();
        assertThat(folder.resolve("to-come")).exists();
    }

    @Test
    @DisabledOnOs(OS.WINDOWS)
    void bytesAreThoseOfTheFolderBehindALink() throws IOException {
        Files.createDirectory(folder.resolve("real"));
        Path link = Files.createSymbolicLink(folder.resolve("link"), Path.of("real"));

        assertThat(shell.run("combine", "@adapter", "-o", "@link", "--force", "--json")).as(shell.err()).isZero();

        long bytes = 0;
        try (Stream<Path> files = Files.list(folder.resolve("real"))) {
            for (Path file : files.toList()) {
                bytes += Files.size(file);
            }
        }
        assertThat(bytes).isPositive();
        assertThat(shell.json().get("bytes").longValue()).isEqualTo(bytes);
        assertThat(link).isSymbolicLink();
    }

    @Test
    void otherFilesOfAnOverwrittenAdapterStay() throws IOException {
        assertThat(shell.run("combine", "@adapter", "-o", "@out")).isZero();
        Files.writeString(folder.resolve("out/tokenizer.json"), "{}");

        assertThat(shell.run("combine", "@adapter=2", "-o", "@out", "--force")).as(shell.err()).isZero();

        assertThat(folder.resolve("out/tokenizer.json")).hasContent("{}");
        assertThat(LoRAAdapter.load(folder.resolve("out")).norm("fc1"))
                .isGreaterThan(1.9 * LoRAAdapter.load(folder.resolve("adapter")).norm("fc1"));
    }
}
