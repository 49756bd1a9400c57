package io.github.dl4jlora.transformers;

import io.github.dl4jlora.Python;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** Every case of {@code write_checkpoints.py}: classes, ways to name tensors, shards and data types. */
@Tag("heavy")
class CheckpointsOfPythonTest {

    @TempDir
    Path folder;

    @TestFactory
    Stream<DynamicTest> everyCaseComputesWhatPyTorchDoes() throws Exception {
        Python.require("torch", "safetensors.torch");
        Path cases = folder.resolve("cases");
        Path log = folder.resolve("python.log");
        Path script = Path.of(CheckpointsOfPythonTest.class.getResource("/checkpoints/write_checkpoints.py").toURI());
        int status = new ProcessBuilder(Python.PROGRAM, script.toString(), cases.toString()).redirectErrorStream(true)
                .redirectOutput(log.toFile()).start().waitFor();
        assertThat(status).as("python says %s", Files.readString(log)).isZero();
        try (Stream<Path> written = Files.list(cases)) {
            List<Path> all = written.sorted().toList();
            assertThat(all).hasSizeGreaterThan(20);
            return all.stream().map(one -> DynamicTest.dynamicTest(one.getFileName().toString(), () ->
                    TinyCheckpoint.in(one).assertAgrees(Files.createDirectories(folder.resolve("written").resolve(
                            one.getFileName())))));
        }
    }
}
