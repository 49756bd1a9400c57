package io.github.dl4jlora.examples;

import org.deeplearning4j.optimize.api.TrainingListener;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

import java.io.IOException;
import java.io.InputStream;
import java.io.PrintWriter;
import java.util.List;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;

/** {@code --ui} on an example: shows DL4J's training pages while it runs, and afterwards until the user presses Enter. */
public final class UiOption implements AutoCloseable {

    private static final int HIGHEST_PORT = 65535;

    @Option(names = "--ui", order = 70, description = "Shows scores, adapter sizes and update ratios in a browser during "
            + "training. Needs the Maven profile ui: mvn -Pui ...")
    private boolean wanted;

    @Option(names = "--ui-port", order = 71, defaultValue = "9000",
            description = "Port of the training pages. Default: ${DEFAULT-VALUE}.")
    private int port;

    @Spec(Spec.Target.MIXEE)
    private CommandSpec command;

    private TrainingPages pages;

    /**
     * Starts the pages, if they are wanted, and says where they are.
     *
     * @throws ParameterException if they are wanted, but not on the class path, or cannot be served on the port
     */
    public void open(PrintWriter out) {
        if (!wanted) {
            return;
        }
        if (port < 1 || port > HIGHEST_PORT) {
            throw new ParameterException(command.commandLine(), "--ui-port is " + port + ", but must be 1 to " + HIGHEST_PORT);
        }
        try {
            pages = ServiceLoader.load(TrainingPages.Provider.class).findFirst().orElseThrow(this::leftOut).open(port);
        } catch (IllegalStateException e) {
            throw new ParameterException(command.commandLine(), e.getMessage(), e);
        } catch (NoClassDefFoundError | ServiceConfigurationError e) {
            // An earlier build with the profile left parts behind: the class without its dependencies, or only its name.
            throw leftOut();
        }
        out.println("Training pages: " + pages.address());
        out.flush();
    }

    private ParameterException leftOut() {
        return new ParameterException(command.commandLine(),
                "--ui needs DL4J's training pages, which this build does not contain. Add the profile ui to the command, "
                + "for example: mvn -q -Pui -pl examples -am compile exec:exec@digits "
                + "-Dargs=\"--ui\"; with another profile: -Pspark,ui");
    }

    /**
     * Refuses the option where the pages cannot be shown.
     *
     * @throws ParameterException if they are wanted
     */
    public void refuse(String why) {
        if (wanted) {
            throw new ParameterException(command.commandLine(), "--ui does not work " + why);
        }
    }

    /** The listeners that feed the pages; none if the pages are not wanted. */
    public List<TrainingListener> listeners(String training) {
        return pages == null ? List.of() : List.of(pages.listener(training));
    }

    /** Keeps the pages up until Enter is pressed, or the input ends. */
    public void linger(PrintWriter out, InputStream in) throws IOException {
        if (pages != null) {
            out.println("The training pages stay at " + pages.address() + " until you press Enter.");
            out.flush();
            int read = in.read();
            while (read != '\n' && read >= 0) {
                read = in.read();
            }
        }
    }

    @Override
    public void close() {
        if (pages != null) {
            pages.close();
        }
    }
}
