package io.github.dl4jlora.examples.project;

import picocli.CommandLine;
import picocli.CommandLine.ParameterException;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * A program to copy, and what it needs.
 *
 * @param source   the file
 * @param data     files that it reads, by their names among the resources
 * @param profiles of the project's build
 * @param modules  of dl4j-lora that have to be installed
 */
record TaskProgram(Path source, List<String> data, List<String> profiles, List<String> modules) {

    /** In the clone. */
    static final String RESOURCES = "examples/src/main/resources";
    static final String PACKAGE = "io/github/dl4jlora/examples/tasks";
    static final String FOLDER = "examples/src/main/java/" + PACKAGE;

    private static final String JAVA = ".java";
    /** Endings of data among the resources. */
    private static final Pattern DATA = Pattern.compile("(\\.\\w+)?\\.(gz|h5)$");

    /** What more than the library a program may need: a profile of the template, by what it imports. */
    private enum More {
        TRANSFORMERS("io.github.dl4jlora.transformers.", "examples/transformers"),
        REPORT("io.github.dl4jlora.report.page.", "examples/report"),
        ONNX("io.github.dl4jlora.onnx.", "examples/onnx"),
        /** DL4J's own. */
        KERAS("org.deeplearning4j.nn.modelimport.", "");

        private final String imported;
        /** Of this project; empty for none. */
        private final String module;

        More(String imported, String module) {
            this.imported = imported;
            this.module = module;
        }

        private String profile() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /** {@return where its file is, among sources} */
    static String file(String name) {
        return PACKAGE + "/" + name + JAVA;
    }

    static String className(String name) {
        return (PACKAGE + "/" + name).replace('/', '.');
    }

    /** {@return all programs of a folder, sorted} */
    static List<String> names(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString()).filter(name -> name.endsWith(JAVA))
                    .map(name -> name.substring(0, name.length() - JAVA.length())).filter(name -> !name.equals("package-info"))
                    .sorted().toList();
        }
    }

    /**
     * @param clone the root of the project's clone
     * @throws ParameterException if that is no clone, or has no such program
     */
    static void require(Path clone, String program, CommandLine line) throws IOException {
        Path programs = clone.resolve(FOLDER);
        if (!Files.isDirectory(programs)) {
            throw new ParameterException(line, "There is no " + programs + ". Run this in the root of dl4j-lora's clone"
                    + (line.getCommandSpec().findOption("--clone") == null ? "" : ", or name that by --clone"));
        }
        List<String> names = names(programs);
        if (!names.contains(program)) {
            throw new ParameterException(line, program + " is no program to copy. Name one of " + names);
        }
    }

    /** Those that the code names, with their ending or without. */
    private static List<String> data(Path resources, String code) throws IOException {
        try (Stream<Path> files = Files.walk(resources)) {
            return files.filter(file -> {
                String name = file.getFileName().toString();
                String bare = DATA.matcher(name).replaceFirst("");
                return !bare.equals(name) && (code.contains("/" + name + "\"") || code.contains("\"" + bare + "\""));
            }).map(file -> resources.relativize(file).toString().replace('\\', '/')).sorted().toList();
        }
    }

    /** @param clone the root of the project's clone */
    static TaskProgram read(Path clone, String name) throws IOException {
        Path source = clone.resolve(FOLDER).resolve(name + JAVA);
        String code = Files.readString(source);
        List<More> more = Stream.of(More.values()).filter(one -> code.contains("import " + one.imported)).toList();
        List<String> modules = new ArrayList<>(List.of("dl4j-lora-layer"));
        more.stream().map(one -> one.module).filter(module -> !module.isEmpty()).forEach(modules::add);
        return new TaskProgram(source, data(clone.resolve(RESOURCES), code), more.stream().map(More::profile).toList(), modules);
    }
}
