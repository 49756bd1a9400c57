package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.ChildJvm;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models.Kind;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.Zips;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.memory.conf.WorkspaceConfiguration;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Files that are tried in vain leave nothing open and nothing in memory, and those that are read stay in no workspace. */
class GivesBackTest extends HostileFile {

    /** Where in a file something is wrong. */
    enum Damage {
        TRUNCATED, FROZEN_VALUES, FROZEN_TOO_LONG, FROZEN_TOO_SHORT, INDEX_GONE, CONFIGURATION, PARAMETERS, STATE
    }

    private void damage(Damage damage) throws IOException {
        if (damage == Damage.TRUNCATED) {
            byte[] whole = Files.readAllBytes(file);
            Files.write(file, Arrays.copyOf(whole, whole.length / 2));
            return;
        }
        String frozen = entries.keySet().stream().filter(name -> name.matches("frozen/[0-9a-f]{64}")).findFirst().orElseThrow();
        switch (damage) {
            case FROZEN_VALUES -> entries.get(frozen)[1] ^= 1;
            case FROZEN_TOO_LONG -> entries.compute(frozen, (name, old) -> Arrays.copyOf(old, old.length + 1));
            case FROZEN_TOO_SHORT -> entries.compute(frozen, (name, old) -> Arrays.copyOf(old, old.length - 1));
            case INDEX_GONE -> entries.remove(INDEX);
            case CONFIGURATION -> configure("{");
            case PARAMETERS -> entries.compute(COEFFICIENTS, (name, old) -> Arrays.copyOf(old, old.length + 1));
            default -> entries.compute(UPDATER, (name, old) -> Arrays.copyOf(old, old.length - 1));
        }
        Zips.write(file, entries);
    }

    @ParameterizedTest
    @EnumSource
    @EnabledOnOs(OS.LINUX)
    void aFileThatIsRefusedIsClosed(Damage damage) throws IOException {
        damage(damage);

        refusalsLeaveNothingOpen("model.zip");
    }

    /** Tries twenty files of 16 MB each, with nothing that would make the collector run, and prints how much the process grew. */
    static final class Refused {

        public static void main(String[] arguments) throws IOException {
            Path file = Path.of(arguments[0]);
            refuse(file);
            long before = residentBytes();
            for (int i = 0; i < 20; i++) {
                refuse(file);
            }
            System.out.println(residentBytes() - before);
        }

        private static void refuse(Path file) {
            assertThatThrownBy(() -> LoRA.load(file)).isInstanceOf(IOException.class).hasMessageContaining("hash to");
        }

        private static long residentBytes() throws IOException {
            try (Stream<String> lines = Files.lines(Path.of("/proc/self/status"))) {
                return lines.filter(line -> line.startsWith("VmRSS:")).findFirst()
                        .map(line -> Long.parseLong(line.replaceAll("\\D", ""))).orElseThrow() * 1024;
            }
        }
    }

    /** In a JVM of its own, whose heap is there as a whole: no other page than those of arrays counts. */
    @Test
    @Tag("heavy")
    @EnabledOnOs(OS.LINUX)
    void whatAFileHeldThatIsRefusedIsFreedAtOnce() throws IOException, InterruptedException {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(12).list()
                .layer(new DenseLayer.Builder().name("fc").nIn(2000).nOut(2000).build())
                .layer(new OutputLayer.Builder(LossFunction.MSE).name("out").nIn(2000).nOut(2).build()).build());
        LoRA.save(LoRA.apply(base, LoRAConfig.builder().rank(1).build()), file, false);
        entries = Zips.read(file);
        damage(Damage.FROZEN_VALUES);

        List<String> said = ChildJvm.runIn(Map.of(), ChildJvm.classpath(), List.of(ChildJvm.SHORT, "-Xms256m", "-Xmx256m",
                "-XX:+AlwaysPreTouch", "-XX:+UseSerialGC", "-Dorg.bytedeco.javacpp.maxphysicalbytes=0"),
                file.resolveSibling("log"), Refused.class, file.toString());

        assertThat(Long.parseLong(said.get(said.size() - 1))).isLessThan(80L << 20);
    }

    @ParameterizedTest
    @EnumSource
    void whoLoadsInsideAWorkspaceHasANetworkThatOutlivesIt(Kind kind) throws IOException {
        Model base = kind.base();
        Models.fit(base, 4321);
        Model adapted = kind.adapt(base);
        Models.fit(adapted, 1);
        LoRA.save(adapted, file, true);
        double[] expected = Models.outputs(adapted);
        WorkspaceConfiguration large = WorkspaceConfiguration.builder().initialSize(1 << 20).build();
        Model loaded;

        try (MemoryWorkspace mine = Nd4j.getWorkspaceManager().getAndActivateWorkspace(large, "mine")) {
            loaded = kind.load(file);
        }
        try (MemoryWorkspace mine = Nd4j.getWorkspaceManager().getAndActivateWorkspace(large, "mine")) {
            Networks.random(DataType.DOUBLE, 5, 10_000);
        }

        assertThat(loaded.params().isAttached()).isFalse();
        assertThat(Models.outputs(loaded)).isEqualTo(expected);
        Models.fit(loaded, 2);
        Models.fit(adapted, 2);
        assertThat(Models.params(loaded)).isEqualTo(Models.params(adapted));
    }
}
