package io.github.dl4jlora.internal.algebra;

import org.junit.jupiter.api.Test;

import static org.assertj.core.api.Assertions.assertThat;

class TaskVectorsTest {

    @Test
    void ofEqualMagnitudesAsManyAreKeptAsTheDensitySays() {
        assertThat(TaskVectors.keepLargest(new double[] {1, -2, 2, 2, 0.5, -2}, 0.5)).containsExactly(0, -2, 2, 2, 0, 0);
        assertThat(TaskVectors.keepLargest(new double[] {1, 2}, 0.4)).containsExactly(0, 0);
    }
}
