package io.github.dl4jlora.benchmarks.figures;

import io.github.dl4jlora.benchmarks.Table;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** The files of docs/figures, docs/evidence.md, and what is computed from several of them. */
final class FigureFiles {

    private static final String EVIDENCE = "evidence";

    private final Path docs;
    private final Map<String, FigureFile> read = new HashMap<>();

    /** @param top the project's folder */
    FigureFiles(Path top) {
        docs = top.resolve("docs");
    }

    /** {@return names of all files in docs/figures, sorted} */
    List<String> names() throws IOException {
        try (Stream<Path> files = Files.list(docs.resolve("figures"))) {
            return files.map(file -> file.getFileName().toString()).filter(name -> name.endsWith(".md"))
                    .map(name -> name.replaceFirst("\\.md$", "")).sorted().toList();
        }
    }

    /** {@return the page or file that has these figures} */
    Path path(String name) {
        return name.equals(EVIDENCE) ? docs.resolve("evidence.md") : docs.resolve("figures").resolve(name + ".md");
    }

    /** @throws IllegalArgumentException if there is no such file */
    FigureFile file(String name) {
        return read.computeIfAbsent(name, absent -> {
            if (!Files.isReadable(path(name))) {
                throw new IllegalArgumentException(path(name) + " is not there: measure it by --part " + name);
            }
            try {
                return FigureFile.read(path(name));
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        });
    }

    /**
     * {@return a table}
     *
     * @param name {@code file/anchor}, or {@code summary/} and what {@link Summary} computes
     * @throws IllegalArgumentException if there is no such file, or none of its tables has this anchor
     */
    Table table(String name) {
        int slash = name.indexOf('/');
        String of = name.substring(0, slash);
        String anchor = name.substring(slash + 1);
        if (of.equals(Summary.NAME)) {
            return Summary.of(this, anchor);
        }
        Table table = file(of).tables().get(anchor);
        if (table == null) {
            throw new IllegalArgumentException(path(of) + " has no table " + anchor + ", only " + file(of).tables().keySet());
        }
        return table;
    }

    void write(FigureFile file) throws IOException {
        Files.createDirectories(path(file.name()).getParent());
        Files.writeString(path(file.name()), file.markdown());
        // Pages show what the file has, in which bars are replaced.
        read.remove(file.name());
    }
}
