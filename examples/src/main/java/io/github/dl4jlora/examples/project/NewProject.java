package io.github.dl4jlora.examples.project;

import io.github.dl4jlora.console.Folders;
import io.github.dl4jlora.console.InputMessage;
import io.github.dl4jlora.console.Origin;
import io.github.dl4jlora.console.Program;
import io.github.dl4jlora.console.UsageMessage;
import org.bytedeco.javacpp.Loader;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

import java.io.IOException;
import java.io.InputStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.stream.Stream;

/** Writes a program to copy, its data and a build into a new folder. */
@Command(name = "project", sortOptions = false, description = "Makes a Maven project of your own from a program to copy: the "
        + "program, its data, and a POM with what both need. Change the program there.")
public final class NewProject implements Callable<Integer> {

    /** Where programs write in the clone, from which Maven's clean would delete it. */
    private static final String WRITTEN = "Path.of(\"target\", \"tasks\"";
    /** Spares Maven's own messages of a program that fails. */
    private static final String JVM = ".mvn/jvm.config";

    @Parameters(index = "0", paramLabel = "<folder>", description = "Of the project; a new one.")
    private Path folder;

    @Parameters(index = "1", arity = "0..1", paramLabel = "<program>", defaultValue = "AdaptASavedNetwork",
            description = "One of the programs to copy that README.md lists. Default: ${DEFAULT-VALUE}.")
    private String program;

    @Option(names = "--clone", paramLabel = "<folder>", defaultValue = "", description = "The root of dl4j-lora's clone. "
            + "Default: the working directory.")
    private Path clone;

    @Option(names = {"-h", "--help"}, order = 99, usageHelp = true, description = "Shows this text.")
    private boolean help;

    @Spec
    private CommandSpec spec;

    private NewProject() {
    }

    public static void main(String[] args) {
        System.exit(Program.run(commandLine(), args));
    }

    static CommandLine commandLine() {
        return new CommandLine(new NewProject()).setParameterExceptionHandler(new UsageMessage("-pl examples"))
                .setExecutionExceptionHandler(new InputMessage());
    }

    @Override
    public Integer call() throws IOException {
        TaskProgram.require(clone, program, spec.commandLine());
        TaskProgram task = TaskProgram.read(clone, program);
        requireRoom();
        try {
            write(task);
        } catch (FileSystemException e) {
            throw new IOException("The project cannot be made in " + folder + ": " + e.getFile() + ": "
                    + (e.getReason() == null ? e.getClass().getSimpleName() : e.getReason()), e);
        }
        PrintWriter out = spec.commandLine().getOut();
        out.println(folder + " has the program, its data and a build. Put what it needs into your local repository, and run it:");
        out.println();
        out.println("    mvn -q -pl " + String.join(",", task.modules()) + " -am install -DskipTests");
        out.println("    cd " + (folder.toString().matches("[\\w./\\\\:-]+") ? folder : "\"" + folder + "\""));
        out.println("    mvn -q compile exec:exec");
        out.flush();
        return CommandLine.ExitCode.OK;
    }

    private void requireRoom() throws IOException {
        if (folder.startsWith("~")) {
            throw wrong(folder + " begins with ~, which a shell does not replace within quotes. Write $HOME in its place");
        }
        if (folder.toString().contains("?")) {
            throw wrong(folder + " has a question mark, perhaps for a letter that your locale (LC_ALL) lacks. Name another "
                    + "folder");
        }
        Path place = folder.toAbsolutePath().normalize();
        if (Files.exists(place)) {
            try (Stream<Path> files = Files.isDirectory(place) ? Files.list(place) : Stream.of(place)) {
                if (files.findAny().isPresent()) {
                    throw wrong(folder + " exists already, and is no empty folder. Name a new one");
                }
            }
        }
        if (Files.isSymbolicLink(place)) {
            throw wrong(folder + " is a link. Name the folder that it leads to, or a new one");
        }
        do {
            place = place.getParent();
        } while (place != null && !Files.exists(place));
        if (place == null || !Files.isDirectory(place) || !Files.isWritable(place)) {
            throw wrong((place == null ? folder : place) + " is not a folder in which others can be made. Name another folder");
        }
    }

    private ParameterException wrong(String message) {
        return new ParameterException(spec.commandLine(), message);
    }

    /** A project appears whole or not at all. */
    private void write(TaskProgram task) throws IOException {
        Path target = folder.toAbsolutePath().normalize();
        Files.createDirectories(target.getParent());
        Path unfinished = Files.createDirectory(target.resolveSibling("." + target.getFileName() + "."
                + ProcessHandle.current().pid()));
        try {
            write(unfinished.resolve("src/main/java").resolve(TaskProgram.file(program)),
                    Files.readString(task.source()).replace(WRITTEN, "Path.of(\"results\""));
            for (String data : task.data()) {
                copy(clone.resolve(TaskProgram.RESOURCES).resolve(data), unfinished.resolve("src/main/resources"), data);
            }
            write(unfinished.resolve("src/main/resources/logback.xml"), template("logback.xml"));
            write(unfinished.resolve("pom.xml"), template("pom.xml").replace("VERSION", Origin.facts().get("version"))
                    .replace("PROGRAM", TaskProgram.className(program))
                    .replace("PROJECT", artifact(target)));
            write(unfinished.resolve(".mvn/maven.config"), String.join("\n", settings(task)) + "\n");
            copy(clone.resolve(JVM), unfinished, JVM);
            Files.deleteIfExists(target);
            Files.move(unfinished, target);
        } catch (IOException | RuntimeException e) {
            try {
                Folders.deleteAll(unfinished);
            } catch (IOException left) {
                e.addSuppressed(left);
            }
            throw e;
        }
    }

    /** Maven reads an option from each line. */
    private List<String> settings(TaskProgram task) {
        List<String> lines = new ArrayList<>(List.of("-Djavacpp.platform=" + Loader.getPlatform()));
        if (!task.profiles().isEmpty()) {
            lines.add("-P" + String.join(",", task.profiles()));
        }
        return lines;
    }

    /** What Maven allows in a name. */
    private static String artifact(Path target) {
        return target.getFileName().toString().replaceAll("[^A-Za-z0-9._-]", "-");
    }

    private static String template(String name) throws IOException {
        try (InputStream in = Objects.requireNonNull(NewProject.class.getResourceAsStream(name), name)) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    private static void copy(Path file, Path root, String to) throws IOException {
        Files.createDirectories(root.resolve(to).getParent());
        Files.copy(file, root.resolve(to));
    }

    private static void write(Path file, String text) throws IOException {
        Files.createDirectories(file.getParent());
        Files.writeString(file, text);
    }
}
