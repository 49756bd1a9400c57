package io.github.dl4jlora.report.page;

import org.deeplearning4j.optimize.listeners.CollectScoresIterationListener;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.LongStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class ScoreHistoryTest {

    @TempDir
    private Path folder;

    @Test
    void whatTheListenerExportsIsReadBack() throws IOException {
        CollectScoresIterationListener listener = new CollectScoresIterationListener();
        listener.getScoreVsIter().addScore(7, 1.5);
        listener.getScoreVsIter().addScore(8, 0.5);
        Path file = folder.resolve("scores.tsv");
        listener.exportScores(file.toFile());

        ScoreHistory read = ScoreHistory.read(file);

        assertThat(read.iterations()).containsExactly(7, 8).isEqualTo(ScoreHistory.of(listener).iterations());
        assertThat(read.scores()).containsExactly(1.5, 0.5).isEqualTo(ScoreHistory.of(listener).scores());
    }

    @Test
    void commasAndNoHeadAreFineToo() throws IOException {
        assertThat(ScoreHistory.read(Files.writeString(folder.resolve("a.csv"), "0, 2.5\n1, 1.5\n\n")).scores())
                .containsExactly(2.5, 1.5);
    }

    @Test
    void aLineThatIsNoScoreIsNamed() throws IOException {
        Path file = Files.writeString(folder.resolve("a.csv"), "Iteration,Score\n0,2.5\n1;soon\n");

        assertThatThrownBy(() -> ScoreHistory.read(file)).isInstanceOf(IOException.class)
                .hasMessageContaining("a.csv, line 3").hasMessageContaining("1;soon").hasMessageContaining("exportScores");
    }

    /** Read as a separator, its comma would cut 0,6931 to 0. */
    @ParameterizedTest
    @ValueSource(strings = {"0;0,6931", "0\t0,6931"})
    void aDecimalCommaIsRefusedWhereSomethingElseSeparates(String line) throws IOException {
        Path file = Files.writeString(folder.resolve("a.csv"), line);

        assertThatThrownBy(() -> ScoreHistory.read(file)).isInstanceOf(IOException.class).hasMessageContaining("0,6931");
    }

    /** Terminals obey some. */
    @Test
    void aLineIsQuotedWithoutItsControlCharacters() throws IOException {
        Path file = Files.writeString(folder.resolve("a.csv"), "0,2.5\n1,\u001b[2Jsoon\n");

        assertThatThrownBy(() -> ScoreHistory.read(file)).isInstanceOf(IOException.class)
                .hasMessageContaining("1,?[2Jsoon");
    }

    @Test
    void blanksAndWhatFollowsTheScoreDoNotMatter() throws IOException {
        String blanks = " ".repeat(450);

        assertThat(ScoreHistory.read(Files.writeString(folder.resolve("a.csv"), ("  7 \t 1.5 ;x" + blanks + "x" + blanks + "x\n")
                .repeat(10_000))).scores()).hasSize(10_000).containsOnly(1.5);
    }

    @Test
    void aFileOfOtherThingsIsRefused() throws IOException {
        Path bytes = Files.write(folder.resolve("b"), new byte[] {(byte) 0xff, (byte) 0xfe, 0, 1});
        Path empty = Files.writeString(folder.resolve("e"), "");

        assertThatThrownBy(() -> ScoreHistory.read(bytes)).isInstanceOf(IOException.class)
                .hasMessageContaining("not a text file of scores");
        assertThatThrownBy(() -> ScoreHistory.read(empty)).isInstanceOf(IOException.class)
                .hasMessageContaining("contains no scores");
    }

    @Test
    void scoresWithoutIterationsAreRefusedAndNoneIsAnEmptyHistory() {
        assertThatIllegalArgumentException().isThrownBy(() -> new ScoreHistory(new long[1], new double[2]))
                .withMessageContaining("has 2 and 1");
        ScoreHistory empty = ScoreHistory.of(new CollectScoresIterationListener());

        assertThat(empty.scores()).isEmpty();
        assertThat(empty.drawn()).isEmpty();
        assertThat(empty.diverged()).isFalse();
        assertThat(empty.last()).isNaN();
    }

    @Test
    void theEndIsTheMeanOfOneStepInTwenty() {
        double[] scores = LongStream.rangeClosed(1, 100).mapToDouble(i -> i).toArray();

        assertThat(new ScoreHistory(LongStream.range(0, 100).toArray(), scores).last()).isEqualTo(98);
    }

    @Test
    void longHistoriesAreDrawnByMeansFromTheirOwnFirstStep() {
        long[] iterations = LongStream.range(5_000, 6_200).toArray();
        double[] scores = LongStream.range(0, 1_200).mapToDouble(i -> i % 10).toArray();

        ScoreHistory drawn = new ScoreHistory(iterations, scores).drawn().orElseThrow();

        assertThat(drawn.scores()).hasSize(120).containsOnly(4.5);
        assertThat(drawn.iterations()[0]).isEqualTo(5);
    }

    @Test
    void onlyFiniteScoresAreDrawn() {
        ScoreHistory history = new ScoreHistory(new long[] {3, 4, 5}, new double[] {2, Double.NaN, 1});

        assertThat(history.diverged()).isTrue();
        assertThat(history.drawn().orElseThrow().scores()).containsExactly(2, 1);
        assertThat(new ScoreHistory(new long[] {3}, new double[] {Double.NaN}).drawn()).isEmpty();
    }
}
