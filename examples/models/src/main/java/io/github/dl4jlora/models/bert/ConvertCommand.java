package io.github.dl4jlora.models.bert;

import io.github.dl4jlora.transformers.tensorflow.BertConversion;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;

/** The artifact's network, or a TensorFlow checkpoint of the user's, as a folder. */
@Command(name = "convert", sortOptions = false,
        description = "Makes a folder with config.json, model.safetensors and tokenizer.json of BERT-base, unless it exists.")
final class ConvertCommand implements Callable<Integer> {

    @Option(names = "--output", paramLabel = "<folder>", defaultValue = BertBase.FOLDER,
            description = "The folder. Default: ${DEFAULT-VALUE}.")
    private Path output;

    @Option(names = "--tensorflow", paramLabel = "<prefix>", description = "Another BERT, of a TensorFlow checkpoint of "
            + "Google's: bert_model.ckpt where bert_model.ckpt.index and vocab.txt are.")
    private Path prefix;

    @Option(names = "--cased", description = "That checkpoint tells capital letters from small ones.")
    private boolean cased;

    @Option(names = {"-h", "--help"}, order = 99, usageHelp = true, description = "Shows this text.")
    private boolean help;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException {
        if (cased && prefix == null) {
            throw new ParameterException(spec.commandLine(), "--cased is about a checkpoint of --tensorflow: without it, what is "
                    + "converted is BERT-base, uncased. Name a cased checkpoint, or leave out --cased");
        }
        PrintWriter out = spec.commandLine().getOut();
        if (prefix == null) {
            BertBase.convert(output, out);
        } else {
            long parameters = BertConversion.convert(prefix, prefix.resolveSibling("vocab.txt"), !cased, output);
            out.printf(Locale.ROOT, "%,d parameters in %s%n", parameters, output);
        }
        return 0;
    }
}
