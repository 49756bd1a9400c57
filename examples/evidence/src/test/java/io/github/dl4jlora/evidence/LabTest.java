package io.github.dl4jlora.evidence;

import io.github.dl4jlora.evidence.task.TurnedDigits;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

@Tag("heavy")
class LabTest {

    private static final Task TASK = new TurnedDigits();
    private static final List<Training> TRAININGS = List.of(new Training(TASK, Method.lora(2), 2e-3, 1),
            new Training(TASK, Method.full(), 2e-3, 1), new Training(TASK, Method.lora(2), 2e-3, 2));

    @Test
    void howManyTrainingsGoAtOnceMakesNoDifference() {
        try (Lab one = new Lab(1, true, training -> { }); Lab several = new Lab(3, true, training -> { })) {
            List<Trained> alone = List.copyOf(one.run(TRAININGS).values());
            List<Trained> together = List.copyOf(several.run(TRAININGS).values());
            for (int i = 0; i < TRAININGS.size(); i++) {
                assertThat(together.get(i).losses()).as(TRAININGS.get(i).toString()).containsExactly(alone.get(i).losses());
                assertThat(together.get(i).learned()).isEqualTo(alone.get(i).learned());
            }
            assertThat(alone.get(0).losses()[41]).isLessThan(alone.get(0).losses()[0]);
        }
    }

    @Test
    void aTrainingThatIsAskedForAgainIsNotRunAgain() {
        AtomicInteger trainings = new AtomicInteger();
        try (Lab lab = new Lab(2, true, training -> trainings.incrementAndGet())) {
            lab.run(TRAININGS.subList(0, 2));
            lab.run(TRAININGS);
            assertThat(trainings).hasValue(3);
        }
    }

    @Test
    void baseIsLeftAsItWas() {
        try (Lab lab = new Lab(1, true, training -> { })) {
            var before = lab.start(TASK, 1).base().params().dup();
            lab.run(TRAININGS);
            assertThat(lab.start(TASK, 1).base().params().equalsWithEps(before, 0)).isTrue();
        }
    }

    @Test
    void whatFailsInATrainingIsThrown() {
        try (Lab lab = new Lab(2, true, training -> { })) {
            assertThatThrownBy(() -> lab.run(List.of(new Training(TASK, Method.lora(0), 1e-3, 1))))
                    .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("rank");
        }
    }
}
