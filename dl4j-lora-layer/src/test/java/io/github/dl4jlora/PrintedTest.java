package io.github.dl4jlora;

import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.pages.CodeBlock;
import io.github.dl4jlora.tune.LearningRates;
import io.github.dl4jlora.tune.RankUse;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

/** What adapt.md and combine.md show as printed is what is printed; the command line's tests look at its own page. */
class PrintedTest {

    private static final Pattern POINT = Pattern.compile("^([\\d.]+) +([\\d.]+)", Pattern.MULTILINE);
    private static final Pattern UNTRAINED = Pattern.compile("(\\d+) steps each.*; ([\\d.]+) without training");
    private static final Pattern USE = Pattern.compile(
            "fc1: ((\\d+) of (\\d+) directions .*?\\.) Rank \\d+ keeps ([\\d.]+) %, and loses ([\\d.]+) % of the norm\\.\n");

    private static String text(String page, String part) {
        List<String> printed = CodeBlock.of(page, "text").stream().map(CodeBlock::code).filter(code -> code.contains(part))
                .toList();
        assertThat(printed).as(page).hasSize(1);
        return printed.get(0);
    }

    private static MatchResult only(Pattern pattern, String text) {
        List<MatchResult> found = pattern.matcher(text).results().toList();
        assertThat(found).hasSize(1);
        return found.get(0);
    }

    @Test
    void aSweepPrintsWhatThePageShows() {
        String shown = text("docs/guide/adapt.md", "learning rate");
        MatchResult end = only(UNTRAINED, shown);

        LearningRates rates = new LearningRates(POINT.matcher(shown).results().map(row -> new LearningRates.Point(
                Double.parseDouble(row.group(1)), Double.parseDouble(row.group(2)))).toList(),
                Double.parseDouble(end.group(2)), Integer.parseInt(end.group(1)), false);

        assertThat(rates.toString().strip()).isEqualTo(shown.strip());
    }

    /** The network is that of AdaptASavedNetwork, among the programs to copy. */
    @Test
    void aSummaryPrintsWhatThePageShows() {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new DenseLayer.Builder().name("fc1").nIn(64).nOut(128).build())
                .layer(new DenseLayer.Builder().name("fc2").nOut(128).build())
                .layer(new OutputLayer.Builder(LossFunction.MCXENT).name("out").nOut(10).activation(Activation.SOFTMAX).build())
                .build());
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK)
                .build());

        assertThat(LoRA.summary(tuned).toString().strip()).isEqualTo(text("docs/guide/adapt.md", "fc1").strip());
        assertThat(tuned.numParams()).isEqualTo(LoRA.summary(tuned).trainableParams());
    }

    @Test
    void aCompressionPrintsWhatThePageShows() {
        MatchResult line = only(USE, text("docs/guide/combine.md", "directions"));
        int rank = Integer.parseInt(line.group(3));

        assertThat(new RankUse(rank, rank, Integer.parseInt(line.group(2)), true)).hasToString(line.group(1));
        assertThat(Double.parseDouble(line.group(5))).as("lost, of the share that is kept")
                .isCloseTo(100 * Math.sqrt(1 - Double.parseDouble(line.group(4)) / 100), within(0.05));
    }
}
