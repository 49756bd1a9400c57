package io.github.dl4jlora.serve;

import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** The secret that changes need, from an option, a file or the environment. */
final class TokenOptions {

    /** The environment variable. */
    static final String VARIABLE = "DL4J_LORA_TOKEN";

    private static final int SHORTEST = 8;

    @Spec(Spec.Target.MIXEE)
    private CommandSpec spec;

    @Option(names = "--token", paramLabel = "TOKEN", order = 10,
            description = "Clients that send it may add, replace and delete adapters; at least " + SHORTEST + " characters. "
                    + "Others on this machine may see it here: a file or " + VARIABLE + " is safer. Default: no changes.")
    private String token;

    @Option(names = "--token-file", paramLabel = "FILE", order = 11, description = "A file with the token and nothing else.")
    private Path file;

    /**
     * The token; null for none.
     *
     * @throws IOException        if its file cannot be read
     * @throws ParameterException if it is given twice, or too short
     */
    String token(String ofEnvironment) throws IOException {
        CommandLine line = spec.commandLine();
        if (token != null && file != null) {
            throw new ParameterException(line, "--token and --token-file both name a token. Leave one out");
        }
        String told = token != null ? token : file != null ? Files.readString(file).strip() : ofEnvironment;
        if (told != null && (told.strip().length() < SHORTEST || !told.chars().allMatch(c -> c > ' ' && c < 127))) {
            throw new ParameterException(line, "The token of " + (token != null ? "--token" : file != null ? file : VARIABLE)
                    + " is shorter than " + SHORTEST + " characters, or contains spaces or characters outside ASCII. Choose "
                    + "another: openssl rand -hex 16 makes one");
        }
        return told;
    }
}
