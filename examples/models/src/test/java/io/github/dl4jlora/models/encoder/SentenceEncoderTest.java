package io.github.dl4jlora.models.encoder;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

@Tag("minilm")
class SentenceEncoderTest {

    private static Tokenizer tokenizer;

    @BeforeAll
    static void open() throws Exception {
        tokenizer = PretrainedEncoder.MINILM.tokenizer(16);
    }

    @AfterAll
    static void close() {
        tokenizer.close();
    }

    /** Messages list them. */
    @Test
    void promptsHaveAnOrder() {
        assertThat(PretrainedEncoder.E5.textSettings().prompts()).containsExactly(Map.entry("query", "query: "),
                Map.entry("document", "passage: "));
        assertThat(PretrainedEncoder.BGE.textSettings().prompts().keySet()).containsExactly("query", "document");
        assertThat(Stream.of(PretrainedEncoder.values()).map(model -> model.textSettings().maxTokens()))
                .containsExactly(256, 512, 512);
    }

    /** Networks refuse padding inside a text. */
    @Test
    void aTextThatSpellsOutThePaddingTokenHasTheUnknownTokenThere() {
        assertThat(tokenizer.ids("a [PAD] of paper [PAD]")).doesNotContain(0).isEqualTo(tokenizer.ids("a [UNK] of paper [UNK]"));
    }

    @Test
    void rowsAreInTheOrderOfTheTextsWhateverTheirLengths() throws Exception {
        List<String> texts = List.of("a rather long text about nothing much at all", "", "short", "of middling length", "short");
        SentenceEncoder encoder = new SentenceEncoder(tokenizer, PretrainedEncoder.MINILM.sentenceEncoder()::outputSingle, 2);

        INDArray embeddings = encoder.embed(texts);

        assertThat(embeddings.shape()).containsExactly(5, 384);
        for (int i = 0; i < texts.size(); i++) {
            INDArray alone = encoder.embed(List.of(texts.get(i)));
            assertThat(embeddings.getRow(i).sub(alone.getRow(0)).amaxNumber().doubleValue()).as(texts.get(i)).isLessThan(1e-5);
            assertThat(embeddings.getRow(i).norm2Number().doubleValue()).isCloseTo(1, within(1e-5));
        }
        assertThat(embeddings.getRow(1).sub(embeddings.getRow(2)).amaxNumber().doubleValue()).isGreaterThan(0.01);
    }

    @Test
    void textsOfOneLengthGoThroughTheNetworkTogether() {
        List<Long> widths = new ArrayList<>();
        SentenceEncoder encoder = new SentenceEncoder(tokenizer, ids -> {
            widths.add(ids.size(1));
            return ids.mean(true, 1);
        }, 2);

        encoder.embed(List.of("one two three four", "one", "one two three four", "one", "one two"));

        assertThat(widths).containsExactly(3L, 6L, 6L);
    }

    @Test
    void threadsMayShareOne() throws Exception {
        SentenceEncoder encoder = new SentenceEncoder(tokenizer, ids -> ids.sum(true, 1), 2);
        List<String> texts = IntStream.range(0, 200).mapToObj(i -> "text number " + i).toList();
        INDArray alone = encoder.embed(texts);
        ExecutorService threads = Executors.newFixedThreadPool(4);
        try {
            List<Future<INDArray>> shared = threads.invokeAll(Collections.nCopies(8, () -> encoder.embed(texts)));
            for (Future<INDArray> embeddings : shared) {
                assertThat(embeddings.get()).isEqualTo(alone);
            }
        } finally {
            threads.shutdown();
        }
    }

    @Test
    void noTextsAndNoBatchAreRefused() {
        assertThatThrownBy(() -> new SentenceEncoder(tokenizer, ids -> ids, 0)).hasMessageContaining("batch is 0");
        assertThatThrownBy(() -> new SentenceEncoder(tokenizer, ids -> ids, 1).embed(List.of()))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("no text");
    }
}
