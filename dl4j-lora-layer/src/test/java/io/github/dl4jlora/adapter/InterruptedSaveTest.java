package io.github.dl4jlora.adapter;

import io.github.dl4jlora.ChildJvm;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.LoRAConfig;
import io.github.dl4jlora.Networks;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import java.util.concurrent.TimeUnit;

import static org.assertj.core.api.Assertions.assertThat;

/** A process that is killed while it saves leaves an old adapter or a new one, whole. */
@Tag("heavy")
class InterruptedSaveTest {

    private static final int KILLS = 50;

    @TempDir
    Path folder;

    @Test
    void aKilledSaveLeavesTheOldAdapterOrTheNewOne() throws Exception {
        INDArray one = adapter(0).deltaWeight("fc1");
        INDArray other = adapter(1).deltaWeight("fc1");
        Path saved = folder.resolve("adapter");
        Random random = new Random(5);
        for (int i = 0; i < KILLS; i++) {
            Path log = folder.resolve("log" + i);
            Process child = ChildJvm.start(ChildJvm.classpath(), log, Saver.class.getName(), saved.toString());
            try {
                while (!Files.readString(log).contains(Saver.SAVING)) {
                    assertThat(child.isAlive()).as(() -> read(log)).isTrue();
                    Thread.sleep(5);
                }
                Thread.sleep(random.nextInt(40));
            } finally {
                child.destroyForcibly();
            }
            assertThat(child.waitFor(60, TimeUnit.SECONDS)).isTrue();

            LoRAAdapter found = LoRAAdapter.load(saved);

            // The two differ in rank and alpha too, so that a file of one with a file of the other would not load, or differ.
            assertThat(found.deltaWeight("fc1")).as("kill " + i).isIn(one, other);
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
