package io.github.dl4jlora.adapter;

import ch.qos.logback.classic.Level;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.LogCapture;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.machine.Doctor;
import io.github.dl4jlora.machine.Threads;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import static org.assertj.core.api.Assertions.assertThat;

/** Runs the code on the guide's page about speed; {@link GuideTest} looks here for its lines. */
class FastGuideTest {

    @Test
    void settleTheThreads() {
        System.out.println(Threads.settle());
        Threads settled = Threads.settle();
        settled.undo();

        assertThat(settled.toString()).contains("Threads settled", "Undone");
    }

    @Test
    void packTheBase() {
        ComputationGraph base = Networks.trainedGraph();
        LoRAConfig config = LoRAConfig.builder().rank(8).pack(true).build();
        ComputationGraph tuned = LoRA.apply(base, config);

        assertThat(LoRA.summary(tuned).toString()).contains("FLOAT, packed");
    }

    @Test
    @Tag("heavy")
    void askTheDoctor() {
        Logger log = LoggerFactory.getLogger(FastGuideTest.class);
        try (LogCapture told = new LogCapture(FastGuideTest.class.getName(), Level.INFO)) {
            log.info(Doctor.report().toString());

            String report = told.messages().get(0);
            assertThat(report.lines()).anyMatch(line -> line.matches("threads +BLAS \\d+, ND4J's loops \\d+.*"))
                    .anyMatch(line -> line.startsWith("memory"))
                    .anyMatch(line -> line.equals("Nothing to change.") || line.startsWith("1. "));
        }
    }
}
