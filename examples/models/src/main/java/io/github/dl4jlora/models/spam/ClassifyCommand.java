package io.github.dl4jlora.models.spam;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.models.encoder.KeptAdapter;
import io.github.dl4jlora.models.encoder.Tokenizer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;

/** Reads a text with the pretrained network and a saved adapter. */
@Command(name = "classify", sortOptions = false,
        description = "Tells whether a text is spam, with an adapter that train has kept.")
final class ClassifyCommand implements Callable<Integer> {

    private static final int TOKENS = 256;

    @Parameters(arity = "1..*", paramLabel = "<text>", description = "Subject and text of an e-mail.")
    private List<String> text;

    @Mixin
    private BaseOption base;

    @Option(names = "--adapter", paramLabel = "<folder>",
            description = "Default: lora_query_value where train keeps what it has learned.")
    private Path adapter;

    @Option(names = "--quantize", description = "Keep the base in fewer bits: ${COMPLETION-CANDIDATES}. Default: unquantised.")
    private Quantization quantization;

    @Option(names = "--merged", description = "Merge the adapter into a plain network first.")
    private boolean merged;

    @Option(names = {"-h", "--help"}, usageHelp = true, description = "Shows this text.")
    private boolean help;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException {
        Path folder = adapter == null ? Method.LORA_QUERY_VALUE.in(base.output(), "") : adapter;
        if (!Files.isDirectory(folder)) {
            throw new FileNotFoundException("There is no adapter " + folder.toAbsolutePath().normalize()
                    + ". Make one with train, or name one with --adapter FOLDER");
        }
        Base opened = base.open();
        // Whatever the head starts from, the adapter brings the one that was trained.
        ComputationGraph network = KeptAdapter.on(opened.kept(quantization, DataOptions.SEED), folder);
        if (merged) {
            network = LoRA.merge(network);
        }
        try (Tokenizer tokenizer = opened.tokenizer(TOKENS)) {
            double spam = network.outputSingle(tokenizer.batch(List.of(String.join(" ", text)))).getDouble(0, Batches.SPAM);
            spec.commandLine().getOut().printf(Locale.ROOT, "%s (probability of spam %.4f)%n",
                    spam >= 0.5 ? "spam" : "ham", spam);
            spec.commandLine().getOut().flush();
        }
        return 0;
    }
}
