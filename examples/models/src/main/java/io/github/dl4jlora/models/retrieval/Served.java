package io.github.dl4jlora.models.retrieval;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.console.StatusLine;
import io.github.dl4jlora.models.encoder.SentenceEncoder;
import io.github.dl4jlora.models.encoder.Tokenizer;
import org.deeplearning4j.util.ModelSerializer;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What was saved, as a server has it: one base and every task's adapter in a bank. */
final class Served implements AutoCloseable {

    private static final int BATCH = 32;

    private final AdapterBank bank;
    private final Tokenizer tokenizer;
    private final StatusLine status;

    /**
     * @param base     file of {@link io.github.dl4jlora.models.encoder.PretrainedEncoder#sentenceEncoder}
     * @param adapters folder of folders
     */
    Served(Path base, Path adapters, Collection<Task> tasks, Tokenizer tokenizer, StatusLine status) throws IOException {
        bank = new AdapterBank(ModelSerializer.restoreComputationGraph(base.toFile(), false), 1);
        for (Task task : tasks) {
            bank.add(task.toString(), LoRAAdapter.load(adapters.resolve(task.toString())));
        }
        this.tokenizer = tokenizer;
        this.status = status;
    }

    /** {@return how a task's test goes with an adapter} */
    Ranking rank(Task task, List<Sample> test, String adapter) {
        status.show(() -> "  " + task + " with " + (adapter.equals(AdapterBank.BASE) ? "no adapter" : "the adapter " + adapter));
        SentenceEncoder encoder = new SentenceEncoder(tokenizer, ids -> bank.output(adapter, ids), BATCH);
        Map<String, String> documents = documents(test);
        Ranking ranking = Ranking.of(encoder.embed(test.stream().map(Sample::query).toList()),
                test.stream().map(Sample::group).toList(),
                encoder.embed(List.copyOf(documents.keySet())), List.copyOf(documents.values()));
        status.clear();
        return ranking;
    }

    /** {@return the group of every document of a test, in the test's order} */
    static Map<String, String> documents(List<Sample> test) {
        Map<String, String> documents = new LinkedHashMap<>();
        test.forEach(sample -> documents.putIfAbsent(sample.document(), sample.group()));
        return documents;
    }

    @Override
    public void close() {
        bank.close();
    }
}
