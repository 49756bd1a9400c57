package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.conf.SaveOption;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;

import static org.assertj.core.api.Assertions.assertThat;

/** Several who save into one folder at once, by threads; {@link KilledSaveTest} has them in processes. */
class FolderRacesTest {

    @TempDir
    private Path temporary;
    private Path home;
    private Path folder;

    @BeforeEach
    void anAdapterBesideAnotherFile() throws IOException {
        home = Files.createDirectory(temporary.resolve("home")).toRealPath();
        folder = home.resolve("adapter");
        save(folder, 1, Way.SYSTEM);
        Files.writeString(folder.resolve("README.md"), "of the user");
    }

    private static void save(Path folder, int number, Way way, SaveOption... options) throws IOException {
        new FolderSave(folder, Pairs.of(number), options.length > 0, way.steps()).run();
    }

    @ParameterizedTest
    @EnumSource
    void whoReadsMeanwhileReadsOneSave(Way way) throws Exception {
        AtomicBoolean isDone = new AtomicBoolean();
        ExecutorService reader = Executors.newSingleThreadExecutor();
        try {
            Future<List<List<String>>> read = reader.submit(() -> {
                List<List<String>> pairs = new ArrayList<>();
                do {
                    pairs.add(Pairs.read(folder));
                } while (!isDone.get());
                return pairs;
            });
            for (int i = 2; i < 30; i++) {
                save(folder, i, way);
            }
            isDone.set(true);
            assertThat(read.get()).isNotEmpty().allSatisfy(pair -> assertThat(pair.get(1)).isEqualTo(pair.get(0)));
        } finally {
            isDone.set(true);
            reader.shutdownNow();
        }
    }

    /** Also where one of them can exchange folders, and the other cannot. */
    @Test
    void ofSeveralWhoSaveAtOnceOneIsLast() throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(3);
        try {
            for (int round = 0; round < 8; round++) {
                CyclicBarrier together = new CyclicBarrier(3);
                List<Future<?>> writers = new ArrayList<>();
                for (Way way : Way.values()) {
                    int number = 10 * round + way.ordinal();
                    writers.add(threads.submit(() -> {
                        together.await();
                        save(folder, number, way);
                        return null;
                    }));
                }
                for (Future<?> writer : writers) {
                    writer.get();
                }
                List<String> pair = Pairs.in(folder);
                assertThat(pair.get(1)).isEqualTo(pair.get(0)).isNotEqualTo("-");
                assertThat(Pairs.names(folder)).containsExactly("README.md", Pairs.SECOND, Pairs.FIRST);
                assertThat(Pairs.names(home)).containsExactly("adapter");
            }
        } finally {
            threads.shutdownNow();
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void ofSeveralWhoReplaceNothingOneSucceeds(boolean isThere) throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(6);
        try {
            for (int round = 0; round < 4; round++) {
                Path raced = home.resolve("raced" + round);
                if (isThere) {
                    Files.createDirectory(raced);
                }
                CyclicBarrier together = new CyclicBarrier(6);
                List<Future<Integer>> writers = new ArrayList<>();
                for (int i = 0; i < 6; i++) {
                    int number = i;
                    writers.add(threads.submit(() -> {
                        together.await();
                        try {
                            save(raced, number, Way.values()[number % 3], SaveOption.NEW_ONLY);
                            return number;
                        } catch (FileAlreadyExistsException e) {
                            assertThat(e).hasMessageContainingAll(raced.toString(), "NEW_ONLY");
                            return -1;
                        }
                    }));
                }
                List<String> winners = new ArrayList<>();
                for (Future<Integer> writer : writers) {
                    winners.add(String.valueOf(writer.get()));
                }
                winners.removeIf("-1"::equals);
                assertThat(winners).hasSize(1);
                assertThat(Pairs.in(raced)).containsExactly(winners.get(0), winners.get(0));
                assertThat(Pairs.names(raced)).containsExactly(Pairs.SECOND, Pairs.FIRST);
            }
        } finally {
            threads.shutdownNow();
        }
    }
}
