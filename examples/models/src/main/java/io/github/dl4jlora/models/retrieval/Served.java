package io.github.dl4jlora.models.retrieval;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.console.StatusLine;
import io.github.dl4jlora.models.encoder.PretrainedEncoder;
import io.github.dl4jlora.models.encoder.Tokenizer;
import org.deeplearning4j.util.ModelSerializer;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Collection;
import java.util.List;

/** What was saved, as a server has it: one base and every task's adapter in a bank. */
final class Served implements AutoCloseable {

    private final PretrainedEncoder model;
    private final AdapterBank bank;
    private final Tokenizer tokenizer;
    private final StatusLine status;

    /**
     * @param base     file of {@link PretrainedEncoder#sentenceEncoder}
     * @param adapters folder of folders
     */
    Served(PretrainedEncoder model, Path base, Path adapters, Collection<Task> tasks, Tokenizer tokenizer,
           StatusLine status) throws IOException {
        this.model = model;
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
        Ranking ranking = new Finder(model, tokenizer, ids -> bank.output(adapter, ids)).rank(test);
        status.clear();
        return ranking;
    }

    @Override
    public void close() {
        bank.close();
    }
}
