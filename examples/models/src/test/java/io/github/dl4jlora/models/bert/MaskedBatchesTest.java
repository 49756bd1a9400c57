package io.github.dl4jlora.models.bert;

import io.github.dl4jlora.transformers.layer.TiedDecoder;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

@Tag("bert")
class MaskedBatchesTest {

    private static final int MASK = 103;
    private static final int FIRST = 101;
    private static final int LAST = 102;
    private static final int VOCABULARY = 30000;

    private final MaskedBatches masks = new MaskedBatches(MASK, 0, VOCABULARY);

    /** Texts of 10 to 100 tokens that differ from each other in the second; no id is one that means something. */
    private static List<int[]> texts(int count) {
        return IntStream.range(0, count).mapToObj(text -> IntStream.range(0, 10 + text % 91).map(i -> i == 0 ? FIRST
                : i == 9 + text % 91 ? LAST : i == 1 ? 10_000 + text : 1000 + i).toArray()).toList();
    }

    @Test
    void whatIsToBeToldIsWhatWasThereAndAllElseIsAsItWas() {
        Map<Integer, int[]> originals = new HashMap<>();
        texts(200).forEach(ids -> originals.put(ids.length, ids));
        int told = 0;
        int masked = 0;
        int kept = 0;
        int candidates = 0;
        for (MultiDataSet batch : masks.of(texts(200), 8, 7)) {
            INDArray ids = batch.getFeatures(0);
            INDArray positions = batch.getFeatures(1);
            INDArray labels = batch.getLabels(0);
            assertThat(positions.shape()).isEqualTo(labels.shape());
            assertThat(MaskedBatches.told(batch)).isPositive();
            for (int text = 0; text < ids.size(0); text++) {
                int length = length(ids, text);
                int[] original = originals.get(length);
                candidates += length - 2;
                boolean[] isTold = new boolean[length];
                for (int i = 0; i < labels.size(1); i++) {
                    int label = labels.getInt(text, i);
                    if (label == TiedDecoder.IGNORED) {
                        assertThat(positions.getInt(text, i)).isZero();
                        continue;
                    }
                    int position = positions.getInt(text, i);
                    assertThat(position).isBetween(1, length - 2);
                    assertThat(isTold[position]).isFalse();
                    assertThat(label).satisfiesAnyOf(it -> assertThat(it).isEqualTo(original[position]),
                            it -> assertThat(position).isEqualTo(1));
                    isTold[position] = true;
                    told++;
                    masked += ids.getInt(text, position) == MASK ? 1 : 0;
                    kept += ids.getInt(text, position) == label ? 1 : 0;
                }
                for (int i = 0; i < length; i++) {
                    if (!isTold[i] && i != 1) {
                        assertThat(ids.getInt(text, i)).isEqualTo(original[i]);
                    }
                }
            }
        }
        assertThat(told / (double) candidates).isCloseTo(0.15, within(0.02));
        assertThat(masked / (double) told).isCloseTo(0.8, within(0.05));
        assertThat(kept / (double) told).isCloseTo(0.1, within(0.05));
    }

    private static int length(INDArray ids, int text) {
        int length = (int) ids.size(1);
        while (ids.getInt(text, length - 1) == 0) {
            length--;
        }
        return length;
    }

    @Test
    void shorterTextsEndWithThePaddingThatIsAskedForAndNoOthersDo() {
        for (MultiDataSet batch : new MaskedBatches(4, 1, 5).of(texts(200), 8, 7)) {
            INDArray ids = batch.getFeatures(0);
            for (int text = 0; text < ids.size(0); text++) {
                int last = (int) ids.size(1) - 1;
                while (ids.getInt(text, last) == 1) {
                    last--;
                }
                assertThat(ids.getInt(text, last)).isEqualTo(LAST);
                for (int i = 0; i < last; i++) {
                    assertThat(ids.getInt(text, i)).isNotEqualTo(1);
                }
            }
        }
    }

    @Test
    void theSameSeedGivesTheSameAndAnotherOthers() {
        List<MultiDataSet> first = masks.of(texts(40), 8, 7);

        assertThat(masks.of(texts(40), 8, 7)).isEqualTo(first);
        assertThat(masks.of(texts(40), 8, 8)).isNotEqualTo(first);
    }

    @Test
    void everyTextIsInOneBatchButThoseWithoutAToken() {
        List<int[]> texts = List.of(new int[] {FIRST, LAST}, new int[] {FIRST, 7, LAST}, new int[] {FIRST, 7, 8, LAST});

        List<MultiDataSet> batches = masks.of(texts, 8, 7);

        assertThat(batches).hasSize(1);
        assertThat(batches.get(0).getFeatures(0).shape()).containsExactly(2, 4);
        assertThat(MaskedBatches.told(batches.get(0))).isEqualTo(2);
    }
}
