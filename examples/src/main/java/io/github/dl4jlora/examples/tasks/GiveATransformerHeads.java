package io.github.dl4jlora.examples.tasks;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.machine.Threads;
import io.github.dl4jlora.transformers.*;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.evaluation.classification.Evaluation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;

import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.function.*;
import java.util.regex.*;
import java.util.stream.*;
import java.util.zip.GZIPInputStream;

/**
 * A small BERT that fills in words gets other heads: one tells which words of a text in small letters had a capital, the other
 * what somebody says. Of a pretrained model, {@code Checkpoint.model(head, updater, seed)} makes a network with a new head.
 */
public class GiveATransformerHeads {

    private static final Path FOLDER = Path.of("target", "tasks", "GiveATransformerHeads");
    private static final int SEED = 7, PASSAGE = 40, VOCABULARY = 4000;
    private static final List<String> SPECIAL = List.of("[PAD]", "[CLS]", "[SEP]", "[MASK]");

    public static void main(String[] args) throws Exception {
        Threads.settle();                                          // first of all: ND4J's threads no longer spin
        List<List<String>> passages = passages();
        ComputationGraph base = network(Head.maskedWords());       // every seventh word is to be told from the others
        batches(passages, 0, 0.75, texts -> new MultiDataSet(
                rows(texts, (words, i) -> i % 7 == 3 ? SPECIAL.indexOf("[MASK]") : id(words.get(i))),
                rows(texts, (words, i) -> i % 7 == 3 ? id(words.get(i)) : TokenLabels.IGNORED))).forEach(base::fit);

        train("capitals", base, Head.tokenClassifier(2), 2, passages, texts -> new MultiDataSet(
                rows(texts, (words, i) -> id(words.get(i))), rows(texts, (words, i) ->      // of small letters some count
                Character.isUpperCase(words.get(i).charAt(0)) ? 1 : i % 6 == 0 ? 0 : TokenLabels.IGNORED)), (tagger, batch) -> {
            Evaluation evaluation = new Evaluation(2);
            TokenLabels.evaluate(evaluation, batch.getLabels(0), tagger.outputSingle(batch.getFeatures()));
            return evaluation.accuracy();
        });

        List<List<String>> pairs = passages.stream().filter(words -> words.stream().filter("‘’"::contains).count() == 2
                && words.indexOf("‘") >= 0 && words.indexOf("‘") < words.indexOf("’")).map(words -> Stream.of(List.of("[CLS]",
                "what", "is", "said", "[SEP]"), words, List.of("[SEP]")).flatMap(List::stream).toList()).toList();
        train("speeches", base, Head.questionAnswering(), 8, pairs, texts -> {
            INDArray ids = rows(texts, (words, i) -> id(words.get(i)));
            INDArray types = Answer.secondTexts(ids, SPECIAL.indexOf("[SEP]"));
            return new MultiDataSet(new INDArray[]{ids, types}, new INDArray[]{Nd4j.createFromArray(texts.stream().map(words ->
                    new int[]{words.indexOf("‘"), words.indexOf("’")}).toArray(int[][]::new))});
        }, (reader, batch) -> {
            List<Answer> best = Answer.best(reader.outputSingle(batch.getFeatures()), batch.getFeatures(1), PASSAGE);
            INDArray right = batch.getLabels(0);                   // of each text the first token and the last
            return IntStream.range(0, best.size()).filter(i -> best.get(i).isExactly(right.getInt(i, 0), right.getInt(i, 1)))
                    .count() / (double) best.size();
        });
    }

    private static void train(String task, ComputationGraph base, Head head, int epochs, List<List<String>> texts,
                              Function<List<List<String>>, MultiDataSet> batch,
                              ToDoubleBiFunction<ComputationGraph, MultiDataSet> right) throws Exception {
        ComputationGraph headed = network(head);                   // as the base below the head, which stays random
        headed.paramTable().forEach((key, values) -> values.assign(base.paramTable().getOrDefault(key, values)));
        ComputationGraph tuned = LoRA.apply(headed, LoRAConfig.builder().rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK)
                .targets(Transformer.QUERY_VALUE).trainable(head.layers(Family.BERT).toArray(String[]::new))
                .updater(new Adam(5e-3)).seed(SEED).build());
        List<MultiDataSet> test = batches(texts, 0.75, 1, batch);
        double before = test.stream().mapToDouble(of -> right.applyAsDouble(tuned, of)).average().orElseThrow();
        IntStream.range(0, epochs).forEach(epoch -> batches(texts, 0, 0.75, batch).forEach(tuned::fit));
        double after = test.stream().mapToDouble(of -> right.applyAsDouble(tuned, of)).average().orElseThrow();
        System.out.printf("Of the %s %.1f %% right before, %.1f %% after.%n", task, 100 * before, 100 * after);
        LoRAAdapter.of(tuned).save(FOLDER.resolve(task));          // with the head
    }

    private static ComputationGraph network(Head head) {
        ComputationGraph network = new ComputationGraph(Transformer.addTo(new NeuralNetConfiguration.Builder().seed(SEED)
                .updater(new Adam(2e-3)).graphBuilder(), TransformerShape.bert(VOCABULARY, 64, 64, 128, 2, 4), head).build());
        network.init();
        return network;
    }

    private static List<MultiDataSet> batches(List<List<String>> texts, double from, double to,
                                              Function<List<List<String>>, MultiDataSet> batch) {
        List<List<String>> part = texts.subList((int) (from * texts.size()), (int) (to * texts.size()));
        return IntStream.range(0, part.size() / 16).mapToObj(i -> batch.apply(part.subList(16 * i, 16 * i + 16))).toList();
    }

    private static INDArray rows(List<List<String>> texts, BiFunction<List<String>, Integer, Integer> value) {
        return Nd4j.createFromArray(texts.stream().map(words -> IntStream.range(0, words.size())
                .map(i -> value.apply(words, i)).toArray()).toArray(int[][]::new)).castTo(DataType.FLOAT);
    }

    private static int id(String word) {                           // a tokenizer looks it up
        int special = SPECIAL.indexOf(word), first = SPECIAL.size();
        return special >= 0 ? special : first + Math.floorMod(word.toLowerCase(Locale.ROOT).hashCode(), VOCABULARY - first);
    }

    private static List<List<String>> passages() throws Exception {
        String file = "/io/github/dl4jlora/examples/alice.txt.gz";
        try (InputStream in = new GZIPInputStream(Objects.requireNonNull(GiveATransformerHeads.class.getResourceAsStream(file),
                "Copy " + file + " from dl4j-lora's examples/src/main/resources to yours"))) {
            String text = new String(in.readAllBytes(), StandardCharsets.UTF_8).replaceAll("(?<!\\S)'(?=\\w)", "‘");
            List<String> words = Pattern.compile("\\w+(?:['-]\\w+)*|[.,;:!?‘’]").matcher(text.replaceAll("'(?!\\w)", "’"))
                    .results().map(MatchResult::group).toList();
            return IntStream.range(0, words.size() / 20 - 1).mapToObj(i -> words.subList(20 * i, 20 * i + PASSAGE)).toList();
        }
    }
}
