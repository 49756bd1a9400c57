package io.github.dl4jlora.cli;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.console.Program;
import io.github.dl4jlora.console.UsageMessage;
import picocli.CommandLine.Command;
import picocli.CommandLine.HelpCommand;
import picocli.CommandLine.IVersionProvider;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import picocli.CommandLine;

import java.io.IOException;
import java.io.InputStream;
import java.lang.reflect.Method;
import java.util.Properties;
import java.util.ServiceLoader;

/** The command line's entry: {@code java -jar dl4j-lora.jar}. */
@Command(name = "dl4j-lora", sortOptions = false, versionProvider = Main.Version.class,
        subcommands = {InspectCommand.class, QuantizeCommand.class, PlanCommand.class, ApplyCommand.class, MergeCommand.class,
                ExportCommand.class, ImportCommand.class, ExtractCommand.class, CombineCommand.class, OnnxCommand.class,
                ReportCommand.class, DoctorCommand.class, HelpCommand.class},
        header = "Low-rank adapters (LoRA) for saved Deeplearning4j networks.%n",
        description = {"%nFiles: a NETWORK is a .zip that DL4J's ModelSerializer or LoRA.save wrote. An ADAPTER is a folder with "
                + "adapter_model.safetensors and adapter_config.json, as Python's PEFT writes it.%n"},
        footerHeading = "%nA walkthrough:%n",
        footer = {
                "  dl4j-lora inspect base.zip                        which layers are there?",
                "  dl4j-lora apply base.zip --rank 8 -o tuned.zip    make it trainable in Java",
                "  dl4j-lora export tuned.zip -o adapter             keep what was learned",
                "  dl4j-lora report base.zip adapter -o report.html  look at it",
                "  dl4j-lora merge base.zip adapter -o plain.zip     a stock network again",
                "",
                "Exit codes: 0 done, 1 failed (the message names the file and what to do),",
                "2 wrong usage. A file that exists is left alone unless --force is given; a file",
                "appears whole or not at all. Large networks need memory:",
                "  java -Xmx4g -Dorg.bytedeco.javacpp.maxbytes=16g -jar dl4j-lora.jar ..."})
public final class Main implements Runnable {

    @Option(names = {"-h", "--help"}, usageHelp = true, description = "Shows this text.")
    private boolean help;

    @Option(names = {"-V", "--version"}, versionHelp = true, description = "Shows the version.")
    private boolean version;

    /** The library's version, as written into adapters. */
    static final class Version implements IVersionProvider {

        private static final String PROPERTIES = "/io/github/dl4jlora/internal/peft/plugin.properties";

        @Override
        public String[] getVersion() throws IOException {
            Properties properties = new Properties();
            try (InputStream in = LoRAAdapter.class.getResourceAsStream(PROPERTIES)) {
                properties.load(in);
            }
            return new String[] {"dl4j-lora " + properties.getProperty("version")};
        }
    }

    private static final String LOGGING = "logback.configurationFile";
    private static final String BASE_SCHEMES = "dl4jlora.base.schemes";

    @Spec
    private CommandSpec spec;

    public static void main(String[] args) {
        warnNobodyOfUnsafe();
        setUnlessSet(LOGGING, "cli-logback.xml");
        // A checkpoint from an untrusted source may name any address as its base.
        setUnlessSet(BASE_SCHEMES, "file");
        System.exit(Program.run(commandLine(), args));
    }

    private static void setUnlessSet(String property, String value) {
        if (System.getProperty(property) == null) {
            System.setProperty(property, value);
        }
    }

    /**
     * Keeps JDK 24 and later from warning that JavaCPP calls sun.misc.Unsafe, about which users can do nothing. A jar's manifest
     * can allow native libraries, but not this.
     */
    private static void warnNobodyOfUnsafe() {
        try {
            Method warned = Class.forName("sun.misc.Unsafe").getDeclaredMethod("trySetMemoryAccessWarned");
            warned.setAccessible(true);
            warned.invoke(null);
        } catch (ReflectiveOperationException | RuntimeException e) {
            // Older JDKs have no such method and do not warn; a later JDK without the method shows its warning.
        }
    }

    /** What {@link #main} runs, with the commands of other modules that are on the class path. */
    public static CommandLine commandLine() {
        CommandLine line = new CommandLine(new Main());
        ServiceLoader.load(AddedCommand.class).forEach(line::addSubcommand);
        line.setCaseInsensitiveEnumValuesAllowed(true);
        line.setUsageHelpLongOptionsMaxWidth(28);
        return line.setParameterExceptionHandler(new UsageMessage()).setExecutionExceptionHandler(new FailureMessage());
    }

    @Override
    public void run() {
        throw new ParameterException(spec.commandLine(), "A command is missing. Name one of: "
                + String.join(", ", spec.subcommands().keySet()));
    }
}
