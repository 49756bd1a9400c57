package io.github.dl4jlora.models.bert;

import io.github.dl4jlora.models.encoder.Tokenizer;
import io.github.dl4jlora.transformers.layer.TiedDecoder;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Random;

/**
 * Texts with some of their tokens masked, as BERT was trained on (Devlin et al. 2018, section 3.1): of a text's tokens 15 % are
 * to be told, of which 80 % are [MASK], 10 % another token at random, and 10 % as they were.
 *
 * <pre>
 * features  token ids  [texts, tokens], padded
 *           positions  [texts, k], of the tokens that are to be told; k is that of the text with the most of them
 * labels    token ids  [texts, k], as they were; -100 beyond a text's own
 * </pre>
 *
 * @param mask       the id of [MASK]
 * @param padding    the id that shorter texts end with
 * @param vocabulary how many ids there are
 */
record MaskedBatches(int mask, int padding, int vocabulary) {

    private static final double SHARE = 0.15;
    private static final double MASKED = 0.8;
    private static final double REPLACED = 0.9;

    /** A text with holes. */
    private record Holes(int[] ids, int[] positions, int[] were) {
    }

    /**
     * Texts of about one length go together, so that little of a batch is padding.
     *
     * @param texts token ids, between one of [CLS] and one of [SEP], which are never masked
     * @param size  texts of a batch
     * @param seed  of masks and order: the same seed gives the same
     */
    List<MultiDataSet> of(List<int[]> texts, int size, long seed) {
        Random random = new Random(seed);
        List<Holes> all = new ArrayList<>();
        for (int[] ids : texts) {
            if (ids.length > 2) {
                all.add(holes(ids, random));
            }
        }
        Collections.shuffle(all, random);
        all.sort(Comparator.comparingInt(text -> text.ids.length));
        List<MultiDataSet> batches = new ArrayList<>();
        for (int from = 0; from < all.size(); from += size) {
            batches.add(batch(all.subList(from, Math.min(from + size, all.size()))));
        }
        Collections.shuffle(batches, random);
        return batches;
    }

    private Holes holes(int[] ids, Random random) {
        List<Integer> candidates = new ArrayList<>();
        for (int i = 1; i < ids.length - 1; i++) {
            candidates.add(i);
        }
        Collections.shuffle(candidates, random);
        int[] positions = candidates.subList(0, Math.max(1, (int) Math.round(SHARE * candidates.size()))).stream()
                .mapToInt(Integer::intValue).sorted().toArray();
        int[] masked = ids.clone();
        for (int position : positions) {
            double chance = random.nextDouble();
            if (chance < MASKED) {
                masked[position] = mask;
            } else if (chance < REPLACED) {
                masked[position] = another(random);
            }
        }
        return new Holes(masked, positions, Arrays.stream(positions).map(position -> ids[position]).toArray());
    }

    /** Padding would end the text. */
    private int another(Random random) {
        int id = random.nextInt(vocabulary - 1);
        return id < padding ? id : id + 1;
    }

    private MultiDataSet batch(List<Holes> texts) {
        int most = texts.stream().mapToInt(text -> text.positions.length).max().orElseThrow();
        INDArray positions = Nd4j.zeros(texts.size(), most);
        INDArray labels = Nd4j.valueArrayOf(new long[] {texts.size(), most}, (double) TiedDecoder.IGNORED);
        for (int text = 0; text < texts.size(); text++) {
            for (int i = 0; i < texts.get(text).positions.length; i++) {
                positions.putScalar(text, i, texts.get(text).positions[i]);
                labels.putScalar(text, i, texts.get(text).were[i]);
            }
        }
        INDArray ids = Tokenizer.padded(texts.stream().map(Holes::ids).toList(), padding);
        return new MultiDataSet(new INDArray[] {ids, positions}, new INDArray[] {labels});
    }

    /** How many tokens of a batch are to be told. */
    static int told(MultiDataSet batch) {
        return (int) Arrays.stream(batch.getLabels(0).dup().data().asInt()).filter(label -> label >= 0).count();
    }
}
