package io.github.dl4jlora.models.spam;

import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Option;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.Path;

/** Which e-mails, and how much of them. */
final class DataOptions {

    static final int SEED = 7;

    @Option(names = "--mails", paramLabel = "<folder>", defaultValue = "examples/target/mails",
            description = "Folder of e-mails, a file each, in folders ham and spam. "
                    + "Default: ${DEFAULT-VALUE}, where fetch-mails.sh puts them.")
    Path mails;

    @ArgGroup
    private Size size = new Size();

    /** How long it may take. */
    static final class Size {

        @Option(names = "--full", description = "All e-mails, up to 256 tokens of each, 3 epochs. Takes hours.")
        private boolean full;

        @Option(names = "--short", description = "A few e-mails, a few words of each, to check that everything works.")
        private boolean brief;
    }

    /** Tokens of a mail that are read. */
    int tokens() {
        return size.full ? 256 : size.brief ? 32 : 128;
    }

    int epochs() {
        return size.full ? 3 : size.brief ? 1 : 2;
    }

    /** As options again, for another process. */
    String[] arguments() {
        String folder = mails.toAbsolutePath().toString();
        return size.full ? new String[]{"--mails", folder, "--full"} : size.brief ? new String[]{"--mails", folder, "--short"}
                : new String[]{"--mails", folder};
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
