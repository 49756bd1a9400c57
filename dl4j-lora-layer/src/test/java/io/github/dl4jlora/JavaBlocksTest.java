package io.github.dl4jlora;

import io.github.dl4jlora.pages.CodeBlock;
import io.github.dl4jlora.pages.JavaBlocks;
import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

import static org.assertj.core.api.Assertions.assertThat;

/** The Java of the guide compiles as it is printed; {@code GuideTest} runs it. README's program has {@link ReadmeTest}. */
class JavaBlocksTest {

    /** What they name is not in the library's class path: their modules compile them. */
    static final Set<String> OF_OTHER_MODULES = Set.of("docs/guide/elsewhere.md", "docs/guide/see.md",
            "docs/guide/service.md");

    @Test
    void everyBlockOfTheGuideCompilesWithTheImportsOfItsPage() throws IOException {
        Map<String, Class<?>> pages = new TreeMap<>();
        CodeBlock.all().stream().filter(block -> block.language().equals(CodeBlock.JAVA)).map(CodeBlock::page)
                .filter(page -> page.startsWith("docs/guide/") && !OF_OTHER_MODULES.contains(page))
                .forEach(page -> pages.put(page, GuideNames.class));

        assertThat(JavaBlocks.mistakes(pages)).isEmpty();
        assertThat(pages).hasSizeGreaterThan(15);
    }
}
