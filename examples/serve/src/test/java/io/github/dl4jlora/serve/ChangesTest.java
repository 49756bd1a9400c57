package io.github.dl4jlora.serve;

import io.github.dl4jlora.console.Folders;
import io.github.dl4jlora.internal.file.AtomicFile;
import io.github.dl4jlora.serve.trial.Uploads;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.net.http.HttpRequest;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

import static io.github.dl4jlora.serve.Running.assertSame;
import static io.github.dl4jlora.serve.trial.Uploads.CONFIG;
import static io.github.dl4jlora.serve.trial.Uploads.TENSORS;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIOException;

/** Adapters come, are replaced and go, by whom knows the token; what does not fit leaves everything as it was. */
@Tag("serve")
class ChangesTest {

    private static final String PATH = "/v1/adapters/spam";

    @TempDir
    private Path folder;
    private Path adapters;
    private final MultiLayerNetwork base = Networks.dense(1);
    private final INDArray input = Networks.input(7, 5, Networks.IN);
    private Running running;

    @BeforeEach
    void start() throws IOException {
        adapters = Files.createDirectory(folder.resolve("adapters"));
        running = new Running(base, adapters);
    }

    @AfterEach
    void stop() {
        running.close();
    }

    private Path saved(int task) throws IOException {
        Path adapter = folder.resolve("task-" + task);
        Networks.adapter(base, task).save(adapter);
        return adapter;
    }

    @Test
    void anAdapterComesIsReplacedAndGoes() throws Exception {
        Running.Answer created = running.put(PATH, Running.zip(saved(1)));
        assertThat(created.status()).isEqualTo(201);
        assertThat(created.json().get("id").asText()).isEqualTo("spam");
        assertSame(running.outputs("spam", input), Networks.output(base, 1, input));

        assertThat(running.put(PATH, Running.zip(saved(2))).status()).isEqualTo(200);
        assertSame(running.outputs("spam", input), Networks.output(base, 2, input));
        assertThat(names()).containsExactly("__base__", "spam");

        assertThat(running.delete(PATH).ok().get("deleted").asBoolean()).isTrue();
        assertThat(running.post(PATH + "/outputs", "{\"inputs\": " + Running.json(input) + "}").error(404)).contains("spam");
        assertThat(names()).containsExactly("__base__");
        assertThat(running.delete(PATH).error(404)).contains("spam");
        assertNothingIsLeft();
    }

    @Test
    void itsTwoFilesMayComeAsPartsOfAForm() throws Exception {
        Path adapter = saved(1);

        byte[] form = Uploads.form(Map.of(CONFIG, Files.readAllBytes(adapter.resolve(CONFIG)),
                TENSORS, Files.readAllBytes(adapter.resolve(TENSORS))));
        assertThat(running.put(PATH, Uploads.FORM, form).status()).isEqualTo(201);

        assertSame(running.outputs("spam", input), Networks.output(base, 1, input));
        assertThat(adapters.resolve("spam").resolve(TENSORS)).hasSameBinaryContentAs(adapter.resolve(TENSORS));
        assertNothingIsLeft();
    }

    @Test
    void aZipMayHoldTheFolderAndMore() throws Exception {
        Path adapter = saved(1);

        assertThat(running.put(PATH, Uploads.zip(Map.of("task/" + CONFIG, Files.readAllBytes(adapter.resolve(CONFIG)),
                "task/" + TENSORS, Files.readAllBytes(adapter.resolve(TENSORS)), "task/README.md", new byte[10]))).status())
                .isEqualTo(201);

        assertSame(running.outputs("spam", input), Networks.output(base, 1, input));
        assertThat(adapters.resolve("spam")).isDirectoryNotContaining("glob:**README.md");
    }

    /** As Windows PowerShell 5.1 packs a folder. */
    @Test
    void aZipMayHaveBackslashesBetweenFolders() throws Exception {
        Path adapter = saved(1);

        assertThat(running.put(PATH, Uploads.zip(Map.of("task\\" + CONFIG, Files.readAllBytes(adapter.resolve(CONFIG)),
                "task\\" + TENSORS, Files.readAllBytes(adapter.resolve(TENSORS))))).status()).isEqualTo(201);

        assertSame(running.outputs("spam", input), Networks.output(base, 1, input));
    }

    @Test
    void anAdapterWhoseFolderIsGoneIsNotAnsweredAfterItsDeletion() throws Exception {
        running.put(PATH, Running.zip(saved(1)));
        assertSame(running.outputs("spam", input), Networks.output(base, 1, input));
        Folders.deleteAll(adapters.resolve("spam"));

        assertThat(running.delete(PATH).error(404)).contains("spam");

        assertThat(running.post(PATH + "/outputs", "{\"inputs\": " + Running.json(input) + "}").error(404)).contains("spam");
    }

    @Test
    @DisabledOnOs(OS.WINDOWS)
    void whatLinksToAnAdapterChangesWithIt() throws Exception {
        running.put(PATH, Running.zip(saved(1)));
        Files.createSymbolicLink(adapters.resolve("latest"), Path.of("spam"));
        assertSame(running.outputs("latest", input), Networks.output(base, 1, input));

        running.put(PATH, Running.zip(saved(2))).ok();
        assertSame(running.outputs("latest", input), Networks.output(base, 2, input));

        running.put("/v1/adapters/latest", Running.zip(saved(3))).ok();
        assertSame(running.outputs("spam", input), Networks.output(base, 3, input));
        assertSame(running.outputs("latest", input), Networks.output(base, 3, input));

        running.delete(PATH).ok();
        assertThat(running.post("/v1/adapters/latest/outputs", "{\"inputs\": " + Running.json(input) + "}").error(404))
                .contains("latest");
    }

    @Test
    void whoDoesNotKnowTheTokenChangesNothing() throws Exception {
        running.put(PATH, Running.zip(saved(1)));
        byte[] other = Running.zip(saved(2));
        for (String given : List.of("", "Bearer wrong", "Bearer", "Basic " + Running.TOKEN, Running.TOKEN)) {
            HttpRequest.Builder put = running.request(PATH).header("Content-Type", "application/zip")
                    .PUT(HttpRequest.BodyPublishers.ofByteArray(other));
            HttpRequest.Builder delete = running.request(PATH).DELETE();
            if (!given.isEmpty()) {
                put.header("Authorization", given);
                delete.header("Authorization", given);
            }
            Running.Answer refused = running.send(put);
            assertThat(refused.error(401)).contains("Authorization: Bearer TOKEN");
            assertThat(refused.headers()).containsEntry("www-authenticate", "Bearer");
            assertThat(running.send(delete).error(401)).isNotEmpty();
        }
        assertSame(running.outputs("spam", input), Networks.output(base, 1, input));
    }

    @Test
    void aServiceWithoutATokenIsChangedByNobodyAndWritesNothing() throws Exception {
        Path read = Files.createDirectory(folder.resolve("read"));
        Networks.adapter(base, 1).save(read.resolve("spam"));
        try (Running closed = new Running(base, read, config -> Running.config(null))) {
            assertThat(closed.put(PATH, Running.zip(saved(2))).error(403)).contains("without a token");
            assertThat(closed.delete(PATH).error(403)).contains("without a token");
            assertSame(closed.outputs("spam", input), Networks.output(base, 1, input));
        }
        assertThat(read.toFile().list()).containsExactly("spam");
    }

    @Test
    void hostileUploadsAreRefusedAndLeaveWhatWasThere() throws Exception {
        running.put(PATH, Running.zip(saved(1)));
        Path adapter = saved(2);
        byte[] config = Files.readAllBytes(adapter.resolve(CONFIG));
        byte[] tensors = Files.readAllBytes(adapter.resolve(TENSORS));
        byte[] zip = Running.zip(adapter);

        refused("leads out of its folder", 400, Uploads.zip(Map.of("../../" + CONFIG, config, TENSORS, tensors)));
        refused("leads out of its folder", 400, Uploads.zip(Map.of("/" + CONFIG, config, TENSORS, tensors)));
        refused("leads out of its folder", 400, Uploads.zip(Map.of(".." + "\\" + CONFIG, config, TENSORS, tensors)));
        refused("leads out of its folder", 400, Uploads.zip(Map.of("\\" + CONFIG, config, TENSORS, tensors)));
        refused("unpacked", 413, Uploads.bomb());
        refused("damaged", 400, Arrays.copyOf(zip, zip.length / 2));
        refused("damaged", 400, Arrays.copyOf(zip, zip.length - 1));
        refused("checksum", 400, withWrongChecksums(zip));
        refused("damaged, or not a zip", 400, "not a zip at all".getBytes(StandardCharsets.UTF_8));
        refused("damaged, or not a zip", 400, new byte[0]);
        refused("two files", 400, Uploads.zip(Map.of(CONFIG, config, "a/" + TENSORS, tensors, "b/" + TENSORS, tensors)));
        refused(TENSORS, 400, Uploads.zip(Map.of(CONFIG, config)));
        refused(TENSORS, 400, Uploads.zip(Map.of(CONFIG, config, TENSORS, Arrays.copyOf(tensors, tensors.length - 9))));
        refused("header claims", 400, Uploads.zip(Map.of(CONFIG, config, TENSORS, Uploads.header(Long.MAX_VALUE))));
        refused("header claims", 400, Uploads.zip(Map.of(CONFIG, config, TENSORS, Uploads.header(1L << 26))));
        byte[] deep = "[[[[".repeat(9_999).getBytes(StandardCharsets.UTF_8);
        refused(CONFIG, 400, Uploads.zip(Map.of(CONFIG, deep, TENSORS, tensors)));
        refused("NaN", 400, Uploads.zip(Map.of(CONFIG, config, TENSORS, Uploads.withNaN(tensors))));
        Networks.adapter(Networks.dense(99), 2).save(folder.resolve("foreign"));
        refused("base", 400, Running.zip(folder.resolve("foreign")));
        Networks.adapter(Networks.recurrent(1), 2, "lstm").save(folder.resolve("other"));
        refused("lstm", 400, Running.zip(folder.resolve("other")));

        assertSame(running.outputs("spam", input), Networks.output(base, 1, input));
        assertThat(names()).containsExactly("__base__", "spam");
    }

    /** In the list of files at the end, where Java looks. */
    private static byte[] withWrongChecksums(byte[] zip) {
        byte[] wrong = zip.clone();
        for (int i = 0; i < wrong.length - 16; i++) {
            if (wrong[i] == 'P' && wrong[i + 1] == 'K' && wrong[i + 2] == 1 && wrong[i + 3] == 2) {
                wrong[i + 16] ^= 1;
            }
        }
        return wrong;
    }

    private void refused(String reason, int status, byte[] zip) throws Exception {
        assertThat(running.put(PATH, zip).error(status)).contains(reason).doesNotContain(folder.toString(), ".trial", "staged");
        assertNothingIsLeft();
    }

    @Test
    void uploadsThatAreTooLargeOrOfAnotherKindAreRefused() throws Exception {
        assertThat(running.put(PATH, new byte[(4 << 20) + 1]).error(413)).contains("4194305 bytes");
        assertThat(running.send(running.request(PATH).header("Authorization", "Bearer " + Running.TOKEN)
                .header("Content-Type", Uploads.FORM).PUT(HttpRequest.BodyPublishers.ofInputStream(
                        () -> new ByteArrayInputStream(Uploads.form(Map.of(TENSORS, new byte[5 << 20])))))).error(413))
                .contains("bytes");
        assertThat(running.put(PATH, "application/json", new byte[2]).error(415))
                .contains("application/zip", "multipart/form-data");
        assertThat(running.put(PATH, Uploads.FORM, Uploads.form(Map.of("other.bin", new byte[2]))).error(400))
                .contains("other.bin");
        assertThat(running.put(PATH, Uploads.FORM, "no form".getBytes(StandardCharsets.UTF_8)).error(400))
                .contains("The form is damaged");
        assertNothingIsLeft();
    }

    @Test
    void aFormHasAFewParts() throws Exception {
        StringBuilder many = new StringBuilder();
        for (int i = 0; i < 5_000; i++) {
            many.append("--x\r\nContent-Disposition: form-data; name=\"p").append(i).append("\"\r\n\r\nv\r\n");
        }
        assertThat(running.put(PATH, Uploads.FORM, (many + "--x--\r\n").getBytes(StandardCharsets.UTF_8)).error(400))
                .contains("more than 16 parts", CONFIG, TENSORS);
        assertNothingIsLeft();

        Path adapter = saved(1);
        byte[] form = Uploads.form(Map.of(CONFIG, Files.readAllBytes(adapter.resolve(CONFIG)),
                TENSORS, Files.readAllBytes(adapter.resolve(TENSORS))));
        byte[] field = "--x\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nmine\r\n".getBytes(StandardCharsets.UTF_8);
        byte[] both = Arrays.copyOf(field, field.length + form.length);
        System.arraycopy(form, 0, both, field.length, form.length);
        assertThat(running.put(PATH, Uploads.FORM, both).status()).isEqualTo(201);
        assertSame(running.outputs("spam", input), Networks.output(base, 1, input));
    }

    @Test
    void aFormThatIsNoneIsSaidToBeDamaged() throws Exception {
        String part = "--x\r\nContent-Disposition: form-data; filename=" + CONFIG + "\r\n\r\n{}";
        for (String form : List.of("", "--x--\r\n", part, part + "\r\n--x", "--x\r\n\r\nbytes\r\n--x--\r\n",
                "--x\r\n" + "n".repeat(5_000) + ": v\r\n\r\n\r\n--x--\r\n")) {
            assertThat(running.put(PATH, Uploads.FORM, form.getBytes(StandardCharsets.UTF_8)).error(400)).as(form)
                    .contains("The form is damaged: ");
        }
        assertThat(running.put(PATH, "multipart/form-data", part.getBytes(StandardCharsets.UTF_8)).error(400))
                .contains("names no boundary");
        assertThat(running.put(PATH, Uploads.FORM, (part + "\r\n" + part + "\r\n--x--\r\n").getBytes(StandardCharsets.UTF_8))
                .error(400)).contains("two files " + CONFIG);
        assertNothingIsLeft();
    }

    /** Java reads the list of a zip's files as a whole, and keeps as much again beside it. */
    @Test
    void aZipWithALongListOfFilesIsRefusedBeforeItIsRead() throws Exception {
        Map<String, byte[]> files = new LinkedHashMap<>();
        for (int i = 0; i < 300; i++) {
            files.put(i + "n".repeat(8_000), new byte[0]);
        }
        byte[] zip = Uploads.zip(files);
        assertThat(zip).as("it is not too large").hasSizeLessThan(5_000_000);
        assertThat(running.put(PATH, Arrays.copyOfRange(zip, zip.length / 2, zip.length)).error(413))
                .contains("more than 10000 files");
        assertNothingIsLeft();
    }

    /** As where a disk is full, or may not be written any more. */
    @Test
    void whereNothingCanBeWrittenNothingChanges() throws Exception {
        running.put(PATH, Running.zip(saved(1)));
        Path staged = adapters.resolve(".dl4j-lora").resolve("staged");
        Files.delete(staged);

        assertThat(running.put(PATH, Running.zip(saved(2))).error(507)).contains("cannot write", "Nothing was changed")
                .doesNotContain(folder.toString());
        assertSame(running.outputs("spam", input), Networks.output(base, 1, input));

        Files.createDirectory(staged);
        assertThat(running.put(PATH, Running.zip(saved(2))).status()).isEqualTo(200);
        assertSame(running.outputs("spam", input), Networks.output(base, 2, input));
    }

    /** Others may have changed the folder, and a save may have changed it in part. */
    @Test
    void afterAnUploadThatCouldNotBeWrittenTheFolderCounts() throws Exception {
        running.put(PATH, Running.zip(saved(1)));
        assertSame(running.outputs("spam", input), Networks.output(base, 1, input));
        Networks.adapter(base, 2).save(adapters.resolve("spam"));
        assertSame(running.outputs("spam", input), Networks.output(base, 1, input));
        Path noLock = Files.createDirectories(adapters.resolve("spam").resolve(".dl4j-lora.lock").resolve("folder"));

        assertThat(running.put(PATH, Running.zip(saved(3))).error(507)).contains("cannot write", "Nothing was changed")
                .doesNotContain(folder.toString());

        assertSame(running.outputs("spam", input), Networks.output(base, 2, input));
        Files.delete(noLock);
        Files.delete(noLock.getParent());
    }

    @Test
    void whatWasReplacedInPartIsToBeSentAgain() {
        IOException halfDone = new AtomicFile.HalfDone("Cannot write " + adapters, new IOException("No space left"));

        assertThat(AdapterUpload.notPut("spam", halfDone))
                .hasMessageContainingAll("\"spam\"", "replaced in part", "Send it again")
                .hasMessageNotContainingAny("Nothing was changed", adapters.toString());
    }

    /** What happened has happened, and is served; what is left of the old one is cleared away when there is a next time. */
    @Test
    void whereTheOldOneCannotBeClearedAwayTheNewOneIsServed() throws Exception {
        running.put(PATH, Running.zip(saved(1)));
        assertSame(running.outputs("spam", input), Networks.output(base, 1, input));
        Path gone = adapters.resolve(".dl4j-lora").resolve("gone");
        Files.delete(gone);

        assertThat(running.put(PATH, Running.zip(saved(2))).status()).isEqualTo(200);
        assertSame(running.outputs("spam", input), Networks.output(base, 2, input));
        assertThat(running.delete(PATH).error(507)).contains("Nothing was changed").doesNotContain(folder.toString());
        assertSame(running.outputs("spam", input), Networks.output(base, 2, input));

        Files.createDirectory(gone);
        running.delete(PATH).ok();
        // Nor anything that would come back at the next start.
        assertNothingIsLeft();
    }

    /** It was answered with 500, and the adapter served for as long as it was in memory. */
    @Test
    @EnabledOnOs(value = OS.LINUX, disabledReason = "elsewhere a path may have another length")
    void anAdapterWhoseFilesCannotBeClearedAwayIsDeletedAllTheSame(@TempDir Path aside) throws Exception {
        running.put(PATH, Running.zip(saved(1)));
        assertSame(running.outputs("spam", input), Networks.output(base, 1, input));
        try (DeepFolder deep = new DeepFolder(adapters.resolve("spam").resolve("deep"), aside)) {
            running.delete(PATH).ok();
            Path gone = adapters.resolve(".dl4j-lora").resolve("gone");
            deep.isNow(gone.resolve(gone.toFile().list()[0]).resolve("deep"));

            assertThat(running.post(PATH + "/outputs", "{\"inputs\": " + Running.json(input) + "}").error(404)).contains("spam");
            assertThat(names()).containsExactly("__base__");
        }
    }

    /** What failed may have happened in part, so the folder is asked. */
    @Test
    void afterADeletionThatFailedTheFolderCounts() throws Exception {
        running.put(PATH, Running.zip(saved(1)));
        assertSame(running.outputs("spam", input), Networks.output(base, 1, input));
        Networks.adapter(base, 2).save(adapters.resolve("spam"));
        assertSame(running.outputs("spam", input), Networks.output(base, 1, input));
        Files.delete(adapters.resolve(".dl4j-lora").resolve("gone"));

        assertThat(running.delete(PATH).error(507)).contains("Nothing was changed");

        assertSame(running.outputs("spam", input), Networks.output(base, 2, input));
    }

    @Test
    void namesThatAreNoFoldersOrMixesAreRefused() throws Exception {
        byte[] zip = Running.zip(saved(1));
        for (String name : List.of("__base__", "__Base__", ".hidden", "%20a", "a%20", "a%2Bb", "spam:0.5", "x".repeat(201),
                "%E2%82%AC", "-a", "a.tmp", "con", "a%0Ab", "u%CC%88ber")) {
            assertThat(running.put("/v1/adapters/" + name, zip).error(400)).as(name).contains("cannot be called");
            assertThat(running.delete("/v1/adapters/" + name).error(400)).as(name).contains("cannot be called");
        }
        assertThat(running.put("/v1/adapters/..%2Fx", zip).status()).isBetween(400, 404);
        assertThat(adapters.toFile().list((at, name) -> !name.startsWith("."))).isEmpty();
        assertThat(folder.resolve("x")).doesNotExist();
        assertNothingIsLeft();
    }

    @Test
    void aFolderHasOneServiceThatMayChangeIt() throws IOException {
        assertThatIOException().isThrownBy(() -> new Running(base, adapters))
                .withMessageContaining("another service").withMessageContaining(adapters.toString());
        new Running(base, adapters, config -> Running.config(null)).close();
    }

    private List<String> names() throws Exception {
        return StreamSupport.stream(running.get("/v1/models").ok().get("data").spliterator(), false)
                .map(model -> model.get("id").asText()).toList();
    }

    private void assertNothingIsLeft() throws IOException {
        for (String place : List.of("staged", "gone")) {
            try (Stream<Path> left = Files.list(adapters.resolve(".dl4j-lora").resolve(place))) {
                assertThat(left.map(path -> path.getFileName().toString())).as(place).isEmpty();
            }
        }
    }
}
