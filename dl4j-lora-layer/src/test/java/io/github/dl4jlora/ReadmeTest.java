package io.github.dl4jlora;

import io.github.dl4jlora.machine.Threads;
import io.github.dl4jlora.pages.CodeBlock;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;

import java.io.File;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import javax.tools.ToolProvider;

import static org.assertj.core.api.Assertions.assertThat;

/** README's program, copied as it stands into a file of its own, compiles and does what README says. */
class ReadmeTest {

    @Test
    void theProgramRunsAsItStands(@TempDir Path folder) throws Exception {
        List<CodeBlock> programs = CodeBlock.of("README.md", CodeBlock.JAVA);
        assertThat(programs).hasSize(1);
        // Not into the module's folder, where tests run.
        Path adapter = folder.resolve("adapter");
        Path source = Files.writeString(folder.resolve("Adapt.java"), programs.get(0).code().replace("Path.of(\"adapter\")",
                "Path.of(" + '"' + adapter.toString().replace('\\', '/') + "\")"));
        assertThat(ToolProvider.getSystemJavaCompiler().run(null, null, null, "-Xlint:all,-path", "-Werror", "-proc:none",
                "-classpath", System.getProperty("java.class.path"), "-d", folder.toString(), source.toString())).isZero();
        ComputationGraph base = Networks.trainedGraph();
        File network = folder.resolve("base.zip").toFile();
        ModelSerializer.writeModel(base, network, true);

        try (URLClassLoader loader = new URLClassLoader(new URL[] {folder.toUri().toURL()})) {
            ComputationGraph merged = (ComputationGraph) loader.loadClass("Adapt").getMethod("adapt", File.class,
                    DataSetIterator.class, int.class).invoke(null, network,
                    new ExistingDataSetIterator(List.of(Networks.data(DataType.FLOAT, 8, 1))), 2);

            assertThat(merged.paramTable().keySet()).isEqualTo(base.paramTable().keySet());
            assertThat(merged.params()).isNotEqualTo(base.params());
            assertThat(adapter.resolve("adapter_model.safetensors")).exists();
        } finally {
            Threads.settle().undo();
        }
    }
}
