package io.github.dl4jlora.serve.trial;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

/** A disk that is full is no fault of who sends an adapter. */
@Tag("serve")
@Timeout(value = 15, unit = TimeUnit.MINUTES)
class FullDiskTest {

    /** So large that Jetty keeps it in a file. */
    private static final int LARGE = 2 << 20;

    @TempDir
    private Path folder;

    @Test
    void uploadsOfEitherFormAreRefusedWith507UntilThereIsRoom() throws Exception {
        Versions versions = new Versions(folder);
        versions.saveBase(folder.resolve("base.zip"));
        Path adapters = Files.createDirectory(folder.resolve("adapters"));
        try (Disk disk = Disk.at(adapters, 16 << 20)) {
            assumeTrue(disk.isOwn(), "mounting a small disk needs root on Linux");
            try (ServedProcess served = ServedProcess.start(List.of("-Xmx256m"), ServedProcess.TOKEN, folder.resolve("base.zip"),
                    adapters); Connection client = new Connection(served.address())) {
                byte[] zip = put(Uploads.ZIP, Uploads.zip(versions.files(1)));
                byte[] form = put(Uploads.FORM, Uploads.form(Map.of(Uploads.CONFIG, versions.files(1).get(Uploads.CONFIG),
                        Uploads.TENSORS, new byte[LARGE])));
                try (Disk.Full full = disk.new Full()) {
                    assertFull(client.ask(zip));
                    assertFull(client.ask(form));
                }
                assertThat(client.ask(form).status()).isEqualTo(400);
                assertThat(client.ask(zip).status()).isEqualTo(201);
                served.kill();
            }
            assertThat(versions.identify(adapters.resolve("spam"))).isEqualTo(1);
        }
    }

    private static byte[] put(String type, byte[] body) {
        return Connection.request("PUT", "/v1/adapters/spam", type, body, "Authorization: Bearer " + ServedProcess.TOKEN);
    }

    private static void assertFull(Connection.Answer answer) throws IOException {
        assertThat(answer.status()).as(answer.text()).isEqualTo(507);
        assertThat(answer.text()).contains("No space left", "Nothing was changed");
    }
}
