package io.github.dl4jlora.report.page;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.tune.LearningRateSweep;
import io.github.dl4jlora.tune.LearningRates;
import io.github.dl4jlora.variant.DoRA;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

import static org.assertj.core.api.Assertions.assertThat;

/** The parts of a report that are about settings. */
class AdviceAndRatesTest {

    private static final int STEPS = 60;

    private final MultiLayerNetwork base = network();

    @Test
    void adviceStandsAboveAllElseWithItsFigures() {
        String page = new AdapterReport("A title", base).add("one", trained(8)).scores("one", losses(5, 4.9)).html();

        String advice = section(page, "Advice");
        assertThat(page.indexOf("<h2>Advice</h2>")).isLessThan(page.indexOf("<h2>Loss</h2>"));
        assertThat(advice).contains("<b>RATE_TOO_LOW: The loss hardly fell.</b> Train for longer", "<li>loss at the end 4.9");
    }

    @Test
    void layersOfWhichTheSameIsToBeSaidStandTogether() {
        String advice = section(new AdapterReport("A title", base).add("one", LoRAAdapter.of(adapted(2))).html(), "Advice");

        assertThat(advice.split("A·B is what it was before training", -1)).hasSize(2);
        assertThat(advice).contains("<li>fc1: norm of the change 0</li><li>fc2: norm of the change 0</li>");
    }

    @Test
    void eachAdapterHasItsOwnAndNoneIsSaidToBeNone() {
        MultiLayerNetwork dora = LoRA.apply(base, LoRAConfig.builder().rank(2).variant(new DoRA()).build());

        String advice = section(new AdapterReport("A title", base).add("one", LoRAAdapter.of(adapted(2)))
                .add("two", LoRAAdapter.of(dora)).scores("two", losses(5, 0.01)).html(), "Advice");

        assertThat(advice).contains("<b>1</b> one", "<b>2</b> two").contains("Nothing to change, as far as this can tell.");
    }

    @Test
    void ratesThatWereTriedAreDrawnAndListed() {
        MultiLayerNetwork network = adapted(4);
        LearningRates rates = LearningRateSweep.of(network).from(1e-4).to(10).points(6).steps(9)
                .run(new ExistingDataSetIterator(List.of(data())));

        String section = section(new AdapterReport("A title", base).add("one", trained(4)).rates("one", rates).html(),
                "Learning rates");

        assertThat(section).contains(Numbers.figure(rates.suggested()) + " is suggested, the best is "
                + Numbers.figure(rates.best().rate()) + "; 9 steps each");
        assertThat(section.split("<tr>", -1)).hasSize(2 + rates.points().size());
        assertThat(section).contains("<title id=\"rates-t\">Loss by learning rate</title>");
    }

    @Test
    void ratesOfWhichNoneLearnsOrAllDivergeAreNoFault() {
        List<LearningRates.Point> rising = IntStream.range(0, 3)
                .mapToObj(i -> new LearningRates.Point(Math.pow(10, i - 2), 3 + i)).toList();
        List<LearningRates.Point> broken = IntStream.range(1, 3).mapToObj(i -> new LearningRates.Point(i, Double.NaN)).toList();

        String section = section(new AdapterReport("A title", base).add("one", trained(4))
                .rates("rising", new LearningRates(rising, 2, 5, false)).rates("broken", new LearningRates(broken, 2, 5, false))
                .html(), "Learning rates");
        String alone = section(new AdapterReport("A title", base).add("one", trained(4))
                .rates("broken", new LearningRates(broken, 2, 5, false)).html(), "Learning rates");

        assertThat(section).contains("no rate made the loss smaller", "diverged");
        assertThat(alone).contains("diverged").doesNotContain("<title");
    }

    private static String section(String page, String heading) {
        int from = page.indexOf("<h2>" + heading + "</h2>");
        assertThat(from).as(heading).isPositive();
        return page.substring(from, page.indexOf("</section>", from));
    }

    private MultiLayerNetwork adapted(int rank) {
        return LoRA.apply(base, LoRAConfig.builder().rank(rank).updater(new Adam(1e-2)).build());
    }

    private LoRAAdapter trained(int rank) {
        MultiLayerNetwork adapted = adapted(rank);
        IntStream.range(0, 20).forEach(step -> adapted.fit(data()));
        return LoRAAdapter.of(adapted);
    }

    private static ScoreHistory losses(double first, double last) {
        return new ScoreHistory(LongStream.range(0, STEPS).toArray(),
                IntStream.range(0, STEPS).mapToDouble(i -> first + (last - first) * Math.min(1, 2.0 * i / STEPS)).toArray());
    }

    private static DataSet data() {
        return new DataSet(Nd4j.linspace(-1, 1, 60).reshape(10, 6).castTo(Nd4j.dataType()),
                Nd4j.eye(10).get(NDArrayIndex.all(), NDArrayIndex.interval(0, 3)).castTo(Nd4j.dataType()));
    }

    private static MultiLayerNetwork network() {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(1).updater(new Adam(1e-2))
                .list().layer(new DenseLayer.Builder().name("fc1").nIn(6).nOut(12).activation(Activation.TANH).build())
                .layer(new DenseLayer.Builder().name("fc2").nOut(12).activation(Activation.TANH).build())
                .layer(new OutputLayer.Builder(LossFunction.MSE).name("out").activation(Activation.IDENTITY).nOut(3).build())
                .build());
        network.init();
        return network;
    }
}
