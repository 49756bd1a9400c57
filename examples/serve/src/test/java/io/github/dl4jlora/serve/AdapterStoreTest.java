package io.github.dl4jlora.serve;

import com.google.common.jimfs.Configuration;
import com.google.common.jimfs.Jimfs;
import io.github.dl4jlora.adapter.LoRAAdapter;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.lang.reflect.Proxy;
import java.nio.file.FileSystem;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIOException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Wherever the program ended, the next one finds every adapter whole, old or new, and nothing else. */
@Tag("serve")
class AdapterStoreTest {

    private final MultiLayerNetwork base = Networks.dense(1);
    private final LoRAAdapter older = Networks.adapter(base, 1);
    private final LoRAAdapter newer = Networks.adapter(base, 2);
    @TempDir
    private Path adapters;
    private Path own;

    @BeforeEach
    void folders() throws IOException {
        own = adapters.resolve(".dl4j-lora");
        for (String place : List.of("staged", "gone")) {
            Files.createDirectories(own.resolve(place));
        }
    }

    private void assertAfterRestart(LoRAAdapter expected) throws IOException {
        try (AdapterStore store = new AdapterStore(adapters, Set.of())) {
            store.own();

            assertThat(store.names()).containsExactlyElementsOf(expected == null ? List.of() : List.of("spam"));
            if (expected != null) {
                assertThat(store.load("spam").orElseThrow().cosine(expected)).isGreaterThan(0.999999);
            }
            for (String place : List.of("staged", "gone")) {
                try (Stream<Path> left = Files.list(own.resolve(place))) {
                    assertThat(left).as(place).isEmpty();
                }
            }
        }
    }

    @Test
    void afterAnUploadThatWasUnderWay() throws IOException {
        older.save(adapters.resolve("spam"));
        newer.save(own.resolve("staged").resolve("1"));
        Files.writeString(own.resolve("staged").resolve("part"), "of a form");

        assertAfterRestart(older);
    }

    /** What a library that was killed between two steps of a save leaves; the lock's first byte says what of. */
    @ParameterizedTest
    @ValueSource(strings = {"p", "f"})
    void afterAnAdapterWasReplacedByHalf(String kind) throws IOException {
        older.save(adapters.resolve("spam"));
        Path left = adapters.resolve(".spam.01234567-89ab-cdef-0123-456789abcdef.tmp");
        newer.save(left);
        Files.writeString(left.resolve("tokenizer.json"), "{}");
        Files.writeString(left.resolve(".dl4j-lora.lock"), kind);

        assertAfterRestart(older);

        assertThat(left).doesNotExist();
        assertThat(adapters.resolve("spam/tokenizer.json").toFile().exists()).as("of the old folder").isEqualTo(kind.equals("f"));
    }

    /** Killed before it could lock the folder that it was about to fill: a new adapter's, and one that replaces another. */
    @ParameterizedTest
    @ValueSource(strings = {"spam", "new"})
    void afterAnAdapterWasAboutToBeWritten(String name) throws IOException {
        older.save(adapters.resolve("spam"));
        Path left = Files.createDirectory(adapters.resolve("." + name + ".01234567-89ab-cdef-0123-456789abcdef.tmp"));

        assertAfterRestart(older);

        assertThat(left).doesNotExist();
    }

    /** Each of them ended the start, and the next one. */
    @ParameterizedTest
    @ValueSource(strings = {".dl4j-lora/staged/1", ".dl4j-lora/gone/1", ".spam.01234567-89ab-cdef-0123-456789abcdef.tmp"})
    @EnabledOnOs(value = OS.LINUX, disabledReason = "elsewhere a path may have another length")
    void whatCannotBeDeletedKeepsNoServiceFromStarting(String place, @TempDir Path aside) throws IOException {
        older.save(adapters.resolve("spam"));
        Path left = adapters.resolve(place);
        newer.save(left);
        Files.writeString(left.resolve(".dl4j-lora.lock"), "p");
        try (DeepFolder deep = new DeepFolder(left, aside); AdapterStore store = new AdapterStore(adapters, Set.of())) {
            store.own();

            assertThat(store.names()).containsExactly("spam");
            assertThat(left).isDirectory();
        }

        assertAfterRestart(older);
    }

    @Test
    void otherFilesOfAReplacedAdapterStay() throws IOException {
        older.save(adapters.resolve("spam"));
        Files.writeString(adapters.resolve("spam/tokenizer.json"), "{}");
        try (AdapterStore store = new AdapterStore(adapters, Set.of())) {
            store.own();
            Path staged = store.stage();
            newer.save(staged);
            assertThat(store.put("spam", staged)).isTrue();
            store.discard(staged);
        }

        assertAfterRestart(newer);
        assertThat(adapters.resolve("spam/tokenizer.json")).hasContent("{}");
    }

    @Test
    void afterOneWasDeletedByHalf() throws IOException {
        older.save(own.resolve("gone").resolve("1"));
        Files.delete(own.resolve("gone").resolve("1").resolve("adapter_config.json"));

        assertAfterRestart(null);
    }

    @Test
    void whatIsPutIsThereAndTheOldOneGone() throws IOException {
        try (AdapterStore store = new AdapterStore(adapters, Set.of())) {
            store.own();
            for (LoRAAdapter adapter : List.of(older, newer)) {
                Path staged = store.stage();
                adapter.save(staged);
                assertThat(store.put("spam", staged)).isEqualTo(adapter == newer);
                store.discard(staged);
                assertThat(store.load("spam").orElseThrow().cosine(adapter)).isGreaterThan(0.999999);
            }
        }
        assertAfterRestart(newer);
    }

    @Test
    @Timeout(value = 10, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    void anotherAdapterIsLoadedWhileOneIsPut() throws Exception {
        older.save(adapters.resolve("tone"));
        ExecutorService threads = Executors.newSingleThreadExecutor();
        CountDownLatch begun = new CountDownLatch(1);
        CountDownLatch goOn = new CountDownLatch(1);
        try (AdapterStore store = new AdapterStore(adapters, Set.of())) {
            store.own();
            Path staged = store.stage();
            newer.save(staged);
            Path slow = (Path) Proxy.newProxyInstance(getClass().getClassLoader(), new Class<?>[] {Path.class},
                    (proxy, method, arguments) -> {
                        begun.countDown();
                        goOn.await();
                        return method.invoke(staged, arguments);
                    });
            Future<Boolean> put = threads.submit(() -> store.put("spam", slow));
            begun.await();

            assertThat(store.load("tone").orElseThrow().cosine(older)).isGreaterThan(0.999999);

            assertThat(put.isDone()).isFalse();
            goOn.countDown();
            assertThat(put.get()).isFalse();
            assertThat(store.load("spam").orElseThrow().cosine(newer)).isGreaterThan(0.999999);
        } finally {
            goOn.countDown();
            threads.shutdown();
        }
    }

    /** As a full disk, or a folder without permission, would. */
    @Test
    void whatCannotBePutLeavesTheOldOne() throws IOException {
        older.save(adapters.resolve("spam"));
        try (AdapterStore store = new AdapterStore(adapters, Set.of())) {
            store.own();
            assertThatIOException().isThrownBy(() ->
                    store.put("spam", own.resolve("staged").resolve("nowhere")));
        }
        assertAfterRestart(older);
    }

    /** As on macOS and Windows. */
    @Test
    void whereCaseIsIgnoredAnotherSpellingIsRefused() throws IOException {
        try (FileSystem files = Jimfs.newFileSystem(Configuration.osX());
             AdapterStore store = new AdapterStore(Files.createDirectories(files.getPath("adapters")), Set.of())) {
            store.own();
            Path staged = store.stage();
            newer.save(staged);
            assertThat(store.put("spam", staged)).isFalse();

            assertThatThrownBy(() -> store.put("SPAM", staged)).hasMessageContaining("only in upper and lower case");
            assertThat(store.load("SPAM")).isEmpty();
            assertThat(store.names()).containsExactly("spam");
            assertThat(store.load("spam")).isPresent();
        }
    }

    /** Requests for embeddings ask for the base by the encoder's name. */
    @Test
    void aNameOfTheBaseIsNoAdapters() throws IOException {
        older.save(adapters.resolve("spam"));
        newer.save(adapters.resolve("encoder"));
        try (AdapterStore store = new AdapterStore(adapters, Set.of("encoder"))) {
            assertThat(store.names()).containsExactly("spam");
            assertThat(store.load("encoder")).isEmpty();
            assertThatThrownBy(() -> store.requireName("encoder")).isInstanceOf(Problem.class)
                    .hasMessageContainingAll("\"encoder\"", "name of the base", "Choose another");
            store.requireName("spam");
        }
    }
}
