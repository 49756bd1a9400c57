package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.machine.Doctor;
import io.github.dl4jlora.machine.Threads;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

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
        LoRAConfig config = LoRAConfig.builder().rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK).pack(true).build();
        ComputationGraph tuned = LoRA.apply(base, config);

        assertThat(LoRA.summary(tuned).toString()).contains("FLOAT, packed");
    }

    @Test
    @Tag("heavy")
    void askTheDoctor() {
        ByteArrayOutputStream told = new ByteArrayOutputStream();
        PrintStream before = System.out;
        System.setOut(new PrintStream(told, true, StandardCharsets.UTF_8));
        try {
            System.out.println(Doctor.report());
        } finally {
            System.setOut(before);
        }

        assertThat(told.toString(StandardCharsets.UTF_8).lines())
                .anyMatch(line -> line.matches("threads +BLAS \\d+, ND4J's loops \\d+.*"))
                .anyMatch(line -> line.startsWith("memory"))
                .anyMatch(line -> line.equals("Nothing to change.") || line.startsWith("1. "));
    }
}
