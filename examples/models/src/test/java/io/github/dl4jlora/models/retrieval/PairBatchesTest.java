package io.github.dl4jlora.models.retrieval;

import io.github.dl4jlora.models.encoder.PretrainedEncoder;
import io.github.dl4jlora.models.encoder.Tokenizer;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;

@Tag("minilm")
class PairBatchesTest {

    private static final List<Sample> SAMPLES = IntStream.range(0, 7)
            .mapToObj(i -> new Sample("query " + "long ".repeat(i), "document", i < 2 ? "shared" : "group " + i)).toList();

    private static List<DataSet> batches(int pairs) throws Exception {
        try (Tokenizer tokenizer = PretrainedEncoder.MINILM.tokenizer(16)) {
            List<DataSet> batches = new ArrayList<>();
            DataSetIterator iterator = PairBatches.of(SAMPLES, PretrainedEncoder.MINILM, tokenizer, pairs, 3);
            iterator.forEachRemaining(batches::add);
            return batches;
        }
    }

    @Test
    void aPairsTwoAreOfOneGroupAndFullBatchesHoldPairsOfAboutOneLength() throws Exception {
        List<DataSet> batches = batches(2);

        assertThat(batches).hasSize(3).allSatisfy(batch -> {
            double[] groups = batch.getLabels().dup('c').reshape(4).toDoubleVector();
            assertThat(groups[0]).isEqualTo(groups[2]);
            assertThat(groups[1]).isEqualTo(groups[3]);
            assertThat(batch.getFeatures().size(0)).isEqualTo(4);
            // Rows 2 and 3 hold the documents: [CLS] document [SEP].
            assertThat(batch.getFeatures().getDouble(2, 1)).isEqualTo(batch.getFeatures().getDouble(3, 1)).isPositive();
        });
        assertThat(batches.stream().map(batch -> batch.getFeatures().size(1))).containsExactlyInAnyOrder(4L, 6L, 8L);
        assertThat(batches.stream().filter(batch -> batch.getLabels().getDouble(0) == batch.getLabels().getDouble(1))).hasSize(1);
    }

    @Test
    void fewerPairsThanABatchAreABatch() throws Exception {
        assertThat(batches(100)).singleElement().satisfies(batch -> assertThat(batch.getLabels().shape()).containsExactly(14, 1));
    }
}
