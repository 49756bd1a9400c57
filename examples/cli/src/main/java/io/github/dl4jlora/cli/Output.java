package io.github.dl4jlora.cli;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.SaveOption;
import io.github.dl4jlora.internal.common.Temporary;
import io.github.dl4jlora.internal.file.AtomicFile;
import org.deeplearning4j.util.ModelSerializer;
import org.nd4j.linalg.dataset.api.preprocessor.Normalizer;
import org.nd4j.linalg.dataset.api.preprocessor.serializer.NormalizerSerializer;
import picocli.CommandLine.Option;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.Collections;
import java.util.Locale;
import java.util.stream.Stream;
import java.util.zip.Deflater;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;

/** Where the result goes. Nothing is overwritten without {@code --force}; a result appears completely or not at all. */
final class Output {

    @Option(names = {"-o", "--output"}, required = true, paramLabel = "OUTPUT", order = 80,
            description = "Where the result goes.")
    private Path path;

    @Option(names = "--force", order = 81, description = "Overwrites an existing result.")
    private boolean force;

    Path path() {
        return path;
    }

    /**
     * To be called before the work.
     *
     * @throws IOException if the path exists, or its parent folder does not
     */
    Output checkedFile() throws IOException {
        checkParent();
        if (Files.isDirectory(path)) {
            throw new IOException(path + " is a folder, but the result is a file. Name a file");
        }
        refuseExisting(path);
        return this;
    }

    /** As {@link #checkedFile()}, for a second file of the result. */
    void checkBeside(Path other) throws IOException {
        refuseExisting(other);
    }

    /**
     * A file beside the result, called as the result with that at its end. Where the result is a link, it is beside what that
     * leads to.
     */
    Path beside(String end) throws IOException {
        Path file = Files.isSymbolicLink(path) ? AtomicFile.file(path) : path;
        return file.resolveSibling(file.getFileName() + end);
    }

    /** As {@link #checkedFile()}, for a result that is a folder. */
    Output checkedFolder() throws IOException {
        checkParent();
        if (Files.exists(path) && !Files.isDirectory(path)) {
            throw new IOException(path + " is a file, but an adapter is a folder. Name a folder");
        }
        refuseExisting(path);
        return this;
    }

    private void refuseExisting(Path file) throws IOException {
        if (isThere(file) && !force) {
            throw exists(file);
        }
    }

    /** A broken link counts as existing, too. */
    private static boolean isThere(Path file) {
        return Files.exists(file, LinkOption.NOFOLLOW_LINKS);
    }

    private static IOException exists(Path file) {
        return new IOException(file + " exists already. Name another, or overwrite it with --force");
    }

    /** The path may exist by now: of several commands at the same time, only one succeeds. */
    private SaveOption[] options() {
        return force ? new SaveOption[0] : new SaveOption[] {SaveOption.NEW_ONLY};
    }

    private void checkParent() throws IOException {
        Path folder = path.toAbsolutePath().getParent();
        if (folder == null || !Files.isDirectory(folder)) {
            throw new IOException(path + " cannot be written: the folder " + folder + " does not exist. Create it first");
        }
    }

    /** A network without adapters, with its normalizer if it has one. */
    void writeStock(SavedNetwork network) throws IOException {
        write(network, (file, options) -> AtomicFile.write(file, out -> ModelSerializer.writeModel(network.model(), out, false),
                options));
    }

    /** An adapted network with its base, and its normalizer if it has one. */
    void writeAdapted(SavedNetwork network) throws IOException {
        write(network, (file, options) -> LoRA.save(network.model(), file, true, options));
    }

    /** Writes to a file. */
    @FunctionalInterface
    interface Writer {
        void writeTo(Path file, SaveOption... options) throws IOException;
    }

    /**
     * Writes the result. Without {@code --force} nothing is overwritten, even if the path has come into existence since the
     * check.
     *
     * @throws IOException if the path exists by now, or cannot be written
     */
    void write(Writer writer) throws IOException {
        try {
            writer.writeTo(path, options());
        } catch (FileAlreadyExistsException e) {
            // Where the result is not there, it is another file of it.
            throw exists(isThere(path) ? path : Path.of(e.getFile()));
        }
    }

    private void write(SavedNetwork network, Writer writer) throws IOException {
        if (network.normalizer() == null) {
            write(writer);
            return;
        }
        write((file, options) -> AtomicFile.write(file, out -> {
            try (Temporary without = Temporary.fileBeside(file.toAbsolutePath())) {
                writer.writeTo(without.path());
                copyWith(network.normalizer(), without.path(), out);
            }
        }, options));
    }

    /** DL4J's addNormalizerToModel would take the whole model through the system's temporary folder. */
    private static void copyWith(Normalizer<?> normalizer, Path file, OutputStream out) throws IOException {
        try (ZipFile from = new ZipFile(file.toFile()); ZipOutputStream to = new ZipOutputStream(out)) {
            for (ZipEntry entry : Collections.list(from.entries())) {
                // What the library did not compress might shrink so far that it refuses to read it.
                to.setLevel(entry.getCompressedSize() < entry.getSize() ? Deflater.DEFAULT_COMPRESSION : Deflater.NO_COMPRESSION);
                to.putNextEntry(new ZipEntry(entry.getName()));
                try (InputStream in = from.getInputStream(entry)) {
                    in.transferTo(to);
                }
                to.closeEntry();
            }
            to.putNextEntry(new ZipEntry(ModelSerializer.NORMALIZER_BIN));
            // The serializer closes the stream that it writes to.
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            NormalizerSerializer.getDefault().write(normalizer, bytes);
            bytes.writeTo(to);
            to.closeEntry();
        }
    }

    /** A file for memory mapping. */
    void writeMapped(SavedNetwork network) throws IOException {
        write((file, options) -> LoRA.writeBase(network.model(), file, null, options));
    }

    /** A new folder appears with both files in it; in an existing one, both are replaced together. */
    void writeAdapter(LoRAAdapter adapter) throws IOException {
        write(adapter::save);
    }

    /** Bytes of a file, or of all files in a folder. */
    static long size(Path path) throws IOException {
        // Files.walk does not follow a link to the folder itself.
        try (Stream<Path> files = Files.walk(path.toRealPath())) {
            return files.filter(Files::isRegularFile).mapToLong(file -> file.toFile().length()).sum();
        }
    }

    /** Says where the result is. */
    void tell(String what, Facts facts) throws IOException {
        tell(path.toString(), size(path), what, facts);
    }

    /** As {@link #tell(String, Facts)}, of two files. */
    void tell(String what, Path beside, Facts facts) throws IOException {
        tell(path + " and " + beside, size(path) + size(beside), what, facts);
    }

    private void tell(String files, long bytes, String what, Facts facts) {
        facts.say(String.format(Locale.ROOT, "%s (%,d bytes): %s", files, bytes, what))
                .put("output", path.toString()).put("bytes", bytes);
    }
}
