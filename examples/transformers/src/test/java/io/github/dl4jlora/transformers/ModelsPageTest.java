package io.github.dl4jlora.transformers;

import io.github.dl4jlora.pages.JavaBlocks;
import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;

class ModelsPageTest {

    @Test
    void javaCompilesAsThePagePrintsIt() throws IOException {
        assertThat(JavaBlocks.mistakes(Map.of("docs/models.md", ModelsPageNames.class))).isEmpty();
    }
}
