package io.github.dl4jlora.report.page;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.browser.Chromium;
import io.github.dl4jlora.browser.PageCheck;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.variant.DoRA;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.optimize.listeners.CollectScoresIterationListener;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.LongStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

/** Reports as browsers show and print them, light and dark, on a screen and a phone. Each check is seen to fail, too. */
@Tag("heavy")
class ReportsInABrowserTest {

    private static final String LONG = "encoder.layer.11.attention.self.a_very_long_name_of_a_projection_that_goes_on.query";

    private static Chromium browser;

    @TempDir
    private Path folder;

    @BeforeAll
    static void start() throws IOException {
        Path program = Chromium.installed().orElse(null);
        browser = program == null ? null : new Chromium(program);
    }

    /** Before each, so that each is told as skipped. */
    @BeforeEach
    void requireIt() {
        assumeTrue(browser != null, "no Chromium on the PATH: install it (apt-get install chromium) to look at reports");
    }

    @AfterAll
    static void stop() throws Exception {
        if (browser != null) {
            browser.close();
        }
    }

    @Test
    void ofEightAdapters() throws IOException {
        MultiLayerNetwork base = network("fc1", "fc2", "fc3");
        AdapterReport report = new AdapterReport("Eight adapters", base).about("Ranks 1 to 8.");
        for (int rank = 1; rank <= 8; rank++) {
            report.add("rank " + rank, adapter(base, rank, rank)).scores("rank " + rank, falling(rank));
        }

        assertThat(check(report)).isEmpty();
    }

    @Test
    void ofThirtyAdaptersWhoseCurvesEndTogether() throws IOException {
        MultiLayerNetwork base = network("fc1");
        AdapterReport report = new AdapterReport("Thirty adapters", base);
        for (int i = 1; i <= 30; i++) {
            report.add("try" + " ".repeat(i), adapter(base, 3, i)).scores("try" + " ".repeat(i), falling(2));
        }

        assertThat(check(report)).isEmpty();
    }

    @Test
    void ofVeryLongNames() throws IOException {
        MultiLayerNetwork base = network(LONG, LONG.replace('.', '_'), "x".repeat(200));
        AdapterReport report = new AdapterReport(LONG, base).about(LONG).fact(LONG, LONG)
                .results(List.of("", "a heading of several words", "on disk"),
                        List.of(List.of(LONG, "97.3 %", "1,234,567,890 bytes")))
                .add(LONG, adapter(base, 4, 1)).add("y".repeat(200), adapter(base, 2, 2)).scores(LONG, falling(1));

        assertThat(check(report)).isEmpty();
    }

    @Test
    void ofDoRA() throws IOException {
        MultiLayerNetwork base = network("fc1", "fc2");
        MultiLayerNetwork adapted = LoRA.apply(base, LoRAConfig.builder().rank(2).variant(new DoRA()).build());

        assertThat(check(new AdapterReport("DoRA", base).add("DoRA", LoRAAdapter.of(adapted)))).isEmpty();
    }

    @Test
    void ofAnEmptyHistory() throws IOException {
        MultiLayerNetwork base = network("fc1", "fc2");
        AdapterReport report = new AdapterReport("Nothing to draw", base).add("one", adapter(base, 2, 1))
                .scores("one", ScoreHistory.of(new CollectScoresIterationListener()))
                .scores("diverged at once", new ScoreHistory(new long[] {0}, new double[] {Double.NaN}));

        assertThat(check(report)).isEmpty();
    }

    @Test
    void ofNamesThatAreMarkup() throws IOException {
        String script = "<script>console.error('run')</script><img src=http://example.org/x.png>";
        MultiLayerNetwork base = network(script, "\"'><b>");
        AdapterReport report = new AdapterReport(script, base).about(script).fact(script, script)
                .results(List.of("", script), List.of(List.of(script, script)))
                .add(script, adapter(base, 2, 1)).add("\"'><b>", adapter(base, 3, 2)).scores(script, falling(1));

        assertThat(check(report)).isEmpty();
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            <p style="width:500px">wide</p>                                    | 390 px, light: p "wide" reaches from
            <p style="width:1500px">wider</p>                                  | 1280 px, dark: p "wider" reaches from
            <p style="width:100px;white-space:nowrap">one long line of text here</p> | p "one long line of text here" holds
            <details><summary>s</summary><p style="width:600px">in</p></details> | 390 px, dark: p "in" reaches from
            <svg viewBox="0 0 9 9" width="90"><path id="l" d="M0 0h5"/><use href="#l" x="7"/></svg> | a letter leaves its picture
            <script>console.error('broken')</script>                           | the console says
            <script>undefined.x</script>                                       | the console says TypeError
            <img src="https://example.org/x.png">                              | it asks for https://example.org/x.png
            <style>@import 'http://example.org/a.css';</style>                 | it asks for http://example.org/a.css
            <details><summary>s</summary><p>hidden words</p></details>         | paper: "hiddenwo" stays folded
            <p class="bar" style="width:300px;height:20px;background:#0b5fb0"></p> | paper: of 1 bars 0 are printed
            <h2>Alone</h2><div style="break-before:page">next page</div>       | paper: the heading "Alone" stands alone
            <h2>Far</h2><p>a</p><div style="break-before:page"><svg role="img"/></div> | "Far" is on another page than its
            <style>@media (prefers-color-scheme: dark) { * { color: #fff } }</style> | paper: the dark page's pale letters
            """)
    void aDefectIsSeen(String defect, String told) throws IOException {
        assertThat(PageCheck.of(browser, page("<p>Some text.</p>" + defect))).anyMatch(found -> found.contains(told));
    }

    @ParameterizedTest
    @ValueSource(strings = {"<p>Some text.</p>", "<h2>A heading</h2><p>and its text</p>"})
    void aSoundPageHasNoDefect(String sound) throws IOException {
        assertThat(PageCheck.of(browser, page(sound))).isEmpty();
    }

    @Test
    void aPageThatDoesNotAskForThePhonesWidthIsSeen() throws IOException {
        Path bare = Files.writeString(folder.resolve("bare.html"), "<!DOCTYPE html><p>Some text.</p>");

        assertThat(PageCheck.of(browser, bare)).contains("390 px, light: the page is laid out for 980 px");
    }

    private Path page(String body) throws IOException {
        return Files.writeString(folder.resolve("page.html"), "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">"
                + "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><link rel=\"icon\" href=\"data:,\">"
                + "<title>A page</title></head><body>" + body + "</body></html>");
    }

    private List<String> check(AdapterReport report) throws IOException {
        Path page = folder.resolve("report.html");
        report.write(page);
        return PageCheck.of(browser, page);
    }

    private static ScoreHistory falling(int speed) {
        return new ScoreHistory(LongStream.range(0, 400).toArray(),
                LongStream.range(0, 400).mapToDouble(i -> 5 * Math.exp(-speed * i / 300.0) + 0.01 * speed).toArray());
    }

    private static MultiLayerNetwork network(String... names) {
        NeuralNetConfiguration.ListBuilder list = new NeuralNetConfiguration.Builder().seed(1).list();
        for (String name : names) {
            list.layer(new DenseLayer.Builder().name(name).nIn(12).nOut(12).build());
        }
        MultiLayerNetwork network = new MultiLayerNetwork(list.build());
        network.init();
        return network;
    }

    private static LoRAAdapter adapter(MultiLayerNetwork base, int rank, long seed) {
        MultiLayerNetwork adapted = LoRA.apply(base, LoRAConfig.builder().rank(rank).build());
        INDArray values = adapted.params();
        values.assign(Nd4j.randn(values.shape(), Nd4j.getRandomFactory().getNewRandomInstance(seed)).muli(0.3));
        return LoRAAdapter.of(adapted);
    }
}
