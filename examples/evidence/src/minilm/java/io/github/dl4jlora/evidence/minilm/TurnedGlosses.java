package io.github.dl4jlora.evidence.minilm;

import io.github.dl4jlora.evidence.Task;
import io.github.dl4jlora.evidence.minilm.Glosses.Example;
import io.github.dl4jlora.models.encoder.PretrainedEncoder;
import io.github.dl4jlora.models.encoder.Tokenizer;
import io.github.dl4jlora.models.retrieval.WordNet;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * all-MiniLM-L6-v2 under a new output layer learns whether a definition begins at its beginning: "a small boat", or "boat a
 * small". From the sentence embeddings, which say what a text is about rather than in which order, an output layer alone can
 * hardly tell. What is tested is the same for all seeds; what is learned from is drawn by seed.
 */
public final class TurnedGlosses implements Task {

    static final String SCRIPT = "examples/fetch-evidence.sh";

    private static final int TRAIN = 1536;
    private static final int TEST = 600;
    private static final int BATCH = 16;
    private static final int EPOCHS = 1;
    private static final int TOKENS = 32;

    private final Glosses glosses;

    /**
     * @param folder with WordNet's files
     * @throws IOException if one is missing or damaged, or there are too few definitions in them; the message says what to do
     */
    public TurnedGlosses(Path folder) throws IOException {
        glosses = Glosses.of(WordNet.load(folder).glosses());
        if (glosses.train(TRAIN, 0).size() < TRAIN || glosses.test(TEST).size() < TEST) {
            throw new IOException("In " + folder + " are fewer than " + TRAIN + " and " + TEST + " short definitions of nouns to "
                    + "learn from and to be tested on: fetch WordNet again with " + SCRIPT);
        }
    }

    @Override
    public String name() {
        return "MiniLM";
    }

    @Override
    public String measure() {
        return "definitions told right, %";
    }

    @Override
    public List<String> targets() {
        return List.of("encoder\\..*\\.(query|value)");
    }

    @Override
    public List<String> trainable() {
        return List.of(PretrainedEncoder.CLASSIFIER);
    }

    @Override
    public int epochs() {
        return EPOCHS;
    }

    @Override
    public Start start(long seed) {
        ComputationGraph base;
        List<DataSet> train;
        List<DataSet> test;
        try (Tokenizer tokenizer = PretrainedEncoder.MINILM.tokenizer(TOKENS)) {
            base = PretrainedEncoder.MINILM.classifier(Glosses.CLASSES, new Adam(), seed);
            train = batches(glosses.train(TRAIN, seed), tokenizer);
            test = batches(glosses.test(TEST), tokenizer);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        Collections.shuffle(train, new Random(seed));
        // MiniLM could classify nothing before.
        return new Start(base, train, network -> Task.percentRight(network, test), network -> Double.NaN);
    }

    /** Each holds definitions of about one length, so that little of it is padding. */
    private static List<DataSet> batches(List<Example> examples, Tokenizer tokenizer) {
        List<DataSet> batches = new ArrayList<>();
        List<Map.Entry<Example, int[]>> sorted = examples.stream()
                .map(example -> Map.entry(example, tokenizer.ids(example.text())))
                .sorted(Comparator.comparingInt(entry -> entry.getValue().length)).toList();
        for (int from = 0; from < sorted.size(); from += BATCH) {
            var some = sorted.subList(from, Math.min(from + BATCH, sorted.size()));
            INDArray labels = Nd4j.zeros(some.size(), Glosses.CLASSES);
            for (int i = 0; i < some.size(); i++) {
                labels.putScalar(i, some.get(i).getKey().isTurned() ? 1 : 0, 1);
            }
            batches.add(new DataSet(Tokenizer.padded(some.stream().map(Map.Entry::getValue).toList()), labels));
        }
        return batches;
    }
}
