package io.github.dl4jlora.console;

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
    void columnsWithoutAFigureAreLeftOut() {
        ResultTable table = new ResultTable("layer", "rank", "kept as", "error").row("out", "", "FLOAT", "")
                .row("fc", "", "", "");

        assertThat(table.toString().lines()).containsExactly(
                "layer   kept as",
                "---------------",
                "out       FLOAT",
                "fc");
        assertThat(new ResultTable("layer", "rank").toString()).startsWith("layer   rank");
        assertThat(table.header()).hasSize(4);
    }

    @Test
    void aRowWithACellTooFewIsRefused() {
        assertThatThrownBy(() -> new ResultTable("", "trained").row("base")).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("1 cells in a table of 2 columns");
    }

    @Test
    void headingsThenCellsGoOnInFurtherLinesWhereThereIsNoRoom() {
        ResultTable table = new ResultTable("layer", "norm of change", "kept as").row("encoder.layer.0.query", "0.5", "INT8")
                .row("out", "12.25", "FLOAT");

        assertThat(table.toString(44).lines()).containsExactly(
                "layer                     norm    kept",
                "                            of      as",
                "                        change",
                "--------------------------------------",
                "encoder.layer.0.query      0.5    INT8",
                "out                      12.25   FLOAT");
        assertThat(table.toString(24).lines()).containsExactly(
                "layer         norm  kept",
                "                of    as",
                "            change",
                "------------------------",
                "encoder.       0.5  INT8",
                "layer.0.",
                "query",
                "out          12.25 FLOAT");
    }

    @Test
    void noTableIsWiderThan80ColumnsUnlessThereIsRoom() {
        String word = "a".repeat(70);
        ResultTable table = new ResultTable("one", "two", "three").row(word, word, word);

        assertThat(table.toString().lines()).allSatisfy(line -> assertThat(line.length()).isLessThanOrEqualTo(80));
        assertThat(table.toString().replaceAll("[^a]", "").length()).isEqualTo(3 * 70);
        assertThat(table.toString(300).lines()).hasSize(3);
    }
}
