package io.github.dl4jlora.serve.trial;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIOException;

/** A wrong answer would be seen, and a damaged adapter. */
@Tag("serve")
class VersionsTest {

    @TempDir
    private Path folder;

    @Test
    void anAnswerIsRightForItsOwnVersionAlone() throws IOException {
        Versions versions = new Versions(folder);
        Map<Integer, Double> mix = Map.of(2, 0.7, 5, 0.3);
        float[][] answer = versions.output(mix, 3);

        assertThat(versions.isRight(answer, 3, mix)).isTrue();
        assertThat(versions.isRight(answer, 3, Map.of(2, 0.3, 5, 0.7))).isFalse();
        assertThat(versions.isRight(answer, 3, Map.of(2, 1.0))).isFalse();
        assertThat(versions.isRight(answer, 3, Map.of())).isFalse();
        answer[0][0] += 1e-4f;
        assertThat(versions.isRight(answer, 3, mix)).isFalse();
        answer[0][0] = Float.NaN;
        assertThat(versions.isRight(answer, 3, mix)).isFalse();
    }

    @Test
    void aFolderIsKnownByItsBytes() throws IOException {
        Versions versions = new Versions(folder);
        Path adapter = folder.resolve("some");
        versions.save(7, adapter);
        assertThat(versions.identify(adapter)).isEqualTo(7);

        Path tensors = adapter.resolve(Uploads.TENSORS);
        byte[] bytes = Files.readAllBytes(tensors);
        bytes[bytes.length - 4] ^= 1;
        Files.write(tensors, bytes);
        assertThatIOException().isThrownBy(() -> versions.identify(adapter)).withMessageContaining("not a version that was sent");
    }
}
