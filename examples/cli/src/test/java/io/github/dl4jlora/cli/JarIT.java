package io.github.dl4jlora.cli;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.File;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.SocketTimeoutException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Runs target/dl4j-lora.jar as a user does. */
class JarIT {

    private static final Path JAR = Path.of("target", "dl4j-lora.jar").toAbsolutePath();

    @TempDir
    private Path folder;

    /** What the program left. */
    private record Ended(int exitCode, String out, String err) {
    }

    @Test
    void theJarNeedsNothingElse() throws Exception {
        MultiLayerNetwork base = Networks.layers(1);
        MultiLayerNetwork tuned = Networks.adapted(base, 2, 1);
        ModelSerializer.writeModel(base, folder.resolve("base.zip").toFile(), false);
        ModelSerializer.writeModel(tuned, folder.resolve("checkpoint.zip").toFile(), false);

        Ended withoutBase = run("export", "checkpoint.zip", "-o", "adapter");
        assertThat(withoutBase.exitCode).as(withoutBase.err).isEqualTo(1);
        assertThat(withoutBase.err).contains("fc1", "--base FILE").doesNotContain("\tat ");
        assertThat(folder.resolve("adapter")).doesNotExist();

        assertThat(run("export", "checkpoint.zip", "--base", "base.zip", "-o", "adapter").exitCode).isZero();
        assertThat(LoRAAdapter.load(folder.resolve("adapter")).cosine(LoRAAdapter.of(tuned))).isGreaterThan(0.999999);

        Ended merged = run("merge", "base.zip", "adapter", "-o", "plain.zip", "--json");
        assertThat(merged.exitCode).as(merged.err).isZero();
        assertThat(merged.out.strip()).startsWith("{\"output\":\"plain.zip\"").endsWith("}").hasLineCount(1);
        assertThat(ModelSerializer.restoreMultiLayerNetwork(folder.resolve("plain.zip").toFile()).output(Networks.input())
                .sub(tuned.output(Networks.input())).amaxNumber().doubleValue()).isLessThan(1e-5);

        Ended onnx = run("onnx", "base.zip", "adapter", "-o", "network.onnx");
        assertThat(onnx.exitCode).as(onnx.err).isZero();
        assertThat(folder.resolve("network.onnx")).isNotEmptyFile();
        Ended unchecked = run("onnx", "base.zip", "-o", "unchecked.onnx", "--check");
        assertThat(unchecked.exitCode).isEqualTo(1);
        assertThat(unchecked.err).contains("onnxruntime.jar").hasLineCount(1);
        assertThat(folder.resolve("unchecked.onnx")).doesNotExist();

        Ended report = run("report", "base.zip", "adapter", "-o", "page.html");
        assertThat(report.exitCode).as(report.err).isZero();
        assertThat(folder.resolve("page.html")).content().contains("Adapters of base.zip", "<svg");
    }

    @Test
    void helpAndWrongUsageStartQuicklyEnoughToBeAsked() throws Exception {
        assertThat(run("--help").out).contains("Usage: dl4j-lora", "A walkthrough");
        assertThat(run("melt").exitCode).isEqualTo(2);
    }

    @Test
    void theVersionIsThatOfTheBuild() throws Exception {
        assertThat(run("--version").out.strip()).isEqualTo("dl4j-lora " + System.getProperty("project.version"));
    }

    /** Beside a jar of another version, which comes first on the class path: nothing has the version in its code. */
    @Test
    void theVersionAndWhatAdaptersSayOfItComeFromTheLibrary() throws Exception {
        Path version = folder.resolve("other/io/github/dl4jlora/internal/peft/plugin.properties");
        Files.createDirectories(version.getParent());
        Files.writeString(version, "version=98.7.6");
        ModelSerializer.writeModel(Networks.adapted(Networks.layers(1), 2, 1), folder.resolve("checkpoint.zip").toFile(), false);
        ModelSerializer.writeModel(Networks.layers(1), folder.resolve("base.zip").toFile(), false);
        List<String> command = List.of("-cp", folder.resolve("other") + File.pathSeparator + JAR, Main.class.getName());

        assertThat(java(command, "--version").out.strip()).isEqualTo("dl4j-lora 98.7.6");
        Ended exported = java(command, "export", "checkpoint.zip", "--base", "base.zip", "-o", "adapter");
        assertThat(exported.exitCode).as(exported.err).isZero();
        assertThat(Files.readString(folder.resolve("adapter/adapter_model.safetensors"), StandardCharsets.ISO_8859_1))
                .contains("\"dl4j_lora.version\":\"98.7.6\"");
    }

    /** Of itself, as JDK 24 and later warn of native libraries. */
    @Test
    void theJarSaysNothingThatItWasNotAsked() throws Exception {
        ModelSerializer.writeModel(Networks.layers(1), folder.resolve("base.zip").toFile(), false);

        Ended inspected = run("inspect", "base.zip");

        assertThat(inspected.exitCode).as(inspected.err).isZero();
        assertThat(inspected.err).isEmpty();
    }

    @Test
    void aFolderOfOneLetterIsNamed() throws Exception {
        Networks.adapter(Networks.layers(1), 2, 1).save(folder.resolve("a"));
        Files.writeString(folder.resolve("a").resolve("adapter_config.json"), "{\"peft_type\":\"LORA\"}");

        assertThat(run("inspect", "a").err).isEqualToIgnoringNewLines("dl4j-lora inspect: a: adapter_config.json: r is missing, "
                + "but must be a whole number of at least 1");
    }

    @Test
    void anAddressThatACheckpointNamesIsNotOpened() throws Exception {
        try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            URI address = URI.create("http://localhost:" + server.getLocalPort() + "/base.zip");
            MultiLayerNetwork base = Networks.layers(1);
            ModelSerializer.writeModel(base, folder.resolve("base.zip").toFile(), false);
            ModelSerializer.writeModel(LoRA.apply(base, LoRAConfig.builder().rank(2).seed(1).baseLocation(address).build()),
                    folder.resolve("checkpoint.zip").toFile(), false);

            Ended refused = run("merge", "checkpoint.zip", "-o", "plain.zip");

            assertThat(refused.exitCode).as(refused.err).isEqualTo(1);
            assertThat(refused.err.lines()).hasSize(1);
            assertThat(refused.err).contains(address.toString(), "--base").doesNotContain("\tat ");
            assertThat(folder.resolve("plain.zip")).doesNotExist();
            server.setSoTimeout(1);
            assertThatThrownBy(server::accept).isInstanceOf(SocketTimeoutException.class);
            assertThat(run("merge", "checkpoint.zip", "--base", "base.zip", "-o", "plain.zip").exitCode).isZero();
        }
    }

    private Ended run(String... arguments) throws IOException, InterruptedException {
        return java(List.of("-jar", JAR.toString()), arguments);
    }

    private Ended java(List<String> program, String... arguments) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin", "java")
                .toString(), "-Xmx512m"));
        command.addAll(program);
        command.addAll(List.of(arguments));
        File out = Files.createTempFile(folder, "out", "").toFile();
        File err = Files.createTempFile(folder, "err", "").toFile();
        Process process = new ProcessBuilder(command).directory(folder.toFile()).redirectOutput(out).redirectError(err).start();
        process.getOutputStream().close();
        int exitCode = process.waitFor();
        return new Ended(exitCode, Files.readString(out.toPath(), StandardCharsets.UTF_8),
                Files.readString(err.toPath(), StandardCharsets.UTF_8));
    }
}
