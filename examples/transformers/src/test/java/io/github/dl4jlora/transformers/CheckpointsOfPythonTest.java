package io.github.dl4jlora.transformers;

import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

/** Every case of {@code write_checkpoints.py}: classes, ways to name tensors, shards and data types. */
@Tag("heavy")
class CheckpointsOfPythonTest {

    private static final String PYTHON = "/usr/bin/python3";

    @TempDir
    Path folder;

    @TestFactory
    Stream<DynamicTest> everyCaseComputesWhatPyTorchDoes() throws Exception {
        requirePython();
        Path cases = folder.resolve("cases");
        Path log = folder.resolve("python.log");
        Path script = Path.of(CheckpointsOfPythonTest.class.getResource("/checkpoints/write_checkpoints.py").toURI());
        int status = new ProcessBuilder(PYTHON, script.toString(), cases.toString()).redirectErrorStream(true)
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

    private static void requirePython() throws IOException, InterruptedException {
        assumeTrue(Files.isExecutable(Path.of(PYTHON)), "there is no " + PYTHON);
        Process probe = new ProcessBuilder(PYTHON, "-c", "import torch, safetensors.torch").redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.DISCARD).start();
        assumeTrue(probe.waitFor(10, TimeUnit.MINUTES) && probe.exitValue() == 0, PYTHON + " lacks torch or safetensors");
    }
}
