package io.github.dl4jlora.models.encoder;

import io.github.dl4jlora.pages.JavaBlocks;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;

@Tag("minilm")
class MiniLmPageTest {

    @Test
    void javaCompilesAsThePagePrintsIt() throws IOException {
        assertThat(JavaBlocks.mistakes(Map.of("docs/minilm.md", Object.class, "docs/encoders.md", Object.class))).isEmpty();
    }
}
