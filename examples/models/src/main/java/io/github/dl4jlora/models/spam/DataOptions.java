package io.github.dl4jlora.models.spam;

import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Which e-mails, and how much of them. */
final class DataOptions {

    static final int SEED = 7;
    /** One word between the tokens that begin and end a text. */
    private static final int FEWEST_TOKENS = 3;

    @Option(names = "--mails", paramLabel = "<folder>", defaultValue = "examples/target/mails",
            description = "Folder of e-mails, a file each, in folders ham and spam. "
                    + "Default: ${DEFAULT-VALUE}, where fetch-mails.sh puts them.")
    Path mails;

    @ArgGroup
    private Size size = new Size();

    @Option(names = "--tokens", paramLabel = "<number>", description = "Tokens of each e-mail that are read. Default: 128, with "
            + "--full 256, with --short 32.")
    private Integer tokens;

    @Spec(Spec.Target.MIXEE)
    private CommandSpec command;

    /** How long it may take. */
    static final class Size {

        @Option(names = "--full", description = "All e-mails, up to 256 tokens of each, 3 epochs. Takes hours.")
        private boolean full;

        @Option(names = "--short", description = "A few e-mails, a few words of each, to check that everything works.")
        private boolean brief;
    }

    /** Tokens of a mail that are read. */
    int tokens() {
        if (tokens != null && tokens < FEWEST_TOKENS) {
            throw new ParameterException(command.commandLine(), "--tokens is " + tokens + ", but must be at least "
                    + FEWEST_TOKENS);
        }
        return tokens != null ? tokens : size.full ? 256 : size.brief ? 32 : 128;
    }

    int epochs() {
        return size.full ? 3 : size.brief ? 1 : 2;
    }

    /** As options again, for another process. */
    List<String> arguments() {
        List<String> arguments = new ArrayList<>(List.of("--mails", mails.toAbsolutePath().toString()));
        if (size.full || size.brief) {
            arguments.add(size.full ? "--full" : "--short");
        }
        if (tokens != null) {
            arguments.addAll(List.of("--tokens", String.valueOf(tokens)));
        }
        return arguments;
    }

    Mails load() throws IOException {
        Mails all;
        try {
            all = Mails.load(mails);
        } catch (FileNotFoundException e) {
            throw new FileNotFoundException(e.getMessage() + ".\nFetch the SpamAssassin corpus with: examples/fetch-mails.sh\n"
                    + "or give a folder of your own: --mails FOLDER, with a file for each mail in its folders ham and spam");
        }
        return size.full ? all : size.brief ? all.limited(48, 48) : all.limited(640, 600);
    }
}
