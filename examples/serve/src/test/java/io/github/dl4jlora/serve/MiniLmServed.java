package io.github.dl4jlora.serve;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.models.encoder.PretrainedEncoder;
import io.github.dl4jlora.models.encoder.Tokenizer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Path;

/** A service of MiniLM with an adapter "spam", for all tests of a class. */
abstract class MiniLmServed {

    static final int MAX_TOKENS = 64;

    static ComputationGraph encoder;
    static ComputationGraph spam;
    static Tokenizer tokenizer;
    static Running running;

    @BeforeAll
    static void start(@TempDir Path adapters) throws IOException {
        encoder = PretrainedEncoder.MINILM.sentenceEncoder();
        tokenizer = PretrainedEncoder.MINILM.tokenizer(MAX_TOKENS);
        spam = (ComputationGraph) Networks.adapted(encoder, 0.1, 1, ".*query", ".*value");
        LoRAAdapter.of(spam).save(adapters.resolve("spam"));
        running = new Running(Service.start(encoder, PretrainedEncoder.MINILM.modelName(),
                TextModels.of(new BankEncoder(PretrainedEncoder.MINILM, tokenizer)), adapters, Running.config(Running.TOKEN)));
    }

    @AfterAll
    static void stop() {
        running.close();
        tokenizer.close();
    }
}
