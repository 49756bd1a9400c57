package io.github.dl4jlora.examples.cli;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.internal.file.AtomicFile;
import org.deeplearning4j.util.ModelSerializer;
import picocli.CommandLine.Option;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Locale;
import java.util.UUID;
import java.util.stream.Stream;

/** Where the result goes. Nothing is overwritten unless it was asked for; what is written appears whole or not at all. */
final class Output {

    @Option(names = {"-o", "--output"}, required = true, paramLabel = "OUTPUT", order = 80,
            description = "Where the result goes.")
    private Path path;

    @Option(names = "--force", order = 81, description = "Overwrites what is there.")
    private boolean force;

    Path path() {
        return path;
    }

    /**
     * To be called before the work.
     *
     * @throws IOException if something is there, or the folder around it is not
     */
    Output checkedFile() throws IOException {
        checkParent();
        if (Files.isDirectory(path)) {
            throw new IOException(path + " is a folder, but the result is a file. Name one");
        }
        refuseExisting();
        return this;
    }

    /** As {@link #checkedFile()}, for a result that is a folder. */
    Output checkedFolder() throws IOException {
        checkParent();
        if (Files.exists(path) && !Files.isDirectory(path)) {
            throw new IOException(path + " is a file, but an adapter is a folder. Name another");
        }
        refuseExisting();
        return this;
    }

    private void refuseExisting() throws IOException {
        if (Files.exists(path) && !force) {
            throw new IOException(path + " exists already. Name another, or overwrite it with --force");
        }
    }

    private void checkParent() throws IOException {
        Path folder = path.toAbsolutePath().getParent();
        if (folder == null || !Files.isDirectory(folder)) {
            throw new IOException(path + " cannot be written: the folder " + folder + " does not exist. Make it first");
        }
    }

    /** A network without adapters, with its normalizer if it has one. */
    void writeStock(SavedNetwork network) throws IOException {
        AtomicFile.write(path, out -> {
            Path file = Files.createTempFile("dl4j-lora", ".zip");
            try {
                ModelSerializer.writeModel(network.model(), file.toFile(), false);
                addNormalizer(network, file);
                Files.copy(file, out);
            } finally {
                Files.deleteIfExists(file);
            }
        });
    }

    /** An adapted network with its base, and its normalizer if it has one. */
    void writeAdapted(SavedNetwork network) throws IOException {
        Path parent = Files.createTempDirectory("dl4j-lora");
        Path file = parent.resolve("network.zip");
        try {
            LoRA.save(network.model(), file, true);
            addNormalizer(network, file);
            AtomicFile.write(path, out -> Files.copy(file, out));
        } finally {
            Files.deleteIfExists(file);
            Files.deleteIfExists(parent);
        }
    }

    /** A file to be mapped. */
    void writeMapped(SavedNetwork network) throws IOException {
        LoRA.writeBase(network.model(), path, null);
    }

    private static void addNormalizer(SavedNetwork network, Path file) {
        if (network.normalizer() != null) {
            ModelSerializer.addNormalizerToModel(file.toFile(), network.normalizer());
        }
    }

    /** A new folder appears with both files in it; in one that is there, each file is replaced whole. */
    void writeAdapter(LoRAAdapter adapter) throws IOException {
        if (Files.exists(path)) {
            adapter.save(path);
            return;
        }
        Path temporary = path.resolveSibling(path.getFileName() + "." + UUID.randomUUID() + ".tmp");
        try {
            adapter.save(temporary);
            Files.move(temporary, path, StandardCopyOption.ATOMIC_MOVE);
        } finally {
            delete(temporary);
        }
    }

    private static void delete(Path folder) throws IOException {
        if (Files.exists(folder)) {
            try (Stream<Path> files = Files.list(folder)) {
                for (Path file : files.toList()) {
                    Files.delete(file);
                }
            }
            Files.delete(folder);
        }
    }

    /** Bytes of a file, or of those in a folder. */
    static long size(Path path) throws IOException {
        try (Stream<Path> files = Files.walk(path)) {
            return files.filter(Files::isRegularFile).mapToLong(file -> file.toFile().length()).sum();
        }
    }

    /** Tells where the result is. */
    void tell(String what, Facts facts) throws IOException {
        facts.say(String.format(Locale.ROOT, "%s (%,d bytes): %s", path, size(path), what))
                .put("output", path.toString()).put("bytes", size(path));
    }
}
