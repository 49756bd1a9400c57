package io.github.dl4jlora.transformers;

import io.github.dl4jlora.BaseSource;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

import static io.github.dl4jlora.transformers.HeadsOfArchitecturesTest.Asked.CAUSAL;
import static io.github.dl4jlora.transformers.HeadsOfArchitecturesTest.Asked.CLASSIFIER;
import static io.github.dl4jlora.transformers.HeadsOfArchitecturesTest.Asked.ENCODER;
import static io.github.dl4jlora.transformers.HeadsOfArchitecturesTest.Asked.MASKED;
import static io.github.dl4jlora.transformers.HeadsOfArchitecturesTest.Asked.MODEL;
import static io.github.dl4jlora.transformers.HeadsOfArchitecturesTest.Asked.POOLER;
import static io.github.dl4jlora.transformers.HeadsOfArchitecturesTest.Asked.SENTENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Every model that can be asked for, of a folder of every class: it is what transformers' class computes, or refused by name. */
@Tag("heavy")
class HeadsOfArchitecturesTest {

    private static final INDArray IDS = Nd4j.createFromArray(new float[][] {{3, 5, 7}, {4, 2, 6}});

    @TempDir
    Path folder;

    @BeforeEach
    void drawTheSameNumbersInEveryRun() {
        Nd4j.getRandom().setSeed(24);
    }

    /** A model that is asked for. */
    enum Asked {
        ENCODER, POOLER, SENTENCE, MASKED, CAUSAL, CLASSIFIER, MODEL;

        BaseSource<ComputationGraph> of(Checkpoint checkpoint) throws IOException {
            return switch (this) {
                case ENCODER -> checkpoint.encoder();
                case POOLER -> checkpoint.pooler();
                case SENTENCE -> checkpoint.sentenceEncoder();
                case MASKED -> checkpoint.maskedLanguageModel();
                case CAUSAL -> checkpoint.causalLanguageModel();
                case CLASSIFIER -> checkpoint.classifier();
                case MODEL -> checkpoint.model();
            };
        }
    }

    /**
     * A class of transformers.
     *
     * @param name     in config.json; null for none
     * @param heads    modules beside the bare model's, with the shapes of their weights
     * @param computed the models that it has
     */
    record Architecture(Family family, String name, Map<String, long[]> heads, Set<Asked> computed) {

        @Override
        public String toString() {
            return family + " " + name + " " + heads.keySet();
        }
    }

    private static Architecture of(Family family, String name, Map<String, long[]> heads, Asked... more) {
        Set<Asked> computed = EnumSet.of(ENCODER, SENTENCE);
        computed.addAll(List.of(more));
        return new Architecture(family, name, heads, computed);
    }

    @SafeVarargs
    private static Map<String, long[]> heads(Map<String, long[]>... parts) {
        Map<String, long[]> heads = new LinkedHashMap<>();
        for (Map<String, long[]> part : parts) {
            heads.putAll(part);
        }
        return heads;
    }

    private static Map<String, long[]> dense(String name, long out) {
        return Map.of(name + ".weight", new long[] {out, 8}, name + ".bias", new long[] {out});
    }

    private static Map<String, long[]> norm(String name) {
        return Map.of(name + ".weight", new long[] {8}, name + ".bias", new long[] {8});
    }

    private static Map<String, long[]> bias(String name) {
        return Map.of(name + ".bias", new long[] {19});
    }

    static Stream<Architecture> all() {
        return Stream.of(bert(), likeRoberta(Family.ROBERTA, "Roberta"), likeRoberta(Family.XLM_ROBERTA, "XLMRoberta"),
                likeRoberta(Family.CAMEMBERT, "Camembert"), likeRoberta(Family.MPNET, "MPNet"), distilBert(), gpt2())
                .flatMap(List::stream);
    }

    private static List<Architecture> bert() {
        Map<String, long[]> pooler = dense("bert.pooler.dense", 8);
        Map<String, long[]> words = heads(dense("cls.predictions.transform.dense", 8),
                norm("cls.predictions.transform.LayerNorm"), bias("cls.predictions"));
        Map<String, long[]> next = dense("cls.seq_relationship", 2);
        Map<String, long[]> classifier = dense("classifier", 3);
        Family family = Family.BERT;
        return List.of(of(family, "BertModel", pooler, POOLER, MODEL), of(family, "BertForMaskedLM", words, MASKED, MODEL),
                of(family, "BertForPreTraining", heads(pooler, words, next), POOLER, MASKED),
                of(family, "BertLMHeadModel", words, MASKED),
                of(family, "BertForNextSentencePrediction", heads(pooler, next), POOLER),
                of(family, "BertForSequenceClassification", heads(pooler, classifier), POOLER, CLASSIFIER, MODEL),
                of(family, "BertForTokenClassification", classifier, MODEL),
                of(family, "BertForTokenClassification", heads(pooler, classifier), POOLER, MODEL),
                of(family, "MyBertForSequenceClassification", heads(pooler, classifier), POOLER),
                of(family, null, heads(pooler, classifier), POOLER),
                of(family, "BertForMultipleChoice", heads(pooler, dense("classifier", 1)), POOLER),
                of(family, "BertForQuestionAnswering", dense("qa_outputs", 2), MODEL));
    }

    private static List<Architecture> likeRoberta(Family family, String name) {
        Map<String, long[]> pooler = dense(family.prefix() + "pooler.dense", 8);
        Map<String, long[]> words = heads(dense("lm_head.dense", 8), norm("lm_head.layer_norm"), bias("lm_head"));
        return List.of(of(family, name + "Model", pooler, POOLER, MODEL), of(family, name + "ForMaskedLM", words, MASKED, MODEL),
                of(family, name + "ForCausalLM", words, MASKED),
                of(family, name + "ForSequenceClassification", heads(dense("classifier.dense", 8),
                        dense("classifier.out_proj", 3)), CLASSIFIER, MODEL),
                of(family, name + "ForTokenClassification", dense("classifier", 3), MODEL),
                of(family, name + "ForMultipleChoice", heads(pooler, dense("classifier", 1)), POOLER),
                of(family, name + "ForQuestionAnswering", dense("qa_outputs", 2), MODEL));
    }

    private static List<Architecture> distilBert() {
        Map<String, long[]> before = dense("pre_classifier", 8);
        Family family = Family.DISTILBERT;
        return List.of(of(family, "DistilBertModel", Map.of(), MODEL), of(family, "DistilBertForMaskedLM", heads(
                dense("vocab_transform", 8), norm("vocab_layer_norm"), bias("vocab_projector")), MASKED, MODEL),
                of(family, "DistilBertForSequenceClassification", heads(before, dense("classifier", 3)), CLASSIFIER, MODEL),
                of(family, "DistilBertForTokenClassification", dense("classifier", 3), MODEL),
                of(family, "DistilBertForMultipleChoice", heads(before, dense("classifier", 1))),
                of(family, "DistilBertForQuestionAnswering", dense("qa_outputs", 2), MODEL));
    }

    private static List<Architecture> gpt2() {
        Family family = Family.GPT2;
        // The words decode, so that there is always a language model.
        return List.of(of(family, "GPT2Model", Map.of(), CAUSAL, MODEL), of(family, "GPT2LMHeadModel", Map.of(), CAUSAL, MODEL),
                of(family, "GPT2DoubleHeadsModel", dense("multiple_choice_head.summary", 1), CAUSAL),
                of(family, "GPT2ForSequenceClassification", Map.of("score.weight", new long[] {3, 8}), CAUSAL, CLASSIFIER, MODEL),
                of(family, "GPT2ForTokenClassification", dense("classifier", 3), CAUSAL, MODEL),
                of(family, "GPT2ForQuestionAnswering", dense("qa_outputs", 2), CAUSAL, MODEL));
    }

    private static String original(Family family) {
        return switch (family) {
            case BERT -> "bert-lm-old";
            case ROBERTA -> "roberta-classifier";
            case DISTILBERT -> "distilbert-lm";
            case GPT2 -> "gpt2-lm";
            case XLM_ROBERTA -> "xlm-roberta-lm-tied";
            case CAMEMBERT -> "camembert-classifier";
            case MPNET -> "mpnet-classifier";
        };
    }

    private ChangedFolder write(Architecture architecture) throws IOException {
        ChangedFolder changed = ChangedFolder.of(original(architecture.family), folder.resolve("it"));
        changed.tensors(all -> {
            all.keySet().removeIf(name -> !name.startsWith(architecture.family.prefix()));
            architecture.heads.forEach((name, shape) -> all.put(name, Nd4j.rand(shape)));
        });
        changed.config(config -> {
            config.remove("architectures");
            if (architecture.name != null) {
                config.putArray("architectures").add(architecture.name);
            }
            ObjectNode labels = config.putObject("id2label");
            for (int i = 0; i < 3; i++) {
                labels.put(String.valueOf(i), "LABEL_" + i);
            }
        });
        return changed;
    }

    private static INDArray output(ComputationGraph network) {
        return network.getNumInputArrays() == 1 ? network.outputSingle(IDS) : network.outputSingle(IDS, Nd4j.zeros(IDS.shape()));
    }

    @ParameterizedTest
    @MethodSource("all")
    void isComputedAsThatClassDoesOrRefusedByName(Architecture architecture) throws IOException {
        Checkpoint checkpoint = Checkpoint.open(write(architecture).path());
        INDArray tokens = Checkpoint.open(ChangedFolder.original(original(architecture.family))).encoder().network()
                .outputSingle(IDS);

        for (Asked asked : Asked.values()) {
            if (architecture.computed.contains(asked)) {
                INDArray output = output(asked.of(checkpoint).network());
                if (asked == ENCODER) {
                    assertThat(output).isEqualTo(tokens);
                }
                assertThat(output.rows()).as(asked.name()).isIn(2, 6);
            } else {
                assertThatThrownBy(() -> asked.of(checkpoint)).as("%s of %s", asked, architecture)
                        .isInstanceOfAny(IOException.class, IllegalArgumentException.class)
                        .satisfiesAnyOf(e -> assertThat(e).hasMessageContaining(String.valueOf(architecture.name)),
                                e -> assertThat(e).isInstanceOf(IOException.class).hasMessageContaining(folder.toString())
                                        .satisfies(unnamed -> assertThat(architecture.name).isNull()),
                                e -> assertThat(e).isInstanceOf(IllegalArgumentException.class)
                                        .hasMessageContaining(architecture.family.name()));
            }
        }
    }

    @Test
    void aTokenClassifiersHeadIsRefusedAsATextsAndTheWayOutWorks() throws IOException {
        Architecture tokens = bert().stream().filter(one -> "BertForTokenClassification".equals(one.name)
                && one.heads.size() > 2).findFirst().orElseThrow();
        Checkpoint checkpoint = Checkpoint.open(write(tokens).path());

        List<BaseSource<ComputationGraph>> none = new ArrayList<>();
        assertThatThrownBy(() -> none.add(checkpoint.classifier())).isInstanceOf(IOException.class).hasMessageContainingAll(
                "config.json", "[BertForTokenClassification]", "[BertForSequenceClassification]", "encoder()",
                "classifier(classes, updater, seed)");
        assertThatThrownBy(() -> none.add(checkpoint.model(Head.classifier(3)))).isInstanceOf(IOException.class)
                .hasMessageContaining("[BertForTokenClassification]");
        ComputationGraphConfiguration whole = Transformer.addTo(new NeuralNetConfiguration.Builder().seed(1).graphBuilder(),
                checkpoint.shape(), Head.classifier(3)).build();
        assertThatThrownBy(() -> none.add(checkpoint.model(whole))).isInstanceOf(IOException.class)
                .hasMessageContaining("[BertForTokenClassification]");

        assertThat(checkpoint.model(whole, "classifier").network().outputSingle(IDS).shape()).containsExactly(2, 3);
        assertThat(checkpoint.classifier(2, new Sgd(0.1), 1).network().outputSingle(IDS).shape()).containsExactly(2, 2);
        ComputationGraph tagger = checkpoint.model(Transformer.addTo(new NeuralNetConfiguration.Builder().seed(1).graphBuilder(),
                        checkpoint.shape(), Head.tokenVectors())
                .addLayer("classifier", new OutputLayer.Builder(LossFunction.MCXENT).nIn(8).nOut(3).activation(Activation.SOFTMAX)
                        .build(), Transformer.output(checkpoint.shape(), Head.tokenVectors())).setOutputs("classifier").build())
                .network();
        assertThat(tagger.outputSingle(IDS).shape()).containsExactly(6, 3);
    }
}
