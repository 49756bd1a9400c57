package io.github.dl4jlora.internal.base;

import io.github.dl4jlora.Networks;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.URI;
import java.util.concurrent.atomic.AtomicInteger;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** What is taken of another machine: as many bytes as it may send, and not one more. */
class BaseFileTest {

    private static final URI LOCATION = URI.create("memory:/limited");

    @AfterEach
    void forget() {
        System.clearProperty(BaseFile.LIMIT);
    }

    private static int layers() throws IOException {
        AtomicInteger layers = new AtomicInteger();
        BaseFile.forEach(LOCATION, (layer, values) -> layers.incrementAndGet(), claimed -> {
            throw new IOException("no file of that kind");
        });
        return layers.get();
    }

    @Test
    void aFileMayHaveExactlyTheBytesOfTheLimit() throws IOException {
        ByteArrayOutputStream file = new ByteArrayOutputStream();
        ModelSerializer.writeModel(Networks.trainedLayers(), file, false);
        MemoryBases.put(LOCATION, file.toByteArray());

        System.setProperty(BaseFile.LIMIT, String.valueOf(file.size()));
        assertThat(layers()).isEqualTo(3);

        System.setProperty(BaseFile.LIMIT, String.valueOf(file.size() - 1));
        assertThatThrownBy(BaseFileTest::layers).isInstanceOf(IOException.class)
                .hasMessageContainingAll("longer than " + (file.size() - 1) + " bytes", BaseFile.LIMIT);
        System.setProperty(BaseFile.LIMIT, "1");
        assertThatThrownBy(BaseFileTest::layers).hasMessageContaining("longer than 1 bytes");
        System.setProperty(BaseFile.LIMIT, "0");
        assertThatThrownBy(BaseFileTest::layers).hasMessageContaining("must be a number above 0");
    }
}
