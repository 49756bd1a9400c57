package io.github.dl4jlora.internal.stored;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** DL4J writes and reads configurations in the encoding of the machine. */
class StoredConfigurationTest {

    private static final String JSON = "{\"layerName\": \"gr\u00f6\u00dfe\"}";

    private static String read(Charset written, Charset machines) throws IOException {
        return new String(StoredConfiguration.inUtf8(JSON.getBytes(written), machines), StandardCharsets.UTF_8);
    }

    @Test
    void utf8IsReadEverywhere() throws IOException {
        assertThat(read(StandardCharsets.UTF_8, StandardCharsets.UTF_8)).isEqualTo(JSON);
        assertThat(read(StandardCharsets.UTF_8, StandardCharsets.ISO_8859_1)).isEqualTo(JSON);
    }

    @Test
    void whatIsNoUtf8IsInTheEncodingOfTheMachine() throws IOException {
        assertThat(read(StandardCharsets.ISO_8859_1, StandardCharsets.ISO_8859_1)).isEqualTo(JSON);
        assertThatThrownBy(() -> read(StandardCharsets.ISO_8859_1, StandardCharsets.UTF_8)).isInstanceOf(IOException.class)
                .hasMessageContaining("not in UTF-8");
    }
}
