package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.pages.ShellCommand;
import org.junit.jupiter.api.Test;

import java.io.IOException;

import static org.assertj.core.api.Assertions.assertThat;

class CompareTest {

    @Test
    void everyOptionOnThePagesIsAccepted() throws IOException {
        assertThat(ShellCommand.argumentsOf("compare")).isNotEmpty()
                .allSatisfy(words -> Compare.commandLine().parseArgs(words.toArray(String[]::new)));
    }
}
