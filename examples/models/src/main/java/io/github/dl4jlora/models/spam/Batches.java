package io.github.dl4jlora.models.spam;

import io.github.dl4jlora.models.encoder.Tokenizer;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Random;

/** E-mails as minibatches of token ids; each batch holds mails of about one length, so that little of it is padding. */
final class Batches {

    static final int HAM = 0;
    static final int SPAM = 1;
    static final int CLASSES = 2;

    private Batches() {
    }

    /** Label of a mail, and its tokens. */
    private record Sample(int label, int[] ids) {
    }

    static DataSetIterator of(List<Mail> mails, Tokenizer tokenizer, int batchSize, long seed) {
        List<Sample> samples = mails.stream().map(mail -> new Sample(mail.spam() ? SPAM : HAM, tokenizer.ids(mail.text())))
                .sorted(Comparator.comparingInt(sample -> sample.ids().length)).toList();
        List<DataSet> batches = new ArrayList<>();
        for (int from = 0; from < samples.size(); from += batchSize) {
            batches.add(batch(samples.subList(from, Math.min(from + batchSize, samples.size())), tokenizer.padding()));
        }
        Collections.shuffle(batches, new Random(seed));
        return new ExistingDataSetIterator(batches);
    }

    private static DataSet batch(List<Sample> samples, int padding) {
        INDArray labels = Nd4j.zeros(samples.size(), CLASSES);
        for (int i = 0; i < samples.size(); i++) {
            labels.putScalar(i, samples.get(i).label(), 1);
        }
        return new DataSet(Tokenizer.padded(samples.stream().map(Sample::ids).toList(), padding), labels);
    }
}
