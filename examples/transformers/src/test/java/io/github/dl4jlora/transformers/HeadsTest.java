package io.github.dl4jlora.transformers;

import ch.qos.logback.classic.Level;
import io.github.dl4jlora.LogCapture;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.evaluation.IEvaluation;
import org.nd4j.evaluation.classification.Evaluation;
import org.nd4j.evaluation.classification.EvaluationBinary;
import org.nd4j.evaluation.regression.RegressionEvaluation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.NoOp;
import org.nd4j.linalg.ops.transforms.Transforms;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

import static io.github.dl4jlora.transformers.ChangedFolder.open;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatNullPointerException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

/** Pairs of texts, and heads for numbers, labels, tokens and answers. */
class HeadsTest {

    private static final INDArray IDS = Nd4j.createFromArray(new float[][] {{3, 5, 7, 9}, {4, 2, 6, 0}});
    private static final INDArray TYPES = Nd4j.createFromArray(new float[][] {{0, 0, 1, 1}, {0, 1, 1, 0}});

    @TempDir
    Path folder;

    @BeforeEach
    void drawTheSameNumbersInEveryRun() {
        Nd4j.getRandom().setSeed(24);
    }

    @Test
    void aClassifierOfPairsWithoutTypesIsRefusedWhereItIsKnown() throws IOException {
        Checkpoint inference = open("bert-inference");
        ChangedFolder crossEncoder = ChangedFolder.of("bert-reranker", folder.resolve("cross"));
        crossEncoder.config(config -> config.putObject("sentence_transformers").put("version", "4.1.0"));
        ChangedFolder later = ChangedFolder.of("bert-reranker", folder.resolve("later"));
        Files.writeString(later.path().resolve("config_sentence_transformers.json"), "{\"model_type\": \"CrossEncoder\"}");

        assertThatThrownBy(inference::model).isInstanceOf(IOException.class).hasMessageContainingAll("config.json",
                "\"entailment\"", "pairs of texts", "Checkpoint.open(folder).pairs()", "token_type_ids");
        assertThatThrownBy(inference::classifier).isInstanceOf(IOException.class).hasMessageContaining(".pairs()");
        assertThatThrownBy(() -> Checkpoint.open(crossEncoder.path()).model()).isInstanceOf(IOException.class)
                .hasMessageContainingAll("\"sentence_transformers\"", ".pairs()");
        assertThatThrownBy(() -> Checkpoint.open(later.path()).model()).isInstanceOf(IOException.class)
                .hasMessageContainingAll("\"CrossEncoder\"", "config_sentence_transformers.json", ".pairs()");
        assertThat(inference.pairs().model().network().getConfiguration().getNetworkInputs())
                .containsExactly(Transformer.INPUT_IDS, Transformer.TOKEN_TYPE_IDS);
        assertThat(inference.classifier(2, new Adam(1e-3), 1).network().outputSingle(IDS).shape()).containsExactly(2, 2);
    }

    @Test
    void typesChangeWhatIsComputedAndFirstTypesAloneDoNot() throws IOException {
        ComputationGraph pairs = open("bert-reranker").pairs().model().network();
        INDArray single = open("bert-reranker").model().network().outputSingle(IDS);

        assertThat(pairs.outputSingle(IDS, Nd4j.zeros(IDS.shape()))).isEqualTo(single);
        assertThat(pairs.outputSingle(IDS, TYPES).sub(single).amaxNumber().doubleValue()).isGreaterThan(1e-3);
    }

    /** Beside ids of whole numbers, too, whose data type both have. */
    @Test
    void typesThatAreNoWholeNumbersAreRefused() throws IOException {
        ComputationGraph pairs = open("bert-reranker").pairs().model().network();

        assertThatIllegalArgumentException().isThrownBy(() -> pairs.outputSingle(IDS.castTo(DataType.INT), TYPES.mul(0.5)))
                .withMessageContaining("Token type 0.5");
    }

    @Test
    void familiesWithoutTypesReadPairsAsTheyAre() throws IOException {
        Checkpoint roberta = open("roberta-classifier");

        assertThat(roberta.pairs().classifier().network().outputSingle(IDS))
                .isEqualTo(roberta.classifier().network().outputSingle(IDS));
        assertThat(Transformer.addTo(new NeuralNetConfiguration.Builder().seed(1).graphBuilder(),
                Tiny.shape(Family.DISTILBERT), Head.reranker()).build().getNetworkInputs()).containsExactly("input_ids");
    }

    @Test
    void aRerankerGivesTheSigmoidOfTheStoredLogitHoweverItWasSaved() throws IOException {
        Checkpoint checkpoint = open("bert-reranker");
        INDArray logits = checkpoint.pairs().model().network().outputSingle(IDS, TYPES);
        ComputationGraph reranker = checkpoint.reranker().network();

        assertThat(checkpoint.head()).isEqualTo(Head.regression(1));
        assertThat(reranker.outputSingle(IDS, TYPES).sub(Transforms.sigmoid(logits)).amaxNumber().doubleValue()).isLessThan(1e-6);
        checkpoint.writeCheckpoint(reranker, folder.resolve("written"));
        Checkpoint again = Checkpoint.open(folder.resolve("written"));
        assertThat(again.head()).isEqualTo(Head.multiLabel(1));
        assertThat(again.reranker().network().params()).isEqualTo(reranker.params());
        assertThatThrownBy(() -> open("roberta-labels").reranker()).isInstanceOf(IOException.class)
                .hasMessageContainingAll("4 outputs", "Head.reranker()");
    }

    /** Of one output it says nothing about what is computed. */
    @ParameterizedTest
    @ValueSource(strings = {"single_label_classification", "regression", "multi_label_classification", "ranking"})
    void aRerankersProblemTypeDoesNotMatter(String problem) throws IOException {
        ChangedFolder changed = ChangedFolder.of("bert-reranker", folder.resolve("it"));
        changed.config(config -> config.put("problem_type", problem));

        assertThat(Checkpoint.open(changed.path()).reranker().network().params())
                .isEqualTo(open("bert-reranker").reranker().network().params());
    }

    @Test
    void aRerankerHasNoMoreLabelsThanItsOutput() throws IOException {
        ChangedFolder changed = ChangedFolder.of("bert-reranker", folder.resolve("it"));
        changed.config(config -> config.put("num_labels", 2));

        assertThatThrownBy(() -> Checkpoint.open(changed.path()).reranker()).isInstanceOf(CheckpointException.class)
                .hasMessageContaining("2 labels, but the stored head has 1 classes");
    }

    static Stream<Arguments> newHeads() {
        return Stream.of(Head.regression(1), Head.regression(2), Head.multiLabel(3), Head.reranker(), Head.tokenClassifier(5),
                Head.questionAnswering(), Head.classifier(4)).flatMap(head ->
                Stream.of("roberta-classifier", "distilbert-lm", "gpt2-lm").map(name -> Arguments.of(name, head)));
    }

    @ParameterizedTest
    @MethodSource("newHeads")
    void aNewHeadLearnsAndIsWrittenAsItsClass(String name, Head head) throws IOException {
        Checkpoint checkpoint = open(name);
        ComputationGraph network = checkpoint.model(head, new Adam(1e-3), 42).network();

        checkpoint.writeCheckpoint(network, folder.resolve("written"));

        Checkpoint again = Checkpoint.open(folder.resolve("written"));
        assertThat(again.head()).isEqualTo(new Head(head.kind(), head.classes()));
        assertThat(again.model().network().params()).isEqualTo(network.params());
        assertThat(checkpoint.newHead(head)).isNotEmpty().allSatisfy(layer -> assertThat(network.getLayer(layer)).isNotNull());
    }

    @Test
    void namesOfLabelsAndTheProblemAreKept() throws IOException {
        Checkpoint inference = open("bert-inference").pairs();
        inference.writeCheckpoint(inference.model().network(), folder.resolve("inference"));
        Checkpoint labels = open("roberta-labels");
        labels.writeCheckpoint(labels.model().network(), folder.resolve("labels"));

        assertThat(Files.readString(folder.resolve("inference/config.json"))).contains("\"1\" : \"entailment\"",
                "\"entailment\" : 1").doesNotContain("problem_type");
        assertThat(Files.readString(folder.resolve("labels/config.json"))).contains("multi_label_classification");
    }

    /** The folder's labels are of its own head, which reads pairs. */
    @Test
    void aNewHeadOfSingleTextsIsWrittenWithoutWhatSaysPairs() throws IOException {
        Checkpoint inference = open("bert-inference");
        ChangedFolder crossEncoder = ChangedFolder.of("bert-reranker", folder.resolve("cross"));
        crossEncoder.config(config -> config.putObject("sentence_transformers").put("version", "4.1.0"));
        ComputationGraph classes = inference.classifier(3, new Adam(1e-3), 1).network();
        Checkpoint scores = Checkpoint.open(crossEncoder.path());

        inference.writeCheckpoint(classes, folder.resolve("classes"));
        scores.writeCheckpoint(scores.model(Head.regression(1), new Adam(1e-3), 1).network(), folder.resolve("scores"));
        scores.writeCheckpoint(scores.reranker().network(), folder.resolve("reranker"));

        assertThat(Checkpoint.open(folder.resolve("classes")).model().network().outputSingle(IDS))
                .isEqualTo(classes.outputSingle(IDS));
        assertThat(Files.readString(folder.resolve("classes/config.json"))).contains("LABEL_2").doesNotContain("entailment");
        assertThat(Checkpoint.open(folder.resolve("scores")).head()).isEqualTo(Head.regression(1));
        assertThat(Checkpoint.open(folder.resolve("scores")).model().network().getNumInputArrays()).isEqualTo(1);
        assertThat(Files.readString(folder.resolve("reranker/config.json"))).contains("sentence_transformers");
    }

    /** CrossEncoder would put the sigmoid of its default, or what the old head had, on a number. */
    @ParameterizedTest
    @ValueSource(strings = {"bert-reranker", "roberta-classifier", "distilbert-lm"})
    void aNewHeadOfPairsIsWrittenWithTheActivationThatItHas(String name) throws IOException {
        ChangedFolder changed = ChangedFolder.of(name, folder.resolve("it"));
        changed.config(config -> config.put("sbert_ce_default_activation_function", "torch.nn.modules.activation.Tanh"));
        Files.writeString(changed.path().resolve("config_sentence_transformers.json"), "{\"model_type\": \"CrossEncoder\", "
                + "\"activation_fn\": \"torch.nn.modules.activation.Tanh\"}");
        Checkpoint checkpoint = Checkpoint.open(changed.path()).pairs();

        checkpoint.writeCheckpoint(checkpoint.model(Head.regression(1), new Adam(1e-3), 1).network(), folder.resolve("number"));
        checkpoint.writeCheckpoint(checkpoint.model(Head.reranker(), new Adam(1e-3), 1).network(), folder.resolve("reranker"));
        checkpoint.writeCheckpoint(checkpoint.classifier(3, new Adam(1e-3), 1).network(), folder.resolve("classes"));

        assertThat(config("number")).contains("\"activation_fn\" : \"torch.nn.modules.linear.Identity\"");
        assertThat(config("reranker")).contains("\"activation_fn\" : \"torch.nn.modules.activation.Sigmoid\"");
        assertThat(config("number") + config("reranker") + config("classes")).doesNotContain("sbert_ce", "Tanh");
    }

    @Test
    void aStoredHeadOfPairsKeepsTheActivationThatItsFilesSay() throws IOException {
        ChangedFolder changed = ChangedFolder.of("bert-reranker", folder.resolve("it"));
        changed.config(config -> config.put("sbert_ce_default_activation_function", "torch.nn.modules.linear.Identity"));
        Checkpoint checkpoint = Checkpoint.open(changed.path());
        ComputationGraph reranker = checkpoint.reranker().network();
        checkpoint.writeCheckpoint(reranker, folder.resolve("old"));
        assertThat(config("old")).contains("\"sbert_ce_default_activation_function\" : \"torch.nn.modules.linear.Identity\"")
                .doesNotContain("\"activation_fn\"");

        changed.config(config -> config.remove("sbert_ce_default_activation_function"));
        Checkpoint none = Checkpoint.open(changed.path()).pairs();
        none.writeCheckpoint(none.model().network(), folder.resolve("none"));
        assertThat(config("none")).contains("\"activation_fn\" : \"torch.nn.modules.activation.Sigmoid\"");

        Files.writeString(changed.path().resolve("config_sentence_transformers.json"), "{\"model_type\": \"CrossEncoder\", "
                + "\"activation_fn\": \"torch.nn.modules.linear.Identity\"}");
        Checkpoint.open(changed.path()).writeCheckpoint(reranker.convertDataType(DataType.HALF), folder.resolve("beside"));
        assertThat(config("beside")).contains("\"activation_fn\" : \"torch.nn.modules.linear.Identity\"");
    }

    private String config(String folder) throws IOException {
        return Files.readString(this.folder.resolve(folder).resolve("config.json"));
    }

    @Test
    void aHeadOfAnotherClassHasNoneOfTheOldNames() throws IOException {
        Checkpoint inference = open("bert-inference");

        ComputationGraph tagger = inference.model(Head.tokenClassifier(3), new Adam(1e-3), 1).network();
        inference.writeCheckpoint(tagger, folder.resolve("tokens"));

        assertThat(config("tokens")).contains("BertForTokenClassification", "LABEL_2").doesNotContain("entailment");
    }

    @Test
    void aNewHeadHasTheNamesThatItIsGiven() throws IOException {
        Checkpoint inference = open("bert-inference").pairs();
        try (LogCapture log = new LogCapture("io.github.dl4jlora.transformers", Level.WARN)) {
            inference.classifier(3, new Adam(1e-3), 1);
            inference.classifier(2, new Adam(1e-3), 1);
            assertThat(log.messages()).singleElement().asString().contains("entailment", "checkpoint.withLabels(");
        }
        Checkpoint moods = inference.withLabels("bad", "so so", "good");
        ComputationGraph network = moods.classifier(3, new Adam(1e-3), 1).network();

        moods.writeCheckpoint(network, folder.resolve("moods"));

        assertThat(config("moods")).contains("\"1\" : \"so so\"", "\"good\" : 2").doesNotContain("entailment");
        assertThatIllegalArgumentException().isThrownBy(() -> inference.withLabels("a", "b").writeCheckpoint(network,
                folder.resolve("two"))).withMessageContainingAll("withLabels[a, b] are 2 names", "3 classes");
        assertThat(folder.resolve("two")).doesNotExist();
        assertThatNullPointerException().isThrownBy(() -> inference.withLabels((String[]) null))
                .withMessageContaining("withLabels: the names are null");
        assertThatIllegalArgumentException().isThrownBy(() -> inference.withLabels("a", "a")).withMessageContaining("[a, a]");
    }

    /** A head of single texts, or of tokens, gets none of the names of the folder's own head, which reads pairs. */
    @Test
    void nobodyIsWarnedOfNamesThatAreNotWritten() throws IOException {
        Checkpoint inference = open("bert-inference");
        try (LogCapture log = new LogCapture("io.github.dl4jlora.transformers", Level.WARN)) {
            inference.classifier(3, new Adam(1e-3), 1);
            inference.model(Head.multiLabel(3), new Adam(1e-3), 1);
            inference.model(Head.tokenClassifier(3), new Adam(1e-3), 1);
            assertThat(log.messages()).isEmpty();
        }
    }

    /** The folder would be opened as one of pairs, with another input than the network has. */
    @Test
    void aNetworkOfSingleTextsIsNotWrittenWithLabelsThatSayPairs() throws IOException {
        Checkpoint checkpoint = open("bert-inference").withLabels("contradiction", "neutral", "Entailment");
        ComputationGraph single = checkpoint.classifier(3, new Adam(1e-3), 1).network();
        ComputationGraph pairs = checkpoint.pairs().classifier(3, new Adam(1e-3), 1).network();

        assertThatIllegalArgumentException().isThrownBy(() -> checkpoint.writeCheckpoint(single, folder.resolve("single")))
                .withMessageContainingAll("withLabels[contradiction, neutral, Entailment]", "a label \"entailment\"",
                        "token_type_ids", "another name", "pairs()");
        assertThat(folder.resolve("single")).doesNotExist();
        checkpoint.writeCheckpoint(pairs, folder.resolve("pairs"));
        assertThat(Checkpoint.open(folder.resolve("pairs")).pairs().model().network().params()).isEqualTo(pairs.params());
    }

    /** Without types, a network of pairs would be opened as one of single texts. */
    @Test
    void aNetworkOfPairsIsWrittenAsOne() throws IOException {
        Checkpoint checkpoint = open("bert-lm-old").pairs();
        ComputationGraph network = checkpoint.model(Transformer.addTo(new NeuralNetConfiguration.Builder().seed(1).graphBuilder(),
                checkpoint.shape(), Head.reranker()).build(), "bert.pooler.dense", "classifier").network();

        checkpoint.writeCheckpoint(network, folder.resolve("pairs"));

        assertThat(config("pairs")).contains("sentence_transformers", "activation.Sigmoid");
        assertThatThrownBy(() -> Checkpoint.open(folder.resolve("pairs")).model()).isInstanceOf(IOException.class)
                .hasMessageContaining("pairs of texts");
        assertThat(Checkpoint.open(folder.resolve("pairs")).pairs().model().network().params()).isEqualTo(network.params());
    }

    @Test
    void namesOfClassesWithAHoleAreRefused() throws IOException {
        ChangedFolder changed = ChangedFolder.of("bert-inference", folder.resolve("hole"));
        changed.config(config -> config.putObject("id2label").put("0", "a").put("1", "b").put("3", "c"));
        Checkpoint checkpoint = Checkpoint.open(changed.path()).pairs();

        assertThatThrownBy(checkpoint::model).isInstanceOf(CheckpointException.class)
                .hasMessageContainingAll("config.json", "id2label", "\"0\" to \"2\"");
        checkpoint.writeCheckpoint(checkpoint.classifier(3, new Adam(1e-3), 1).network(), folder.resolve("new"));
        assertThat(config("new")).contains("LABEL_2");
    }

    @ParameterizedTest
    @ValueSource(strings = {"bert-inference", "roberta-classifier"})
    void aHeadOfAnotherClassIsRefusedByName(String name) throws IOException {
        Checkpoint checkpoint = open(name);

        assertThatThrownBy(() -> checkpoint.model(Head.tokenClassifier(3))).isInstanceOf(IOException.class);
        assertThatThrownBy(() -> checkpoint.model(Head.questionAnswering())).isInstanceOf(IOException.class)
                .hasMessageContaining("qa_outputs");
        assertThatIllegalArgumentException().isThrownBy(() -> checkpoint.newHead(Head.pooler())).withMessageContaining("POOLER");
    }

    @Test
    void wrongTypesAreNamed() throws IOException {
        ComputationGraph network = open("bert-reranker").reranker().network();

        assertThatIllegalArgumentException().isThrownBy(() -> network.outputSingle(IDS, TYPES.add(1)))
                .withMessageContainingAll("Token type 2, token 2 of text 0", "2 types");
        assertThatIllegalArgumentException().isThrownBy(() -> network.outputSingle(IDS, Nd4j.zeros(2, 3)))
                .withMessageContainingAll("[2, 3]", "[2, 4]", "[minibatch, tokens]");
        assertThatIllegalArgumentException().isThrownBy(() -> new Head(Head.Kind.TOKEN_CLASSES, 1))
                .withMessageContaining("TOKEN_CLASSES with 1 classes");
    }

    @Test
    void aMaskOfTheIdsIsComparedWithThemAndTypesHaveNone() throws IOException {
        ComputationGraph network = open("bert-reranker").reranker().network();
        INDArray before = network.outputSingle(IDS, TYPES);
        INDArray mask = IDS.neq(0).castTo(DataType.FLOAT);

        assertThat(network.output(false, new INDArray[] {IDS, TYPES}, new INDArray[] {mask, null})[0]).isEqualTo(before);
        assertThat(network.output(false, new INDArray[] {IDS, TYPES}, new INDArray[] {mask, mask})[0]).isEqualTo(before);
        assertThatIllegalArgumentException().isThrownBy(() -> network.output(false, new INDArray[] {IDS, TYPES},
                new INDArray[] {mask, TYPES})).withMessageContaining("Token types have a mask");
        network.clearLayerMaskArrays();
        assertThatIllegalArgumentException().isThrownBy(() -> network.output(false, new INDArray[] {IDS, TYPES},
                new INDArray[] {TYPES, null})).withMessageContaining("The mask of features");
    }

    private static INDArray positions(float... firstsAndLasts) {
        return Nd4j.createFromArray(firstsAndLasts).reshape(2, 2);
    }

    private static double score(ComputationGraph network, INDArray labels) {
        return network.score(new MultiDataSet(new INDArray[] {IDS, TYPES}, new INDArray[] {labels}), false);
    }

    @Test
    void positionsThatNoAnswerCanHaveAreNamedAndThoseOutsideDoNotCount() throws IOException {
        ComputationGraph network = open("bert-answer").model().network();
        double first = score(network, positions(1, 2, -100, -100));

        assertThat(score(network, positions(1, 2, 4, 99))).isCloseTo(first, within(1e-6));
        assertThatIllegalArgumentException().isThrownBy(() -> score(network, positions(1, 2, 1, 3)))
                .withMessageContaining("Position 3 of text 1 is padding");
        assertThatIllegalArgumentException().isThrownBy(() -> score(network, positions(1, 2, -1, 2)))
                .withMessageContaining("Position -1 of text 1");
        assertThatIllegalArgumentException().isThrownBy(() -> score(network, positions(1, 9, 1, 9)))
                .withMessageContaining("No position");
    }

    @Test
    void anAnswerThatEndsBeforeItBeginsIsNamed() throws IOException {
        ComputationGraph network = open("bert-answer").model().network();

        assertThatIllegalArgumentException().isThrownBy(() -> score(network, positions(1, 2, 2, 1)))
                .withMessageContaining("The answer of text 1 ends with token 1, before it begins with token 2");
        assertThatIllegalArgumentException().isThrownBy(() -> network.fit(new MultiDataSet(new INDArray[] {IDS, TYPES},
                new INDArray[] {positions(99, 0, 1, 2)}))).withMessageContaining("The answer of text 0 ends with token 0");
    }

    @Test
    void theLossOfAnAnswerDoesNotDependOnPadding() throws IOException {
        ComputationGraph network = open("bert-answer").model().network();
        INDArray ids = Nd4j.createFromArray(new float[][] {{4, 2, 6}});
        INDArray types = Nd4j.createFromArray(new float[][] {{0, 1, 1}});
        INDArray labels = Nd4j.createFromArray(new float[][] {{1, 2}});
        INDArray none = Nd4j.zeros(1, 2);

        assertThat(network.score(new MultiDataSet(new INDArray[] {ids, types}, new INDArray[] {labels}), false)).isCloseTo(
                network.score(new MultiDataSet(new INDArray[] {Nd4j.hstack(ids, none), Nd4j.hstack(types, none)},
                        new INDArray[] {labels}), false), within(1e-5));
    }

    @Test
    void theBestAnswerIsAPartOfTheTextThatMayAnswer() {
        INDArray scores = Nd4j.createFromArray(new float[][] {{9, 0, 3, 1, -3e4f, 9, 0, 1, 4, -3e4f}});
        INDArray second = Nd4j.createFromArray(new float[][] {{0, 0, 1, 1, 1}});

        assertThat(Answer.best(scores, second, 5)).containsExactly(new Answer(2, 3, 7));
        assertThat(Answer.best(scores, second, 1)).containsExactly(new Answer(3, 3, 5));
        assertThat(Answer.best(scores, Nd4j.createFromArray(new float[][] {{1, 0, 1, 1, 1}}), 5))
                .containsExactly(new Answer(0, 0, 18));
        assertThat(new Answer(2, 3, 7).isExactly(2, 3)).isTrue();
        assertThat(new Answer(2, 3, 7).f1(3, 5)).isCloseTo(2.0 / 5, within(1e-9));
        assertThat(new Answer(2, 3, 7).f1(5, 5)).isZero();
        assertThatIllegalArgumentException().isThrownBy(() -> Answer.best(scores, Nd4j.zeros(1, 5), 5))
                .withMessageContaining("text 0");
        assertThatIllegalArgumentException().isThrownBy(() -> Answer.best(scores, Nd4j.zeros(1, 4), 5))
                .withMessageContaining("[1, 4]");
    }

    @Test
    void secondTextsAreWhatIsBetweenTheLastTwoSeparators() {
        INDArray ids = Nd4j.createFromArray(new float[][] {{2, 7, 3, 3, 8, 9, 3, 0}, {2, 7, 7, 3, 9, 3, 0, 0}});

        assertThat(Answer.secondTexts(ids, 3)).isEqualTo(Nd4j.createFromArray(new float[][] {
            {0, 0, 0, 0, 1, 1, 0, 0}, {0, 0, 0, 0, 1, 0, 0, 0}}));
        for (int none : new int[] {8, 5}) {
            assertThatIllegalArgumentException().isThrownBy(() -> Answer.secondTexts(ids, none))
                    .withMessageContainingAll("Text 0 has no second text", "the id " + none);
        }
        assertThatThrownBy(() -> Answer.secondTexts(null, 3)).isInstanceOf(NullPointerException.class)
                .hasMessageContainingAll("token ids", "[minibatch, tokens]");
        assertThatIllegalArgumentException().isThrownBy(() -> Answer.secondTexts(ids.getRow(0), 3))
                .withMessageContainingAll("[8]", "[minibatch, tokens]");
        assertThatIllegalArgumentException().isThrownBy(() -> Answer.secondTexts(ids.reshape(2, 1, 8), 3))
                .withMessageContaining("[2, 1, 8]");
    }

    @Test
    void tokensThatDoNotCountAreNotEvaluated() {
        INDArray probabilities = Nd4j.createFromArray(new float[][] {{0.9f, 0.1f}, {0.8f, 0.2f}, {0.3f, 0.7f}, {0.6f, 0.4f}});
        Evaluation evaluation = new Evaluation(2);

        TokenLabels.evaluate(evaluation, Nd4j.createFromArray(new float[][] {{0, 1}, {1, -100}}), probabilities);

        assertThat(evaluation.getNumRowCounter()).isEqualTo(3);
        assertThat(evaluation.accuracy()).isCloseTo(2.0 / 3, within(1e-9));
        assertThatIllegalArgumentException().isThrownBy(() -> TokenLabels.evaluate(evaluation,
                Nd4j.createFromArray(new float[][] {{0, 1}, {2, -100}}), probabilities))
                .withMessageContaining("token 0 of text 1");
        assertThatIllegalArgumentException().isThrownBy(() -> TokenLabels.evaluate(evaluation,
                Nd4j.createFromArray(new float[][] {{0, 1}}), probabilities)).withMessageContaining("4 rows");
    }

    @Test
    void labelsOfTokensMayBeMaskedAndAreNotFreed() {
        Tiny tiny = new Tiny(Tiny.shape(Family.DISTILBERT), Head.tokenClassifier(Tiny.CLASSES));
        ComputationGraph network = tiny.network(DataType.FLOAT, new NoOp());
        INDArray labels = Nd4j.createFromArray(new float[][] {{0, 2, 0, 1, 1}, {1, 0, 2, 0, 0}, {1, 0, 0, 0, 0}});
        INDArray mask = tiny.labels(DataType.FLOAT).neq(-100).castTo(DataType.FLOAT);
        INDArray ignored = labels.mul(mask).add(mask.rsub(1).mul(-100));
        MultiDataSet masked = new MultiDataSet(new INDArray[] {tiny.ids(DataType.FLOAT)}, new INDArray[] {labels}, null,
                new INDArray[] {mask});

        assertThat(network.score(masked, false)).isCloseTo(network.score(new MultiDataSet(new INDArray[] {
            tiny.ids(DataType.FLOAT)}, new INDArray[] {ignored}), false), within(1e-6));
        network.fit(masked);
        network.fit(masked);
        assertThat(labels.sumNumber().doubleValue()).isEqualTo(8);
        assertThatIllegalArgumentException().isThrownBy(() -> network.score(new MultiDataSet(new INDArray[] {
            tiny.ids(DataType.FLOAT)}, new INDArray[] {labels.add(1)}), false)).withMessageContaining("a class below 3");
    }

    @Test
    void labelsOfTokensThatAreOneHotAreNamed() {
        Tiny tiny = new Tiny(Tiny.shape(Family.DISTILBERT), Head.tokenClassifier(Tiny.CLASSES));
        ComputationGraph network = tiny.network(DataType.FLOAT, new NoOp());
        for (INDArray labels : new INDArray[] {Nd4j.zeros(3, Tiny.CLASSES, 5), Nd4j.zeros(15, Tiny.CLASSES)}) {
            assertThatIllegalArgumentException().isThrownBy(() -> network.fit(new MultiDataSet(tiny.inputs(DataType.FLOAT),
                    new INDArray[] {labels}))).withMessageContainingAll("Labels have shape", "15 rows", "a class for each",
                    "one-hot labels are not taken");
        }
    }

    static Stream<Arguments> evaluations() {
        return Stream.of(Arguments.of(Head.classifier(Tiny.CLASSES), new Evaluation()),
                Arguments.of(Head.multiLabel(Tiny.CLASSES), new EvaluationBinary()),
                Arguments.of(Head.regression(2), new RegressionEvaluation()));
    }

    @ParameterizedTest
    @MethodSource("evaluations")
    void dl4jsEvaluationsMeasureHeadsOfTexts(Head head, IEvaluation<?> evaluation) {
        Tiny tiny = new Tiny(Tiny.shape(Family.BERT), head.ofPairs());
        ComputationGraph network = tiny.network(DataType.FLOAT, new NoOp());

        network.doEvaluation(new SingletonMultiDataSetIterator(tiny.batch(DataType.FLOAT)), evaluation);

        assertThat(evaluation.stats()).isNotEmpty();
    }

    @Test
    void labelsOutsideTheirRangeAreNamed() {
        Tiny tiny = new Tiny(Tiny.shape(Family.BERT), Head.multiLabel(3));
        ComputationGraph network = tiny.network(DataType.FLOAT, new NoOp());

        assertThatIllegalArgumentException().isThrownBy(() -> network.score(new MultiDataSet(tiny.inputs(DataType.FLOAT),
                new INDArray[] {tiny.labels(DataType.FLOAT).mul(2)}), false)).withMessageContaining("0.0 to 2.0");
        INDArray unknown = tiny.labels(DataType.FLOAT).putScalar(0, 1, Float.NaN);
        assertThatIllegalArgumentException().isThrownBy(() -> network.fit(new MultiDataSet(tiny.inputs(DataType.FLOAT),
                new INDArray[] {unknown}))).withMessageContaining("A label is NaN");
    }
}
