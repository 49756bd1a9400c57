package io.github.dl4jlora.internal.file;

import com.google.common.jimfs.Configuration;
import com.google.common.jimfs.Feature;
import com.google.common.jimfs.Jimfs;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.conf.SaveOption;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.channels.ClosedByInterruptException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystem;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BrokenBarrierException;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class AtomicFileTest {

    @TempDir
    Path folder;
    private Path file;

    @BeforeEach
    void anOldFile() throws IOException {
        file = folder.resolve("model.zip");
        Files.writeString(file, "old");
    }

    @Test
    void aNewFileTakesThePlaceOfTheOld() throws IOException {
        AtomicFile.write(file, out -> out.write("new".getBytes()));

        assertThat(file).hasContent("new");
        assertThat(names()).containsExactly("model.zip");
    }

    @Test
    void aFullDiskLeavesTheOldFileAndNothingElse() throws IOException {
        assertThatThrownBy(() -> AtomicFile.write(file, out -> {
            out.write(new byte[1 << 20]);
            throw new IOException("No space left on device");
        })).isInstanceOf(IOException.class).hasMessageContaining("model.zip").hasMessageContaining("No space left on device")
                .hasMessageContaining("Nothing was changed");

        assertThat(file).hasContent("old");
        assertThat(names()).containsExactly("model.zip");
    }

    @Test
    void anInterruptedWriterLeavesTheOldFileAndNothingElse() throws IOException {
        assertThatThrownBy(() -> AtomicFile.write(file, out -> {
            out.write(new byte[1 << 20]);
            throw new IllegalStateException("interrupted");
        })).hasMessage("interrupted");

        assertThat(file).hasContent("old");
        assertThat(names()).containsExactly("model.zip");
    }

    /** As in the finally block of a task that was cancelled. */
    @Test
    void aThreadThatIsInterruptedSavesAndStaysInterrupted() throws IOException {
        MultiLayerNetwork base = Networks.trainedLayers();
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).build());
        Path network = folder.resolve("tuned.zip");
        Path adapter = folder.resolve("adapter");
        Path mapped = folder.resolve("base.lora");
        for (int time = 0; time < 2; time++) {
            Networks.randomizeAdapters(tuned.paramTable(), time);
            Thread.currentThread().interrupt();
            try {
                LoRA.save(tuned, network, true);
                LoRAAdapter.of(tuned).save(adapter);
                LoRA.writeBase(base, mapped, Quantization.INT8);
                AtomicFile.writeTogether(folder, Pairs.of(time));
                assertThat(Thread.currentThread().isInterrupted()).isTrue();
            } finally {
                Thread.interrupted();
            }
            assertThat(LoRA.loadMultiLayerNetwork(network).params()).isEqualTo(tuned.params());
            assertThat(LoRAAdapter.load(adapter).deltaWeight("fc1")).isEqualTo(LoRAAdapter.of(tuned).deltaWeight("fc1"));
        }
        assertThat(Pairs.in(folder)).containsExactly("1", "1");
        assertThat(LoRA.openBase(mapped)).isInstanceOf(MultiLayerNetwork.class);
        assertThat(names()).containsExactlyInAnyOrder("adapter", "base.lora", "model.zip", "tuned.zip", Pairs.FIRST,
                Pairs.SECOND);
    }

    @Test
    void aThreadThatIsInterruptedInTheMiddleIsToldSo() {
        assertThatThrownBy(() -> AtomicFile.write(file, out -> {
            throw new ClosedByInterruptException();
        })).hasMessage("Cannot write " + file + ": the thread was interrupted. Nothing was changed");
    }

    @Test
    void missingFoldersAreMade() throws IOException {
        Path target = folder.resolve("new").resolve("newer").resolve("model.zip");

        AtomicFile.write(target, out -> out.write("new".getBytes()));

        assertThat(target).hasContent("new");
        assertThat(target.getParent()).isDirectoryContaining(path -> path.equals(target));
    }

    @Test
    void missingFoldersAreNotLeftBehindByAFailure() throws IOException {
        Path target = folder.resolve("new").resolve("newer").resolve("model.zip");

        assertThatThrownBy(() -> AtomicFile.write(target, out -> {
            throw new IOException("No space left on device");
        })).isInstanceOf(IOException.class).hasMessageContainingAll(target.toString(), "No space left on device");
        assertThatThrownBy(() -> AtomicFile.write(target, out -> {
            throw new IllegalStateException("interrupted");
        })).hasMessage("interrupted");

        assertThat(names()).containsExactly("model.zip");
    }

    @Test
    void aFileInTheFoldersPlaceIsNamed() throws IOException {
        assertThatThrownBy(() -> AtomicFile.write(file.resolve("model.zip"), out -> out.write(1)))
                .isInstanceOf(IOException.class).isNotInstanceOf(FileAlreadyExistsException.class)
                .hasMessageContainingAll(file.toString(), "is a file, not a folder");
        assertThat(names()).containsExactly("model.zip");
    }

    @Test
    void aFolderIsNotReplacedByAFile() throws IOException {
        Path target = Files.createDirectory(folder.resolve("folder"));
        Files.writeString(target.resolve("content"), "kept");

        assertThatThrownBy(() -> AtomicFile.write(target, out -> out.write(1))).isInstanceOf(IOException.class)
                .hasMessageContaining(target.toString());
        assertThat(target.resolve("content")).hasContent("kept");
        assertThat(names()).containsExactly("folder", "model.zip");
    }

    @Test
    @DisabledOnOs(OS.WINDOWS)
    void othersMayReadWhatTheyMayReadOfAnyNewFile() throws IOException {
        Path ordinary = Files.writeString(folder.resolve("ordinary"), "");

        AtomicFile.write(file, out -> out.write(1));

        assertThat(Files.getPosixFilePermissions(file)).isEqualTo(Files.getPosixFilePermissions(ordinary));
    }

    @Test
    @DisabledOnOs(OS.WINDOWS)
    void aLinkStaysALink() throws IOException {
        Path link = Files.createSymbolicLink(folder.resolve("latest.zip"), file);

        AtomicFile.write(link, out -> out.write("new".getBytes()));

        assertThat(link).isSymbolicLink().hasContent("new");
        assertThat(file).hasContent("new");
    }

    @Test
    void whatExistsIsNotReplacedWhereThatIsForbidden() throws IOException {
        assertThatThrownBy(() -> AtomicFile.write(file, out -> out.write(1), SaveOption.NEW_ONLY))
                .isInstanceOf(FileAlreadyExistsException.class).hasMessageContainingAll("model.zip", "NEW_ONLY", "another name");
        assertThat(file).hasContent("old");
        Files.delete(file);

        AtomicFile.write(file, out -> out.write("new".getBytes()), SaveOption.NEW_ONLY);

        assertThat(file).hasContent("new");
        assertThat(names()).containsExactly("model.zip");
    }

    /** A link to what is missing fails before anybody looks whether its name is free. */
    @Test
    void whatHasComeMeanwhileIsNotReplacedWhereLinksFail() throws IOException {
        Path missing = folder.resolve("missing");

        assertThatThrownBy(() -> AtomicFile.moveToNew(missing, file)).isInstanceOf(FileAlreadyExistsException.class);
        assertThat(file).hasContent("old");
        assertThatThrownBy(() -> AtomicFile.moveToNew(missing, folder.resolve("new.zip")))
                .isInstanceOf(NoSuchFileException.class);
        assertThat(names()).as("a name that was taken in vain").containsExactly("model.zip");
    }

    @Test
    void newFilesAreWrittenWhereThereAreNoLinks() throws IOException {
        Configuration withoutLinks = Configuration.unix().toBuilder().setSupportedFeatures(Feature.FILE_CHANNEL,
                Feature.SYMBOLIC_LINKS).build();
        try (FileSystem system = Jimfs.newFileSystem(withoutLinks)) {
            Path target = system.getPath("new.zip");
            AtomicFile.write(target, out -> out.write("new".getBytes()), SaveOption.NEW_ONLY);

            assertThat(Files.readString(target)).isEqualTo("new");
            assertThatThrownBy(() -> AtomicFile.write(target, out -> out.write(1), SaveOption.NEW_ONLY))
                    .isInstanceOf(FileAlreadyExistsException.class);
            assertThat(Pairs.names(target.toAbsolutePath().getParent())).containsExactly("new.zip");
        }
    }

    @Test
    @DisabledOnOs(OS.WINDOWS)
    void aLinkToNowhereIsThereToo() throws IOException {
        Path link = Files.createSymbolicLink(folder.resolve("link.zip"), folder.resolve("nowhere.zip"));

        assertThatThrownBy(() -> AtomicFile.write(link, out -> out.write(1), SaveOption.NEW_ONLY))
                .isInstanceOf(FileAlreadyExistsException.class);
        assertThat(names()).containsExactly("link.zip", "model.zip");
    }

    /** All have found nothing there before the first is done. */
    @Test
    void ofSeveralWhoSaveAtOnceOneSucceeds() throws Exception {
        Path target = folder.resolve("raced.zip");
        CyclicBarrier together = new CyclicBarrier(8);
        ExecutorService threads = Executors.newFixedThreadPool(8);
        List<Future<String>> writers = new ArrayList<>();
        try {
            for (int i = 0; i < 8; i++) {
                String mine = "writer " + i;
                writers.add(threads.submit(() -> {
                    AtomicFile.write(target, out -> {
                        try {
                            together.await();
                        } catch (InterruptedException | BrokenBarrierException e) {
                            throw new IOException(e);
                        }
                        out.write(mine.getBytes());
                    }, SaveOption.NEW_ONLY);
                    return mine;
                }));
            }
            List<String> winners = new ArrayList<>();
            for (Future<String> writer : writers) {
                try {
                    winners.add(writer.get());
                } catch (ExecutionException e) {
                    assertThat(e).hasCauseInstanceOf(FileAlreadyExistsException.class);
                }
            }
            assertThat(winners).containsExactly(Files.readString(target));
        } finally {
            threads.shutdownNow();
        }
        assertThat(names()).containsExactly("model.zip", "raced.zip");
    }

    private List<String> names() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(path -> path.getFileName().toString()).sorted().toList();
        }
    }

    @Test
    @EnabledOnOs({OS.LINUX, OS.MAC})
    void permissionsOfWhatIsReplacedStay(@TempDir Path folder) throws IOException {
        Path file = Files.writeString(folder.resolve("secret"), "old");
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-------"));

        AtomicFile.write(file, out -> out.write(1));

        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(file))).isEqualTo("rw-------");
    }

    @Test
    @EnabledOnOs({OS.LINUX, OS.MAC})
    void whatIsNoFileIsNotReplacedByOne(@TempDir Path folder) throws Exception {
        Path pipe = folder.resolve("pipe");
        assertThat(new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor()).isZero();

        assertThatThrownBy(() -> AtomicFile.write(pipe, out -> out.write(1))).isInstanceOf(IOException.class)
                .hasMessageContainingAll(pipe.toString(), "pipe", "Name a file");
        assertThat(Files.readAttributes(pipe, BasicFileAttributes.class).isOther()).isTrue();
    }
}
