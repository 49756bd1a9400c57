package io.github.dl4jlora.models.retrieval;

import io.github.dl4jlora.models.encoder.PretrainedEncoder;
import io.github.dl4jlora.models.encoder.SentenceEncoder;
import io.github.dl4jlora.models.encoder.Tokenizer;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

/** Finds the documents of a test by its queries, each with the encoder's prompt. */
final class Finder {

    private static final int BATCH = 32;

    private final PretrainedEncoder model;
    private final SentenceEncoder encoder;

    /** @param network from token ids to the texts' vectors, of any length but 0 */
    Finder(PretrainedEncoder model, Tokenizer tokenizer, UnaryOperator<INDArray> network) {
        this.model = model;
        encoder = new SentenceEncoder(tokenizer, ids -> {
            INDArray vectors = network.apply(ids);
            return vectors.divColumnVector(vectors.norm2(true, 1));
        }, BATCH);
    }

    Ranking rank(List<Sample> test) {
        Map<String, String> documents = documents(test);
        return Ranking.of(encoder.embed(test.stream().map(sample -> model.queryPrompt() + sample.query()).toList()),
                test.stream().map(Sample::group).toList(),
                encoder.embed(documents.keySet().stream().map(document -> model.documentPrompt() + document).toList()),
                List.copyOf(documents.values()));
    }

    /** {@return the group of every document of a test, in the test's order} */
    static Map<String, String> documents(List<Sample> test) {
        Map<String, String> documents = new LinkedHashMap<>();
        test.forEach(sample -> documents.putIfAbsent(sample.document(), sample.group()));
        return documents;
    }
}
