package io.github.dl4jlora.examples;

import org.junit.jupiter.api.Test;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class ResultTableTest {

    @Test
    void namesAreAlignedToTheLeftAndFiguresToTheRight() {
        String table = new ResultTable("", "trained", "step").row("base", "0", "-").row("head-only", "12,345,678", "1.5 ms")
                .toString();

        assertThat(table.lines()).containsExactly(
                "               trained     step",
                "-------------------------------",
                "base                 0        -",
                "head-only   12,345,678   1.5 ms");
    }

    @Test
    void aRowWithACellTooFewIsRefused() {
        assertThatThrownBy(() -> new ResultTable("", "trained").row("base")).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("1 cells in a table of 2 columns");
    }
}
