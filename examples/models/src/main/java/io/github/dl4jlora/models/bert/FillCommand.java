package io.github.dl4jlora.models.bert;

import io.github.dl4jlora.models.encoder.KeptAdapter;
import io.github.dl4jlora.models.encoder.Tokenizer;
import io.github.dl4jlora.transformers.Checkpoint;
import io.github.dl4jlora.transformers.Head;
import org.deeplearning4j.nn.graph.ComputationGraph;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;

/** What a masked language model would write, with an adapter or without. */
@Command(name = "fill", sortOptions = false, description = "Tells the words that may stand where a text says [MASK], and how "
        + "likely each is.")
final class FillCommand implements Callable<Integer> {

    private static final int TOKENS = 512;
    private static final int WORDS = 5;

    @Parameters(arity = "1..*", paramLabel = "<text>", description = "A text with [MASK] in it.")
    private List<String> text;

    @Mixin
    private CheckpointOption checkpoint;

    @Option(names = "--adapter", paramLabel = "<folder>", description = "An adapter of that network's masked language model.")
    private Path adapter;

    @Option(names = {"-h", "--help"}, order = 99, usageHelp = true, description = "Shows this text.")
    private boolean help;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException {
        Checkpoint opened = checkpoint.open();
        ComputationGraph network = opened.model(Head.maskedWordsAtPositions()).network();
        if (adapter != null) {
            network = KeptAdapter.on(network, adapter);
        }
        try (Tokenizer tokenizer = checkpoint.tokenizer(opened, TOKENS)) {
            for (List<Guess> place : Guess.of(network, tokenizer, String.join(" ", text), WORDS)) {
                spec.commandLine().getOut().println(place.stream().map(Guess::toString).collect(Collectors.joining(", ")));
            }
            spec.commandLine().getOut().flush();
        }
        return 0;
    }
}
