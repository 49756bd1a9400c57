package io.github.dl4jlora.outside;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.report.page.AdapterReport;
import io.github.dl4jlora.report.page.AdapterStatsListener;
import io.github.dl4jlora.report.page.ScoreHistory;
import org.deeplearning4j.core.storage.Persistable;
import org.deeplearning4j.core.storage.StatsStorage;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.optimize.listeners.CollectScoresIterationListener;
import org.deeplearning4j.ui.model.stats.StatsListener;
import org.deeplearning4j.ui.model.stats.api.StatsReport;
import org.deeplearning4j.ui.model.stats.api.StatsType;
import org.deeplearning4j.ui.model.storage.InMemoryStatsStorage;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatNullPointerException;

/** What users call, called as they call it: from a package of their own. */
class ReportFromAnyPackageTest {

    @TempDir
    private Path folder;
    private MultiLayerNetwork base;
    private MultiLayerNetwork tuned;

    @BeforeEach
    void aBaseAndAnAdaptedNetwork() {
        Nd4j.getRandom().setSeed(24);
        base = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new DenseLayer.Builder().name("fc1").nIn(4).nOut(5).build())
                .layer(new OutputLayer.Builder(LossFunction.MSE).name("out").nOut(2).build()).build());
        base.init();
        tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).seed(1).build());
    }

    private void train() {
        for (int i = 0; i < 3; i++) {
            tuned.fit(new DataSet(Nd4j.rand(6, 4), Nd4j.rand(6, 2)));
        }
    }

    @Test
    void aReportIsWritten() throws IOException {
        CollectScoresIterationListener losses = new CollectScoresIterationListener();
        tuned.addListeners(losses);
        train();

        new AdapterReport("Spam filter", base).about("Rank 2.").fact("epochs", "3").add("rank 2", LoRAAdapter.of(tuned))
                .results(List.of("", "accuracy"), List.of(List.of("rank 2", "97 %")))
                .scores("rank 2", ScoreHistory.of(losses)).write(folder.resolve("report.html"));

        assertThat(folder.resolve("report.html")).content()
                .contains("Spam filter", "Rank 2.", "97 %", "fc1", "3 steps, loss from");
    }

    @Test
    void resultsOfAnotherWidthThanTheirHeaderAreRefused() {
        assertThatIllegalArgumentException().isThrownBy(() -> new AdapterReport("Spam filter", base)
                .results(List.of("", "accuracy"), List.of(List.of("rank 2"))))
                .withMessageContaining("1 cells, but the header has 2");
    }

    @Test
    void matricesOfAdaptersComeToTheTrainingPagesUnderNamesThatTheyShow() {
        StatsStorage storage = new InMemoryStatsStorage();
        tuned.addListeners(new AdapterStatsListener(storage, 1, "a training"));

        train();

        List<Persistable> reports = storage.getAllUpdatesAfter("a training", StatsListener.TYPE_ID, 0);
        assertThat(reports).hasSize(3).allSatisfy(report -> {
            assertThat(((StatsReport) report).getMeanMagnitudes(StatsType.Parameters)).containsOnlyKeys("0_A.w", "0_B.w");
            assertThat(((StatsReport) report).getMeanMagnitudes(StatsType.Updates)).containsOnlyKeys("0_A.w", "0_B.w");
        });
    }

    /** What DL4J does with reports from a file and from another process: it makes them anew by their class's name. */
    @Test
    void figuresOfAFileAreRead() throws ReflectiveOperationException {
        StatsStorage storage = new InMemoryStatsStorage();
        tuned.addListeners(new AdapterStatsListener(storage, 1, "a training"));
        train();
        Persistable written = storage.getAllUpdatesAfter("a training", StatsListener.TYPE_ID, 0).get(0);

        Persistable read = (Persistable) Class.forName(written.getClass().getName()).getDeclaredConstructor().newInstance();
        read.decode(written.encode());

        // Beside these there are DL4J's names, whose figures are NaN.
        assertThat(((StatsReport) read).getMeanMagnitudes(StatsType.Parameters)).extractingByKeys("0_A.w", "0_B.w")
                .allSatisfy(magnitude -> assertThat(magnitude).isPositive());
    }

    @Test
    void whatIsMissingIsNamedAtOnce() {
        AdapterReport report = new AdapterReport("Spam filter", base);

        assertThatNullPointerException().isThrownBy(() -> report.add("rank 2", null)).withMessage("adapter");
        assertThatNullPointerException().isThrownBy(() -> report.scores("rank 2", null)).withMessage("history");
        assertThatNullPointerException().isThrownBy(() -> report.rates(null, null)).withMessage("name");
        assertThatNullPointerException().isThrownBy(() -> report.results(List.of(""), null)).withMessage("rows");
    }

    @Test
    void aCopyForAnotherThreadShowsThemToo() {
        AdapterStatsListener listener = new AdapterStatsListener(new InMemoryStatsStorage());

        assertThat(listener.clone()).isNotSameAs(listener).extracting(AdapterStatsListener::getStorageRouter)
                .isSameAs(listener.getStorageRouter());
    }
}
