package io.github.dl4jlora.models.retrieval;

import io.github.dl4jlora.models.encoder.PretrainedEncoder;
import io.github.dl4jlora.models.encoder.Tokenizer;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;

/**
 * Pairs as {@link io.github.dl4jlora.transformers.layer.InBatchNegatives} wants them: queries above their documents, and the
 * number of each one's group. A batch holds pairs of about one length, so that little of it is padding.
 */
final class PairBatches {

    private PairBatches() {
    }

    private record Pair(int[] query, int[] document, int group) {

        int length() {
            return Math.max(query.length, document.length);
        }
    }

    /**
     * With the model's prompts. Samples that do not fill a batch are left out, unless there are no others: what is learned is
     * told by the negatives.
     */
    static DataSetIterator of(List<Sample> samples, PretrainedEncoder model, Tokenizer tokenizer, int pairs, long seed) {
        Map<String, Integer> groups = new HashMap<>();
        List<Pair> all = new ArrayList<>();
        for (Sample sample : samples) {
            groups.putIfAbsent(sample.group(), groups.size());
            all.add(new Pair(tokenizer.ids(model.queryPrompt() + sample.query()),
                    tokenizer.ids(model.documentPrompt() + sample.document()), groups.get(sample.group())));
        }
        Random random = new Random(seed);
        // Pairs of one length are strangers to each other.
        Collections.shuffle(all, random);
        all.sort(Comparator.comparingInt(Pair::length));
        List<DataSet> batches = new ArrayList<>();
        for (int from = 0; from + pairs <= all.size() || from == 0; from += pairs) {
            batches.add(batch(all.subList(from, Math.min(from + pairs, all.size()))));
        }
        Collections.shuffle(batches, random);
        return new ExistingDataSetIterator(batches);
    }

    private static DataSet batch(List<Pair> pairs) {
        INDArray ids = Tokenizer.padded(Stream.concat(pairs.stream().map(Pair::query), pairs.stream().map(Pair::document))
                .toList());
        INDArray groups = Nd4j.createFromArray(pairs.stream().map(pair -> (float) pair.group()).toArray(Float[]::new))
                .reshape(pairs.size(), 1);
        return new DataSet(ids, Nd4j.concat(0, groups, groups));
    }
}
