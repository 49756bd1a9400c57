package io.github.dl4jlora.adapter;

import io.github.dl4jlora.Doctor;
import io.github.dl4jlora.Threads;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import static org.assertj.core.api.Assertions.assertThat;

/** Runs the code on the guide's page about speed; {@link GuideTest} looks here for its lines. */
class FastGuideTest {

    @Test
    void settleTheThreads() {
        Threads.settle();
        Threads settled = Threads.settle();
        settled.undo();

        assertThat(settled.toString()).contains("Threads settled", "Undone");
    }

    @Test
    @Tag("heavy")
    void askTheDoctor() {
        Logger log = LoggerFactory.getLogger(FastGuideTest.class);
        log.info(Doctor.report().toString());
    }
}
