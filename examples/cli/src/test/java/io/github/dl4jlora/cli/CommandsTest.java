package io.github.dl4jlora.cli;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.browser.PageCheck;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.tune.RankUse;
import io.github.dl4jlora.variant.DoRA;
import org.deeplearning4j.datasets.iterator.utilty.ListDataSetIterator;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.preprocessor.NormalizerStandardize;
import org.nd4j.shade.jackson.databind.JsonNode;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

class CommandsTest {

    private static final double ROUNDING = 1e-5;

    @TempDir
    private Path folder;
    private Shell shell;
    private final MultiLayerNetwork base = Networks.layers(1);
    private final MultiLayerNetwork tuned = Networks.adapted(base, 2, 1);
    private final INDArray input = Networks.input();
    private final INDArray answers = tuned.output(input);

    @BeforeEach
    void saveThem() throws IOException {
        shell = new Shell(folder);
        ModelSerializer.writeModel(base, file("base.zip").toFile(), true);
        ModelSerializer.writeModel(tuned, file("checkpoint.zip").toFile(), true);
        LoRA.save(tuned, file("tuned.zip"), true);
        LoRAAdapter.of(tuned).save(file("spam"));
        Networks.adapter(base, 2, 2).save(file("tone"));
    }

    @Test
    void inspectTellsTheLayersOfANetwork() throws IOException {
        assertThat(shell.run("inspect", "@tuned.zip")).isZero();
        assertThat(shell.out()).contains("an adapted network with its base, a MultiLayerNetwork", "fc1", "adapted",
                "trainable params: 58");

        assertThat(shell.run("inspect", "@base.zip", "--json")).isZero();
        JsonNode facts = shell.json();
        assertThat(facts.get("kind").asText()).isEqualTo("STOCK");
        assertThat(facts.get("total").asLong()).isEqualTo(base.numParams());
        assertThat(facts.get("layers").findValuesAsText("name")).containsExactly("fc1", "fc2", "out");
        // 6·8 weights and 8 biases in single precision.
        assertThat(facts.get("layers").get(0).get("bytes").asLong()).isEqualTo(4 * (6 * 8 + 8));
        assertThat(shell.run("inspect", "@base.zip")).isZero();
        assertThat(shell.out()).contains("DenseLayer", "trainable params: ").doesNotContain("rank", "alpha");
    }

    @Test
    void inspectTellsWhatAnAdapterLearned() throws IOException {
        LoRAAdapter adapter = LoRAAdapter.load(file("spam"));

        assertThat(shell.run("inspect", "@spam", "--base", "@base.zip", "--json")).isZero();

        JsonNode layer = shell.json().get("layers").get(0);
        assertThat(layer.get("name").asText()).isEqualTo("fc1");
        assertThat(layer.get("rank").asInt()).isEqualTo(2);
        assertThat(layer.get("norm").asDouble()).isCloseTo(adapter.norm("fc1"), within(1e-9));
        assertThat(layer.get("relativeNorm").asDouble()).isCloseTo(adapter.relativeNorm("fc1", base), within(1e-9));
        assertThat(layer.get("baseId").asText()).isEqualTo(adapter.baseId("fc1").orElseThrow());
        assertThat(shell.run("inspect", "@spam")).isZero();
        assertThat(shell.out()).contains("a LoRA adapter of 2 layers", "rank for 99 %", "fc2");
    }

    /** Its configuration alone would ask for data. */
    @Test
    void anAdapterThatStartedFromGradientsIsMerged() throws IOException {
        MultiLayerNetwork ga = LoRA.apply(base, LoRAConfig.builder().rank(2).loraInit(LoRAInit.LORA_GA).build(),
                new ListDataSetIterator<>(List.of(Networks.data(2)), 1));
        ga.fit(Networks.data(2));
        LoRAAdapter.of(ga).save(file("ga"));

        assertThat(shell.run("merge", "@base.zip", "@ga", "-o", "@plain.zip")).as(shell.err()).isZero();

        MultiLayerNetwork merged = MultiLayerNetwork.load(file("plain.zip").toFile(), false);
        assertThat(merged.output(input).distance2(ga.output(input))).isLessThan(ROUNDING);
        Networks.layers(7).save(file("other.zip").toFile());
        assertThat(shell.run("import", "@ga", "@other.zip", "--any-base", "-o", "@forced.zip")).as(shell.err()).isZero();
    }

    @Test
    void aReplacedAdaptersMomentumIsForgotten() throws IOException {
        tuned.fit(Networks.data(2));
        LoRA.save(tuned, file("trained.zip"), true);

        assertThat(shell.run("import", "@tone", "@trained.zip", "-o", "@swapped.zip")).as(shell.err()).isZero();

        MultiLayerNetwork swapped = (MultiLayerNetwork) LoRA.load(file("swapped.zip"));
        assertThat(swapped.getIterationCount()).isZero();
        assertThat(swapped.getUpdater().getStateViewArray().amaxNumber().doubleValue()).isZero();
    }

    @Test
    void inspectSaysWhyTheEffectiveRankOfAStartTakenFromTheWeightsMayExceedTheRank() throws IOException {
        MultiLayerNetwork pissa = LoRA.apply(base, LoRAConfig.builder().rank(2).loraInit(LoRAInit.PISSA).build());
        pissa.fit(Networks.data(2));
        LoRAAdapter.of(pissa).save(file("pissa"));

        assertThat(shell.run("inspect", "@pissa")).as(shell.err()).isZero();

        assertThat(shell.out()).contains("started from a part of W (PISSA): what it adds has up to twice the rank");
    }

    @Test
    void adviceNamesItsKindAndWhatFollowsItAsACommand() throws IOException {
        Networks.adapter(base, 1, 3).save(file("thin"));
        assertThat(shell.run("combine", "@thin", "@thin", "@thin", "@thin", "-o", "@wide")).as(shell.err()).isZero();

        assertThat(shell.run("inspect", "@wide", "--base", "@base.zip")).as(shell.err()).isZero();

        assertThat(shell.out()).contains("relative to W", "Advice: RANK_WASTED: A few directions hold nearly all of the change. "
                + "dl4j-lora combine " + file("wide") + " --compress 1 -o smaller makes this adapter smaller");
        assertThat(shell.run("combine", "@wide", "--compress", "1", "-o", "@smaller")).isZero();
        assertThat(LoRAAdapter.load(file("smaller")).rank("fc1")).isEqualTo(1);
    }

    @Test
    void applyMakesAFreshNetworkThatComputesWhatTheBaseDoes() throws IOException {
        assertThat(shell.run("apply", "@base.zip", "--rank", "3", "--targets", "fc1", "-o", "@new.zip", "--json")).isZero();

        MultiLayerNetwork fresh = LoRA.loadMultiLayerNetwork(file("new.zip"));
        assertThat(fresh.output(input)).isEqualTo(base.output(input));
        assertThat(shell.json().get("trainable").asLong()).isEqualTo(3 * (Networks.IN + 8)).isEqualTo(fresh.numParams());
    }

    @Test
    void applyPutsAnAdapterOnItsBase() throws IOException {
        assertThat(shell.run("apply", "@base.zip", "@spam", "-o", "@new.zip")).isZero();

        assertThat(shell.out()).contains("new.zip", "58 of");
        assertThat(LoRA.loadMultiLayerNetwork(file("new.zip")).output(input)).isEqualTo(answers);
    }

    @Test
    void mergeGivesAStockNetworkWhateverHoldsTheAdapter() throws IOException {
        assertThat(shell.run("merge", "@base.zip", "@spam", "-o", "@one.zip")).isZero();
        assertThat(shell.run("merge", "@tuned.zip", "-o", "@two.zip")).isZero();
        assertThat(shell.run("merge", "@checkpoint.zip", "--base", "@base.zip", "-o", "@three.zip", "--json")).isZero();

        assertThat(shell.json().get("type").asText()).isEqualTo("MultiLayerNetwork");
        for (String merged : List.of("one.zip", "two.zip", "three.zip")) {
            MultiLayerNetwork plain = ModelSerializer.restoreMultiLayerNetwork(file(merged).toFile());
            assertThat(plain.getLayerWiseConfigurations().toJson()).as(merged).doesNotContain("dl4jlora");
            assertThat(plain.output(input).sub(answers).amaxNumber().doubleValue()).as(merged).isLessThan(ROUNDING);
        }
    }

    @Test
    void graphsAreTreatedAsLayersAre() throws IOException {
        ComputationGraph graph = Networks.graph(3);
        ModelSerializer.writeModel(graph, file("graph.zip").toFile(), false);

        assertThat(shell.run("apply", "@graph.zip", "-o", "@adapted.zip")).isZero();
        assertThat(shell.run("export", "@adapted.zip", "-o", "@adapter")).isZero();
        assertThat(shell.run("merge", "@graph.zip", "@adapter", "-o", "@plain.zip")).isZero();

        assertThat(ModelSerializer.restoreComputationGraph(file("plain.zip").toFile()).outputSingle(input))
                .isEqualTo(graph.outputSingle(input));
    }

    @Test
    void theNormalizerOfANetworkGoesAlong() throws IOException {
        NormalizerStandardize normalizer = new NormalizerStandardize();
        normalizer.fit(Networks.data(1));
        ModelSerializer.addNormalizerToModel(file("base.zip").toFile(), normalizer);

        assertThat(shell.run("apply", "@base.zip", "@spam", "-o", "@adapted.zip")).isZero();
        assertThat(shell.run("merge", "@adapted.zip", "-o", "@plain.zip")).isZero();

        NormalizerStandardize found = ModelSerializer.restoreNormalizerFromFile(file("plain.zip").toFile());
        assertThat(found.getMean()).isEqualTo(normalizer.getMean());
        try (ZipFile zip = new ZipFile(file("adapted.zip").toFile())) {
            ZipEntry values = zip.getEntry(ModelSerializer.COEFFICIENTS_BIN);
            assertThat(values.getCompressedSize()).as("as LoRA.save wrote it").isGreaterThanOrEqualTo(values.getSize());
        }
        assertThat(ModelSerializer.restoreMultiLayerNetwork(file("plain.zip").toFile()).output(input).sub(answers).amaxNumber()
                .doubleValue()).isLessThan(ROUNDING);
    }

    /** A checkpoint holds no normalizer: what is made of it and its base has the base's. */
    @Test
    void theNormalizerOfABaseThatIsGivenGoesAlong() throws IOException {
        NormalizerStandardize normalizer = new NormalizerStandardize();
        normalizer.fit(Networks.data(1));
        ModelSerializer.addNormalizerToModel(file("base.zip").toFile(), normalizer);

        assertThat(shell.run("merge", "@checkpoint.zip", "--base", "@base.zip", "-o", "@plain.zip")).isZero();
        assertThat(shell.run("import", "@tone", "@checkpoint.zip", "--base", "@base.zip", "-o", "@other.zip")).isZero();

        for (String file : List.of("plain.zip", "other.zip")) {
            NormalizerStandardize found = ModelSerializer.restoreNormalizerFromFile(file(file).toFile());
            assertThat(found.getMean()).as(file).isEqualTo(normalizer.getMean());
        }
    }

    @Test
    void exportTakesOutWhatImportPutsIn() throws IOException {
        assertThat(shell.run("export", "@tuned.zip", "-o", "@out")).isZero();
        assertThat(shell.run("export", "@checkpoint.zip", "--base", "@base.zip", "-o", "@out2")).isZero();
        assertThat(shell.run("import", "@out", "@base.zip", "-o", "@again.zip")).isZero();

        assertThat(LoRA.loadMultiLayerNetwork(file("again.zip")).output(input)).isEqualTo(answers);
        assertThat(LoRAAdapter.load(file("out2")).cosine(LoRAAdapter.load(file("out")))).isCloseTo(1, within(1e-12));
    }

    @Test
    void importReplacesTheAdapterOfAnAdaptedNetwork() throws IOException {
        assertThat(shell.run("import", "@tone", "@tuned.zip", "-o", "@swapped.zip")).isZero();

        assertThat(LoRA.loadMultiLayerNetwork(file("swapped.zip")).output(input))
                .isEqualTo(LoRA.apply(base, LoRAAdapter.load(file("tone"))).output(input));
    }

    @Test
    void importTakesACheckpointWhoseBaseIsNamed() throws IOException {
        assertThat(shell.run("import", "@tone", "@checkpoint.zip", "--base", "@base.zip", "-o", "@swapped.zip"))
                .as(shell.err()).isZero();

        assertThat(LoRA.loadMultiLayerNetwork(file("swapped.zip")).output(input))
                .isEqualTo(LoRA.apply(base, LoRAAdapter.load(file("tone"))).output(input));
    }

    @Test
    void importRenamesModules() throws IOException {
        assertThat(shell.run("export", "@tuned.zip", "-o", "@renamed")).isZero();
        rename("fc1", "model.linear1");
        rename("fc2", "model.linear2");

        assertThat(shell.run("import", "@renamed", "@base.zip", "-o", "@no.zip")).isEqualTo(1);
        assertThat(shell.err()).contains("renamed does not fit", "model.linear1", "--rename");
        assertThat(shell.run("import", "@renamed", "@base.zip", "--rename", "model\\.linear(\\d)=fc$1", "-o", "@yes.zip"))
                .isZero();
        assertThat(LoRA.loadMultiLayerNetwork(file("yes.zip")).output(input)).isEqualTo(answers);
    }

    @Test
    void aRenamedModulesGroupsAreThoseOfTheWholeName() throws IOException {
        assertThat(shell.run("export", "@tuned.zip", "-o", "@renamed")).isZero();
        rename("fc1", "model.linear12");
        rename("fc2", "model.linear2");

        assertThat(shell.run("import", "@renamed", "@base.zip", "--rename", "model\\.linear(\\d|\\d\\d)=fc$1", "-o",
                "@no.zip")).isEqualTo(1);
        assertThat(shell.err()).contains("\"fc12\"");
    }

    /** In both files, length for length, since the header of the tensors' file has a fixed size. */
    private void rename(String layer, String module) throws IOException {
        LoRAAdapter adapter = LoRAAdapter.loader().keyMapper(name -> name.equals(layer) ? module : name).load(file("renamed"));
        adapter.save(file("renamed"));
    }

    @Test
    void anAdapterOfAnotherBaseIsTakenOnlyWhenAskedTo() throws IOException {
        ModelSerializer.writeModel(Networks.layers(99), file("other.zip").toFile(), false);

        assertThat(shell.run("apply", "@other.zip", "@spam", "-o", "@no.zip")).isEqualTo(1);
        assertThat(shell.err()).contains("spam does not fit", "other.zip", "fc1", "--any-base");
        assertThat(file("no.zip")).doesNotExist();
        assertThat(shell.run("import", "@spam", "@other.zip", "--any-base", "-o", "@yes.zip")).isZero();
        assertThat(file("yes.zip")).isNotEmptyFile();
    }

    @Test
    void extractMakesAnAdapterOfAFineTunedNetwork() throws IOException {
        MultiLayerNetwork fineTuned = base.clone();
        fineTuned.fit(input, answers);
        ModelSerializer.writeModel(fineTuned, file("finetuned.zip").toFile(), true);

        assertThat(shell.run("extract", "@base.zip", "@finetuned.zip", "--energy", "1", "--full-values", "-o", "@exact"))
                .as(shell.err()).isZero();
        assertThat(shell.out()).contains("fc1: rank ", " keeps 100.00 % of the change, and loses 0.00 % of the norm")
                .doesNotContain("--full-values");
        assertThat(LoRA.apply(base, LoRAAdapter.load(file("exact"))).output(input).sub(fineTuned.output(input)).amaxNumber()
                .doubleValue()).isLessThan(ROUNDING);

        assertThat(shell.run("extract", "@base.zip", "@finetuned.zip", "--rank", "1", "-o", "@small", "--json")).isZero();
        assertThat(shell.json().get("leftOut")).extracting(JsonNode::asText).containsExactly("fc1.b", "fc2.b", "out.b");
        assertThat(LoRAAdapter.load(file("small")).rank("fc2")).isEqualTo(1);
    }

    @Test
    void combineWeighsAdapters() throws IOException {
        assertThat(shell.run("combine", "@spam=0.5", "@tone=-2", "-o", "@both", "--json")).isZero();

        INDArray expected = LoRAAdapter.load(file("spam")).deltaWeight("fc1").mul(0.5)
                .sub(LoRAAdapter.load(file("tone")).deltaWeight("fc1").mul(2));
        assertThat(LoRAAdapter.load(file("both")).deltaWeight("fc1").sub(expected).amaxNumber().doubleValue())
                .isLessThan(ROUNDING);
        assertThat(shell.json().get("method").asText()).isEqualTo("CAT");
    }

    @Test
    void combineCompressesAndTellsWhatIsLost() throws IOException {
        assertThat(shell.run("combine", "@spam", "@tone", "--method", "svd", "--rank", "3", "--compress", "1", "-o", "@small"))
                .isZero();

        assertThat(LoRAAdapter.load(file("small")).rank("fc1")).isEqualTo(1);
        assertThat(shell.out()).containsPattern("fc1: .* Rank 1 keeps \\d+\\.\\d\\d %, and loses "
                + "\\d+\\.\\d\\d % of the norm\\.");
    }

    @Test
    void combineAndReportTellTheSameOfARank() throws IOException {
        assertThat(shell.run("combine", "@spam", "@tone", "-o", "@both")).isZero();
        assertThat(shell.run("report", "@base.zip", "@both", "-o", "@page.html")).isZero();
        assertThat(shell.out()).contains(": a page about 1 adapter: both.");
        List<String> verdicts = RankUse.of(LoRAAdapter.load(file("both"))).values().stream().map(RankUse::toString).toList();

        assertThat(shell.run("combine", "@both", "--compress", "1", "-o", "@small")).isZero();

        assertThat(verdicts).hasSize(2).allSatisfy(verdict -> {
            assertThat(verdict).contains("99 % of the change");
            assertThat(shell.out()).contains(verdict);
            assertThat(file("page.html")).content().contains(verdict);
        });
        assertThat(shell.run("combine", "@both", "--compress", "1", "--force", "-o", "@small", "--json")).isZero();
        double lost = shell.json().at("/lost/fc1").asDouble();
        assertThat(1 - lost * lost).isLessThan(RankUse.NEARLY_ALL);
        assertThat(shell.json().at("/needed/fc1").asInt()).isGreaterThan(1)
                .isEqualTo(LoRAAdapter.load(file("both")).compressToEnergy(RankUse.NEARLY_ALL).adapter().rank("fc1"));
    }

    @Test
    void combineTakesEveryMethod() {
        for (String method : List.of("linear", "ties", "ties_svd", "dare_linear", "dare_linear_svd", "dare_ties",
                "dare_ties_svd", "magnitude_prune", "magnitude_prune_svd")) {
            String[] words = method.equals("linear") ? new String[] {}
                    : method.contains("ties") ? new String[] {"--density", "0.5", "--majority-sign", "frequency"}
                    : method.startsWith("dare") ? new String[] {"--density", "0.5", "--seed", "7"}
                    : new String[] {"--density", "0.5"};
            assertThat(shell.run(Stream.of(Stream.of("combine", "@spam", "@tone", "--method", method, "-o", "@" + method),
                    Stream.of(words))
                    .flatMap(word -> word).toArray(String[]::new))).as(method + shell.err()).isZero();
        }
    }

    @Test
    void combineWithDareChoosesByItsSeed() throws IOException {
        for (String seed : List.of("", "0", "1")) {
            assertThat(shell.run(Stream.of("combine", "@spam", "@tone", "--method", "dare_linear", "--density", "0.5", "-o", "@of"
                    + seed, seed.isEmpty() ? "" : "--seed=" + seed).filter(word -> !word.isEmpty()).toArray(String[]::new)))
                    .as(shell.err()).isZero();
        }

        INDArray unsaid = LoRAAdapter.load(file("of")).deltaWeight("fc1");
        assertThat(LoRAAdapter.load(file("of0")).deltaWeight("fc1")).isEqualTo(unsaid);
        assertThat(LoRAAdapter.load(file("of1")).deltaWeight("fc1")).isNotEqualTo(unsaid);
    }

    @Test
    void reportWritesAPageAboutAllOfThem() throws IOException {
        Files.writeString(file("spam.tsv"), "Iteration\tScore\n0\t1.5\n1\t0.75");

        assertThat(shell.run("report", "@base.zip", "@spam", file("tone") + "=sarcasm", "--scores", "@spam.tsv", "--title",
                "Two tasks", "--note", "Accuracy 97 % and 98 %.", "-o", "@page.html", "--json")).as(shell.err()).isZero();

        assertThat(file("page.html")).content().contains("Two tasks", "sarcasm", "2 steps, loss from 1.50 to 0.750",
                "Accuracy 97 % and 98 %.", "Adapters of the network base.zip: spam, sarcasm.", "not recorded with adapters",
                "loss at the end", "0.7500");
        for (String adapter : List.of("spam", "tone")) {
            assertThat(file("page.html")).content().contains(String.format(Locale.ROOT, "%,d bytes", Output.size(file(adapter))));
        }
        assertThat(shell.json().get("adapters")).extracting(JsonNode::asText).containsExactly("spam", "sarcasm");
    }

    @Test
    void reportTakesOneUnnamedFileOfLossesForThoseOfTheOnlyAdapter() throws IOException {
        Files.writeString(file("mailbox.tsv"), "0\t1.5\n1\t0.75");

        assertThat(shell.run("report", "@base.zip", "@spam", "--scores", "@mailbox.tsv", "-o", "@paired.html")).as(shell.err())
                .isZero();
        assertThat(shell.run("report", "@base.zip", "@spam", "--scores", file("mailbox.tsv") + "=before", "-o", "@named.html"))
                .as(shell.err()).isZero();
        assertThat(shell.run("report", "@base.zip", "@spam", "@tone", "--scores", "@mailbox.tsv", "-o", "@two.html"))
                .as(shell.err()).isZero();

        assertThat(file("paired.html")).content().contains("loss at the end", "0.7500").doesNotContain("mailbox");
        assertThat(file("named.html")).content().contains("before").doesNotContain("loss at the end");
        assertThat(file("two.html")).content().contains("mailbox").doesNotContain("loss at the end");
    }

    @Test
    @Tag("heavy")
    void itsPageHasNoDefectInABrowser() throws Exception {
        Files.writeString(file("spam.tsv"), "0\t2.5\n1\t1.5\n2\t0.5\n");
        assertThat(shell.run("report", "@base.zip", "@spam", "@tone", "--scores", "@spam.tsv", "--note", "Two tasks.", "-o",
                "@page.html")).as(shell.err()).isZero();

        assertThat(PageCheck.of(file("page.html"))).isEmpty();
    }

    @Test
    void reportLooksIntoAnAdaptedNetworkToo() throws IOException {
        assertThat(shell.run("report", "@tuned.zip", "@tone", "-o", "@page.html")).as(shell.err()).isZero();
        assertThat(shell.out()).contains(": a page about 2 adapters: ");
        assertThat(file("page.html")).content()
                .containsPattern("<dt>learning rate of tuned</dt><dd>(\\d\\.?\\d*E?-?\\d*)</dd>");
        assertThat(shell.run("apply", "@base.zip", "@spam", "-o", "@fresh.zip")).as(shell.err()).isZero();
        assertThat(shell.run("report", "@fresh.zip", "-o", "@fresh.html")).as(shell.err()).isZero();
        assertThat(file("fresh.html")).content().as("the base's")
                .contains("<dt>learning rate</dt><dd>not recorded with adapters</dd>");

        assertThat(file("page.html")).content().contains("tuned", "tone", "Adapters compared");
    }

    @Test
    void nothingIsOverwrittenUnlessForced() throws IOException {
        Files.writeString(file("plain.zip"), "precious");
        Files.createDirectories(file("out"));

        assertThat(shell.run("merge", "@base.zip", "@spam", "-o", "@plain.zip")).isEqualTo(1);
        assertThat(shell.err()).contains("plain.zip exists already", "--force");
        assertThat(file("plain.zip")).hasContent("precious");
        assertThat(shell.run("export", "@tuned.zip", "-o", "@out")).isEqualTo(1);
        assertThat(shell.err()).contains("out exists already");

        assertThat(shell.run("merge", "@base.zip", "@spam", "-o", "@plain.zip", "--force")).isZero();
        assertThat(shell.run("export", "@tuned.zip", "-o", "@out", "--force")).isZero();
        assertThat(ModelSerializer.restoreMultiLayerNetwork(file("plain.zip").toFile()).output(input)).isNotNull();
        assertThat(LoRAAdapter.load(file("out")).layers()).containsExactly("fc1", "fc2");
    }

    @Test
    void noCommandLeavesTemporaryFilesBehind() throws IOException {
        shell.run("merge", "@base.zip", "@spam", "-o", "@plain.zip");
        shell.run("apply", "@base.zip", "-o", "@adapted.zip");
        shell.run("export", "@tuned.zip", "-o", "@out");
        shell.run("report", "@base.zip", "@spam", "-o", "@page.html");

        try (Stream<Path> files = Files.walk(folder)) {
            assertThat(files.map(Path::toString)).noneMatch(name -> name.endsWith(".tmp"));
        }
    }

    @Test
    void aDivergedAdapterIsNeitherMergedNorReportedOn() throws IOException {
        tuned.getLayer(0).getParam("A").putScalar(0, Double.NaN);
        ModelSerializer.writeModel(tuned, file("diverged.zip").toFile(), false);

        for (String command : List.of("merge", "export", "report")) {
            assertThat(shell.run(command, "@diverged.zip", "--base", "@base.zip", "-o", "@no-" + command)).as(command)
                    .isEqualTo(1);
            assertThat(shell.err()).as(command).contains("NaN").doesNotContain("\tat ");
            assertThat(file("no-" + command)).doesNotExist();
        }
    }

    @Test
    void anAdapterThatDoesMoreThanToAddIsMergedButHasNoFiguresOfItsOwn() throws IOException {
        MultiLayerNetwork dora = LoRA.apply(base, LoRAConfig.builder().rank(2).variant(new DoRA()).build());
        dora.fit(Networks.data(2));
        LoRAAdapter.of(dora).save(file("dora"));

        assertThat(shell.run("inspect", "@dora", "--base", "@base.zip", "--json")).as(shell.err()).isZero();
        assertThat(shell.json().get("variant").asText()).isEqualTo("DoRA");
        for (String figure : List.of("norm", "needed", "effectiveRank", "relativeNorm")) {
            assertThat(shell.json().get("layers").get(0).get(figure).isNull()).as(figure).isTrue();
        }
        assertThat(shell.run("inspect", "@dora")).isZero();
        assertThat(shell.out()).contains("a DoRA adapter of 2 layers").containsPattern("fc1 +2 +- +-");
        assertThat(shell.run("report", "@base.zip", "@dora", "@spam", "-o", "@page.html")).as(shell.err()).isZero();
        assertThat(file("page.html")).content().contains("dora is a DoRA adapter", "58 of", "Singular values of ΔW of fc1")
                .doesNotContain("Adapters compared");
        assertThat(shell.run("report", "@base.zip", "@dora", "-o", "@alone.html")).as(shell.err()).isZero();
        assertThat(file("alone.html")).content().contains("dora is a DoRA adapter", "What trains")
                .doesNotContain("How much each layer");
        assertThat(shell.run("merge", "@base.zip", "@dora", "-o", "@plain.zip")).as(shell.err()).isZero();
        assertThat(ModelSerializer.restoreMultiLayerNetwork(file("plain.zip").toFile()).output(input).sub(dora.output(input))
                .amaxNumber().doubleValue()).isLessThan(ROUNDING);
    }

    private Path file(String name) {
        return folder.resolve(name);
    }

    @Test
    void anAdapterWithFullyTrainedLayersKeepsThem() throws IOException {
        MultiLayerNetwork withHead = LoRA.apply(base, LoRAConfig.builder().rank(2).trainable("out").build());
        withHead.fit(Networks.data(2));
        LoRAAdapter.of(withHead).save(file("head"));

        assertThat(shell.run("merge", "@base.zip", "@head", "-o", "@plain.zip")).as(shell.err()).isZero();
        assertThat(shell.run("inspect", "@head")).isZero();

        assertThat(shell.out()).contains("trained in full beside them: [out]");
        assertThat(ModelSerializer.restoreMultiLayerNetwork(file("plain.zip").toFile()).output(input).sub(withHead.output(input))
                .amaxNumber().doubleValue()).isLessThan(ROUNDING);
    }
}
