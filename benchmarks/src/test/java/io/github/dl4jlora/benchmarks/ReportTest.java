package io.github.dl4jlora.benchmarks;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;

/** The report says what was measured, and says so where something was not. No figure is measured here. */
class ReportTest {

    private static final Shape SHAPE = Shape.square(16, 2, 4, 2, "SGD");

    @Test
    void writesRatiosAndNamesWhatIsAbsent(@TempDir Path folder) throws Exception {
        Results results = new Results();
        results.stepsOf(SHAPE).put(new Results.Run(Side.LORA, Settings.ONE_THREAD), 3.0);
        results.stepsOf(SHAPE).put(new Results.Run(Side.DL4J_FULL, Settings.ONE_THREAD), 12.0);

        new Report(results).write(folder);

        assertThat(Files.readString(folder.resolve("report.md")))
                .contains("| LoRA / DL4J, full fine-tuning | 0.25 |")
                .contains("| LoRA / PyTorch, LoRA | absent |");
        assertThat(Files.readString(folder.resolve("report.html"))).contains("<svg").contains("viewport")
                .doesNotContain("http-equiv");
    }

    @Test
    void theEncoderHasItsRatiosToPyTorch(@TempDir Path folder) throws Exception {
        Results results = new Results();
        results.encoder.put(Settings.ONE_THREAD, Map.of(EncoderTask.STEP, new Results.Encoder(220, 200),
                EncoderTask.FORWARD, new Results.Encoder(90, Double.NaN)));

        new Report(results).write(folder);

        assertThat(Files.readString(folder.resolve("report.md"))).contains("| 220 | 200 | 1.10 |", "| 90.0 | absent | absent |");
    }

    @Test
    void aShapeSurvivesItsWayToAChildProcess() {
        Shape back = Shape.decode(SHAPE.encode());

        assertThat(back.rows()).isEqualTo(4);
        assertThat(back.widths()).isEqualTo(SHAPE.widths());
        assertThat(back.rank()).isEqualTo(2);
        assertThat(back.updater()).isEqualTo("SGD");
        assertThat(back.parameters()).isEqualTo(2 * 17 * 16);
    }

    @Test
    void everyJavaSideTakesAStep() {
        for (Side side : Side.values()) {
            if (side == Side.FLOOR) {
                new Floor(SHAPE).step();
            } else if (!side.isPyTorch()) {
                Networks.of(side, SHAPE).fit(Networks.batch(SHAPE));
            }
        }
    }
}
