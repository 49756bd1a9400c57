package io.github.dl4jlora.models.bert;

import io.github.dl4jlora.BaseSource;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.console.Program;
import io.github.dl4jlora.console.Require;
import io.github.dl4jlora.console.ResultTable;
import io.github.dl4jlora.examples.Figures;
import io.github.dl4jlora.models.encoder.EncoderTargets;
import io.github.dl4jlora.models.encoder.Tokenizer;
import io.github.dl4jlora.models.spam.PeakMemory;
import io.github.dl4jlora.transformers.Checkpoint;
import io.github.dl4jlora.transformers.Head;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.learning.config.Adam;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;

/** Adapts a masked language model to the language of State of the Union addresses. */
@Command(name = "adapt", sortOptions = false, description = "Adapts the masked language model to State of the Union addresses "
        + "with LoRA, and tells its perplexity on those of other presidents before and after.")
final class AdaptCommand implements Callable<Integer> {

    private static final String NONE = "-";
    private static final int TOKENS = 128;
    private static final int BATCH = 8;
    private static final int RANK = 8;
    private static final double ALPHA = 16;
    private static final int FEW = 16;
    private static final int WORDS = 3;
    private static final int MANY = 1200;
    private static final int TESTED = 400;
    private static final List<String> SENTENCES = List.of("the state of our [MASK] is strong .",
            "i have the honor to transmit to the [MASK] the report of the secretary .",
            "our relations with foreign [MASK] are friendly .", "i recommend the subject to the attention of [MASK] .");

    @Mixin
    private CheckpointOption checkpoint;

    @Option(names = "--texts", paramLabel = "<folder>", defaultValue = "examples/target/texts/sotu",
            description = "The addresses, a file each. Default: ${DEFAULT-VALUE}, where fetch-texts.sh puts them.")
    private Path texts;

    @Option(names = "--output", paramLabel = "<folder>", defaultValue = "examples/target/union",
            description = "Where the adapter is kept. Default: ${DEFAULT-VALUE}.")
    private Path output;

    @Option(names = "--quantize", description = "Keep the base in fewer bits: ${COMPLETION-CANDIDATES}. Default: unquantised.")
    private Quantization quantization;

    @Option(names = "--passages", defaultValue = "" + MANY, description = "To learn from; as many are used to test, at "
            + "most " + TESTED + ". Default: ${DEFAULT-VALUE}.")
    private int passages;

    @Option(names = "--epochs", defaultValue = "1", description = "Default: ${DEFAULT-VALUE}.")
    private int epochs;

    @Option(names = "--learning-rate", paramLabel = "<rate>", defaultValue = "5e-4", description = "Default: ${DEFAULT-VALUE}.")
    private double learningRate;

    @Option(names = "--seed", defaultValue = "7", description = "Seed of adapters, masks and batches. Default: ${DEFAULT-VALUE}.")
    private long seed;

    @Option(names = "--short", description = "A few passages, to check that everything works.")
    private boolean brief;

    @Option(names = {"-h", "--help"}, order = 99, usageHelp = true, description = "Shows this text.")
    private boolean help;

    @Spec
    private CommandSpec spec;

    private PrintWriter out;

    @Override
    public Integer call() throws IOException {
        requireOptions();
        out = spec.commandLine().getOut();
        Checkpoint opened = checkpoint.open();
        try (Tokenizer tokenizer = checkpoint.tokenizer(opened, TOKENS)) {
            int trained = brief ? Math.min(passages, FEW) : passages;
            Domain domain = Domain.load(texts, tokenizer, trained, Math.min(trained, TESTED));
            out.printf(Locale.ROOT, "%,d passages to learn from, %,d of other presidents to be tested on, up to %d tokens of "
                    + "each%n", domain.train().size(), domain.test().size(), tokenizer.maxTokens());
            out.flush();
            MaskedBatches masks = new MaskedBatches(tokenizer.id(tokenizer.mask()), tokenizer.padding(),
                    opened.shape().vocabulary());
            compare(adapted(opened.model(Head.maskedWordsAtPositions())), tokenizer, domain, masks);
        }
        out.println("\nKept in " + output);
        out.flush();
        return 0;
    }

    /** The base is the adapted network with its adapter off. */
    private void compare(ComputationGraph network, Tokenizer tokenizer, Domain domain, MaskedBatches masks) throws IOException {
        List<MultiDataSet> test = masks.of(domain.test(), BATCH, 0);
        ResultTable table = new ResultTable("", "perplexity", "trained values", "minutes", "peak memory", "adapter bytes");
        List<String> baseSays;
        try (LoRA.Scope off = LoRA.disabled(network)) {
            table.row("base", format("%.2f", Perplexity.of(network, test)), NONE, NONE, NONE, NONE);
            baseSays = say(network, tokenizer);
        }
        PeakMemory.reset();
        double seconds = new MaskedTraining(network, spec.commandLine()).run(epoch -> masks.of(domain.train(), BATCH,
                seed + epoch), epochs);
        long peak = PeakMemory.mebibytes();
        LoRAAdapter.of(network).save(output);
        table.row("LoRA, query and value", format("%.2f", Perplexity.of(network, test)),
                format("%,d", LoRA.summary(network).trainableParams()), format("%.1f", seconds / 60),
                peak == 0 ? NONE : format("%,d MiB", peak), format("%,d", Figures.size(output)));
        out.println();
        out.print(table.toString(Program.columns(spec.commandLine())));
        List<String> adapterSays = say(network, tokenizer);
        for (int i = 0; i < SENTENCES.size(); i++) {
            out.printf("%n%s%n  base     %s%n  adapter  %s%n", SENTENCES.get(i), baseSays.get(i), adapterSays.get(i));
        }
    }

    private void requireOptions() {
        Require.atLeastOne(spec, "--passages", passages);
        Require.atLeastOne(spec, "--epochs", epochs);
        Require.aboveZero(spec, "--learning-rate", learningRate);
        Require.folder(spec, "--output", output);
    }

    /** Quantises while reading, if asked to: the unquantised base is never in memory as a whole. */
    private ComputationGraph adapted(BaseSource<ComputationGraph> base) throws IOException {
        LoRAConfig config = LoRAConfig.builder().rank(RANK).alpha(ALPHA).scaling(Scaling.ALPHA_OVER_RANK)
                .targets(EncoderTargets.QUERY_VALUE).quantize(quantization).updater(new Adam(learningRate)).seed(seed).build();
        return quantization == null ? LoRA.apply(base.network(), config) : LoRA.loadQuantized(base, config);
    }

    private static List<String> say(ComputationGraph network, Tokenizer tokenizer) throws IOException {
        List<String> said = new ArrayList<>();
        for (String sentence : SENTENCES) {
            said.add(Guess.of(network, tokenizer, sentence, WORDS).get(0).stream().map(Guess::toString)
                    .collect(Collectors.joining(", ")));
        }
        return said;
    }

    private static String format(String pattern, Object value) {
        return String.format(Locale.ROOT, pattern, value);
    }
}
