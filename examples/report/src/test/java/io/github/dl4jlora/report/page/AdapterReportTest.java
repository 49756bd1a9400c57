package io.github.dl4jlora.report.page;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.pages.CodeBlock;
import io.github.dl4jlora.pages.JavaBlocks;
import io.github.dl4jlora.tune.LearningRates;
import io.github.dl4jlora.tune.RankUse;
import io.github.dl4jlora.variant.DoRA;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.optimize.listeners.CollectScoresIterationListener;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

class AdapterReportTest {

    private static final double READABLE = 4.5;
    private static final double VISIBLE = 3;

    @TempDir
    private Path folder;
    private final MultiLayerNetwork base = network();
    private final LoRAAdapter adapter = adapter(4, 1);
    private final LoRAAdapter other = adapter(2, 2);

    @Test
    void thePageLoadsNothingFromAnywhere() {
        String page = new AdapterReport("A title", base).add("one", adapter).add("two", other).html();

        assertThat(page).startsWith("<!DOCTYPE html>").doesNotContain("http", "<script", "@import", "src=")
                .doesNotContainPattern("url\\((?!#)");
        assertThat(page).contains("name=\"viewport\" content=\"width=device-width", "prefers-color-scheme: dark", "lang=\"en\"");
    }

    @Test
    void everyPictureHasWordsAndEveryReferenceLeadsSomewhere() {
        String page = new AdapterReport("A title", base).add("one", adapter).add("two", other)
                .scores("one", new ScoreHistory(new long[] {0, 1}, new double[] {2, 1})).html();

        List<String> ids = all(page, " id=\"([^\"]+)\"");
        assertThat(ids).doesNotHaveDuplicates();
        assertThat(ids).containsAll(all(page, "href=\"#([^\"]+)\""));
        assertThat(ids).containsAll(all(page, "url\\(#([^)]+)\\)"));
        List<String> pictures = all(page, "<svg viewBox(.*?)</svg>");
        assertThat(pictures).hasSize(1 + base.getnLayers()).allSatisfy(picture -> assertThat(picture)
                .contains("role=\"img\"", "<title", "<desc").doesNotContain("rgb(1,1,1)", "rgb(2,2,2)", "rgb(3,3"));
    }

    @Test
    void figuresAreTheAdaptersOwn() {
        String page = new AdapterReport("A title", base).add("one", adapter).html();

        assertThat(page).contains(String.format(Locale.ROOT, "%,d of %,d values train, ", LoRA.summary(LoRA.apply(base, adapter))
                .trainableParams(), LoRA.summary(LoRA.apply(base, adapter)).totalParams()));
        assertThat(page).contains(RankUse.of(adapter).get("fc1").toString());
        assertThat(page).contains(String.format(Locale.ROOT, "</span></span><span class=\"n\">%.2f",
                adapter.relativeNorm("fc1", base)));
        assertThat(page).contains(adapter.baseId("fc1").orElseThrow().substring(0, 12));
        assertThat(page).doesNotContain("Adapters compared");
    }

    @Test
    void theTopTellsWhatWasComparedWhatCameOfItAndWithWhat() {
        String page = new AdapterReport("A title", base).about("Two ranks of one task.").fact("learning rate", "0.001")
                .results(List.of("", "accuracy", "on disk"), List.of(List.of("base", "10 %", "-"),
                        List.of("two", "97 %", "9 bytes"), List.of("  removed", "10 %", "-"), List.of("one", "98 %", "18 bytes")))
                .add("one", adapter).add("two", other).html();

        String top = page.substring(0, page.indexOf("<h2>"));
        assertThat(top).contains("Two ranks of one task.", "<dt>learning rate</dt><dd>0.001</dd>", "97 %", "18 bytes",
                "<dt>adapter one</dt><dd>LoRA, rank 4, alpha 1 (A·B times 1)</dd>",
                "MultiLayerNetwork of 2 layers and " + base.numParams() + " values");
        assertThat(top).containsPattern("<dt>date</dt><dd>\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d ");
        adapter.layers().forEach(layer -> assertThat(top).contains(adapter.baseId(layer).orElseThrow().substring(0, 12)));
        assertThat(top.indexOf("<b>1</b> two")).isBetween(0, top.indexOf("<b>2</b> one"));
        assertThat(top).contains("<span class=\"below\">removed</span>", "data-of=\"on disk\"></td>");
    }

    @Test
    void lossesThatSpanADecadeHaveALogarithmicAxisAndCurvesInOnePiece() {
        long[] steps = LongStream.range(0, 300).toArray();
        ScoreHistory falling = new ScoreHistory(steps, LongStream.of(steps).mapToDouble(i -> Math.pow(10, -i / 100.0)).toArray());
        ScoreHistory level = new ScoreHistory(steps, LongStream.of(steps).mapToDouble(i -> 2 - i / 300.0).toArray());

        String logarithmic = loss(falling);
        String even = loss(level);

        // On a logarithmic axis an exponential is a straight line.
        List<double[]> points = points(logarithmic);
        assertThat(points).hasSize(100);
        double slope = (points.get(99)[1] - points.get(0)[1]) / (points.get(99)[0] - points.get(0)[0]);
        assertThat(points).allSatisfy(point -> assertThat(point[1])
                .isCloseTo(points.get(0)[1] + slope * (point[0] - points.get(0)[0]), within(1.5)));
        assertThat(points(even).get(99)[1]).isGreaterThan(points(logarithmic).get(0)[1] + 150);
    }

    private String loss(ScoreHistory history) {
        String page = new AdapterReport("A title", base).add("one", adapter).scores("one", history).html();
        return all(page, "<svg viewBox(.*?)</svg>").get(0);
    }

    /** Of the longest curve. */
    private static List<double[]> points(String picture) {
        String longest = all(picture, "stroke:var\\(--series-0\\)[^>]* points=\"([^\"]*)\"").stream()
                .max(Comparator.comparingInt(String::length)).orElseThrow();
        return Arrays.stream(longest.split(" ")).map(point -> Arrays.stream(point.split(",")).mapToDouble(Double::parseDouble)
                .toArray()).toList();
    }

    @Test
    void manyAdaptersAreToldApartWithoutColours() {
        AdapterReport report = new AdapterReport("A title", base);
        IntStream.rangeClosed(1, 20).forEach(i -> report.add("adapter " + i, adapter(2, i)));

        String page = report.html();

        List<Look> looks = IntStream.range(0, 36).mapToObj(Look::new).toList();
        assertThat(looks.stream().map(look -> look.colour() + Arrays.toString(look.dashes()))).doesNotHaveDuplicates();
        assertThat(looks.stream().map(look -> look.colour() + look.marker().toString())).doesNotHaveDuplicates();
        List<String> keys = all(page.substring(page.indexOf("How much each layer")), "(<svg class=\"key.*?</svg>)").stream()
                .distinct().map(key -> key.replaceFirst("class=\"key s\\d\"", "")).toList();
        assertThat(keys).hasSize(20).doesNotHaveDuplicates();
        for (int i = 1; i <= 20; i++) {
            assertThat(page).containsPattern("<div class=\"row\"><span class=\"who\">.{0,400}?<b>" + i + "</b> adapter " + i
                    + "</span><span class=\"track\">");
        }
    }

    @Test
    void adaptersAreComparedInFiguresAndWords() {
        LoRAAdapter against = LoRAAdapter.combine(io.github.dl4jlora.adapter.Combination.Method.CAT).add(adapter, -1).build();

        String page = new AdapterReport("A title", base).add("one", adapter).add("against", against).html();

        assertThat(page).contains("Adapters compared", "−1.000", "opposite changes");
    }

    @Test
    void namesAreTextNotMarkup() {
        String page = new AdapterReport("<script>alert(1)</script>", base).add("<b>\"x\"", adapter).html();

        assertThat(page).contains("&lt;script&gt;", "&lt;b&gt;&quot;x&quot;").doesNotContain("<script", "<b>\"x");
    }

    @Test
    void severalMatricesOfALayerEachHaveTheirPicture() {
        MultiLayerNetwork recurrent = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new LSTM.Builder().name("lstm").nIn(3).nOut(4).build())
                .layer(new RnnOutputLayer.Builder(LossFunction.MCXENT).name("out").nOut(2).activation(Activation.SOFTMAX).build())
                .build());
        recurrent.init();
        MultiLayerNetwork adapted = LoRA.apply(recurrent, LoRAConfig.builder().rank(2).targets("lstm").build());
        adapted.params().assign(Nd4j.rand(adapted.params().shape()));
        LoRAAdapter ofMatrices = LoRAAdapter.of(adapted);

        assertThat(ofMatrices.layers()).containsExactly("lstm.W", "lstm.RW");
        String page = new AdapterReport("A title", recurrent).add("one", ofMatrices).html();

        assertThat(all(page, "<svg viewBox(.*?)</svg>")).hasSameSizeAs(ofMatrices.layers());
        ofMatrices.layers().forEach(layer -> assertThat(page).contains("Singular values of ΔW of " + layer));
    }

    @Test
    void untrainedAdaptersAreSaidToBe() {
        LoRAAdapter fresh = LoRAAdapter.of(LoRA.apply(base, LoRAConfig.builder().rank(2).build()));

        assertThat(new AdapterReport("A title", base).add("fresh", fresh).html()).contains("this layer was not trained");
    }

    @Test
    void aDivergedTrainingIsSaidToHaveDiverged() {
        String page = new AdapterReport("A title", base).add("one", adapter)
                .scores("one", new ScoreHistory(new long[] {0, 1}, new double[] {2, Double.NaN}))
                .scores("never", new ScoreHistory(new long[] {0}, new double[] {Double.NaN})).html();

        assertThat(page).contains("2 steps, loss from 2.00 to NaN; it was NaN or infinite on the way: training diverged");
    }

    @Test
    void aTrainingOfWhichNothingWasRecordedIsSaidToBe() {
        String page = new AdapterReport("A title", base).add("one", adapter)
                .scores("one", ScoreHistory.of(new CollectScoresIterationListener())).html();

        assertThat(page).contains("no step was recorded.").doesNotContain("Loss by step");
    }

    @Test
    void anAdapterWithDoraInOneLayerHasNoFiguresAndThePageNamesTheLayer() {
        for (String layer : List.of("fc1", "fc2")) {
            LoRAAdapter mixed = LoRAAdapter.of(LoRA.apply(base, LoRAConfig.builder().rank(2)
                    .override(layer, settings -> settings.variant(new DoRA())).build()));

            String page = new AdapterReport("A title", base).add("mixed", mixed).add("one", adapter).html();

            assertThat(page).contains("mixed is a DoRA adapter in " + layer + ", which rescales W as well",
                    "How much each layer changes");
        }
    }

    @Test
    void aForeignAdapterAnUnknownNameTwiceAndAnEmptyReportAreRefused() {
        AdapterReport report = new AdapterReport("A title", base).add("one", adapter);
        MultiLayerNetwork foreign = network();
        foreign.params().addi(1);

        assertThatIllegalArgumentException().isThrownBy(() -> report.add("one", other)).withMessageContaining("\"one\" already");
        assertThatIllegalArgumentException().isThrownBy(() -> new AdapterReport("A title", foreign).add("one", adapter).html())
                .withMessageContaining("fc1");
        assertThatThrownBy(() -> new AdapterReport("A title", base).html()).isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("add(name, adapter)");
    }

    @Test
    void whoWatchesIsToldOfEveryStep() {
        List<String> seen = new ArrayList<>();
        AdapterReport report = new AdapterReport("A title", base).add("one", adapter).add("two", other).watch(seen::add);

        report.html();

        assertThat(seen).hasSize(report.steps()).contains("one, fc1", "two, fc2");
    }

    @Test
    void coloursStandOutInLightAndDark() throws IOException {
        String css = Files.readString(Path.of("src/main/resources/io/github/dl4jlora/report/page/report.css"));
        List<String> themes = all(css, ":root \\{ ?([^}]*)\\}");

        assertThat(themes).hasSize(2);
        for (String theme : themes) {
            Map<String, String> colours = new HashMap<>();
            Matcher matcher = Pattern.compile("--([a-z0-9-]+): (#[0-9a-f]+)").matcher(theme);
            matcher.results().forEach(colour -> colours.put(colour.group(1), colour.group(2)));
            assertThat(contrast(colours.get("ink"), colours.get("paper"))).isGreaterThan(READABLE);
            assertThat(contrast(colours.get("soft"), colours.get("paper"))).isGreaterThan(READABLE);
            for (int i = 0; i < Look.COLOURS; i++) {
                assertThat(contrast(colours.get("series-" + i), colours.get("paper"))).isGreaterThan(VISIBLE);
                assertThat(contrast(colours.get("series-" + i), colours.get("track"))).isGreaterThan(VISIBLE);
            }
        }
    }

    @Test
    void theGuidesSampleWorks() throws IOException {
        CollectScoresIterationListener listener = new CollectScoresIterationListener();
        listener.getScoreVsIter().addScore(0, 1.5);
        Path written = folder.resolve("report.html");
        LearningRates rates = new LearningRates(List.of(new LearningRates.Point(0.1, 1)), 2, 30, false);

        new AdapterReport("Spam filter", base)
                .about("Two ranks, trained on the same mails.")
                .fact("learning rate", "0.001")
                .add("rank 8", adapter)
                .add("rank 2", other)
                .scores("rank 8", ScoreHistory.of(listener))
                .rates("rank 8", rates)
                .write(written);

        assertThat(written).isNotEmptyFile();
        String here = CodeBlock.normal(Files.readString(
                Path.of("src/test/java/io/github/dl4jlora/report/page/AdapterReportTest.java")));
        assertThat(CodeBlock.of("docs/guide/see.md")).filteredOn(block -> block.code().contains("new AdapterReport(")).hasSize(1)
                .flatExtracting(CodeBlock::statements).allSatisfy(line ->
                        assertThat(here).contains(line.replace("Path.of(\"report.html\")", "written")));
    }

    @Test
    void javaCompilesAsTheGuidePrintsIt() throws IOException {
        assertThat(JavaBlocks.mistakes(Map.of("docs/guide/see.md", SeePageNames.class))).isEmpty();
    }

    private static List<String> all(String text, String pattern) {
        return Pattern.compile(pattern, Pattern.DOTALL).matcher(text).results()
                .map((MatchResult found) -> found.group(1)).toList();
    }

    /** Of WCAG 2: relative luminances, the brighter over the darker. */
    private static double contrast(String one, String other) {
        double brighter = Math.max(luminance(one), luminance(other));
        double darker = Math.min(luminance(one), luminance(other));
        return (brighter + 0.05) / (darker + 0.05);
    }

    private static double luminance(String colour) {
        String six = colour.length() == 4 ? colour.replaceAll("([0-9a-f])", "$1$1") : colour;
        double[] weights = {0.2126, 0.7152, 0.0722};
        double sum = 0;
        for (int i = 0; i < 3; i++) {
            double channel = Integer.parseInt(six.substring(1 + 2 * i, 3 + 2 * i), 16) / 255.0;
            sum += weights[i] * (channel <= 0.04045 ? channel / 12.92 : Math.pow((channel + 0.055) / 1.055, 2.4));
        }
        return sum;
    }

    private static MultiLayerNetwork network() {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new DenseLayer.Builder().name("fc1").nIn(6).nOut(8).build())
                .layer(new DenseLayer.Builder().name("fc2").nOut(7).build()).build());
        network.init();
        return network;
    }

    private LoRAAdapter adapter(int rank, long seed) {
        MultiLayerNetwork adapted = LoRA.apply(base, LoRAConfig.builder().rank(rank).build());
        adapted.params().assign(Nd4j.randn(adapted.params().shape(), Nd4j.getRandomFactory().getNewRandomInstance(seed)));
        return LoRAAdapter.of(adapted);
    }
}
