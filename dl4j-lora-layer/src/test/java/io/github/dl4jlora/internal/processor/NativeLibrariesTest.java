package io.github.dl4jlora.internal.processor;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

import static org.assertj.core.api.Assertions.assertThat;

class NativeLibrariesTest {

    @TempDir
    private Path folder;

    private boolean areIn(String... paths) throws IOException {
        StringBuilder lines = new StringBuilder("7ffd0000-7ffd1000 r-xp 00000000 00:00 0    [vdso]\n");
        for (String path : paths) {
            lines.append("7f5a0000-7f5a1000 r--p 00000000 08:01 131    ").append(path).append('\n');
        }
        return NativeLibraries.areIn(Files.writeString(folder.resolve("maps"), lines, StandardCharsets.ISO_8859_1));
    }

    @Test
    void foldersNamedInAnyEncodingDoNotHinder() throws Exception {
        // In ISO 8859-1, as written here, the first is no UTF-8.
        assertThat(areIn("/home/Andr\u00e9/libz.so")).isFalse();
        assertThat(areIn("/home/Andr\u00e9/libz.so", "/usr/lib/libgomp.so.1")).isTrue();
    }

    @Test
    void libraryNamesCountAndFoldersDoNot() throws Exception {
        assertThat(areIn("/opt/openblas/libother.so")).isFalse();
        assertThat(areIn("/cache/nd4j/libnd4jcpu.so")).isTrue();
        assertThat(areIn("/cache/libopenblas.so.0")).isTrue();
    }
}
