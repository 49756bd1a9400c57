package io.github.dl4jlora.adapter;

import io.github.dl4jlora.ChildJvm;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

import static org.assertj.core.api.Assertions.assertThat;

/**
 * A process that is killed while it saves leaves an old adapter or a new one, whole. {@code KilledSaveTest} kills more often
 * what writes the files, in JVMs that start sooner.
 */
@Tag("heavy")
class InterruptedSaveTest {

    private static final int KILLS = 4;

    @TempDir
    Path folder;

    /** Without JNA files are replaced one by one, as on Windows. */
    @ParameterizedTest(name = "with JNA: {0}")
    @ValueSource(booleans = {true, false})
    void aKilledSaveLeavesTheOldAdapterOrTheNewOne(boolean hasJna) throws Exception {
        List<String> classpath = new ArrayList<>(ChildJvm.classpath());
        classpath.removeIf(entry -> !hasJna && Path.of(entry).getFileName().toString().startsWith("jna-"));
        INDArray one = adapter(0).deltaWeight("fc1");
        INDArray other = adapter(1).deltaWeight("fc1");
        Path saved = folder.resolve("adapter");
        Random random = new Random(5);
        for (int i = 0; i < KILLS; i++) {
            Path log = folder.resolve("log" + i);
            Process child = ChildJvm.start(classpath, log, Saver.class.getName(), saved.toString());
            try {
                while (!Files.readString(log).contains(Saver.SAVING)) {
                    assertThat(child.isAlive()).as(() -> read(log)).isTrue();
                    Thread.sleep(5);
                }
                Thread.sleep(random.nextInt(40));
            } finally {
                child.destroyForcibly();
            }
            assertThat(child.waitFor(10, TimeUnit.MINUTES)).isTrue();

            requireOneSave(saved, "kill " + i);
            LoRAAdapter found = LoRAAdapter.load(saved);

            // The two differ in rank and alpha too, so that a file of one with a file of the other would not load, or differ.
            assertThat(found.deltaWeight("fc1")).as("kill " + i).isIn(one, other);
        }
    }

    /** As PEFT sees it, which believes the configuration: it has the id of the tensors' save, or is not there. */
    private static void requireOneSave(Path saved, String kill) throws IOException {
        Path config = saved.resolve("adapter_config.json");
        if (Files.exists(config)) {
            Matcher id = Pattern.compile("\\+dl4jlora\\.([^\"]+)\"").matcher(Files.readString(config));
            assertThat(id.find()).as(kill).isTrue();
            assertThat(new String(Files.readAllBytes(saved.resolve("adapter_model.safetensors")), StandardCharsets.ISO_8859_1))
                    .as(kill).contains(id.group(1));
        }
    }

    private static String read(Path log) {
        try {
            return Files.readString(log);
        } catch (IOException e) {
            return e.toString();
        }
    }

    private static LoRAAdapter adapter(int which) {
        ComputationGraph adapted = LoRA.apply(Networks.trainedGraph(),
                LoRAConfig.builder().rank(2 + which).alpha(1 + which).build());
        Networks.randomizeAdapters(adapted.paramTable(), which);
        return LoRAAdapter.of(adapted);
    }

    /** Saves one adapter over the other until it is killed. */
    static final class Saver {

        static final String SAVING = "saving now";

        private Saver() {
        }

        public static void main(String[] args) throws IOException {
            LoRAAdapter one = adapter(0);
            LoRAAdapter other = adapter(1);
            one.save(Path.of(args[0]));
            System.out.println(SAVING);
            while (true) {
                other.save(Path.of(args[0]));
                one.save(Path.of(args[0]));
            }
        }
    }
}
