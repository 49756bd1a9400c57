package io.github.dl4jlora.console;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class RequireTest {

    private final CommandSpec command = new CommandLine(CommandSpec.create()).getCommandSpec();

    @Test
    void numbersBelowOneAreRefused() {
        assertThatThrownBy(() -> Require.atLeastOne(command, "--rank", 0)).isInstanceOf(ParameterException.class)
                .hasMessage("--rank is 0, but must be at least 1");
        assertThatCode(() -> Require.atLeastOne(command, "--rank", 1)).doesNotThrowAnyException();
    }

    @ParameterizedTest
    @ValueSource(doubles = {0, -1, Double.NaN, Double.POSITIVE_INFINITY})
    void whatNothingCanBeTrainedWithIsRefused(double rate) {
        assertThatThrownBy(() -> Require.aboveZero(command, "--learning-rate", rate)).isInstanceOf(ParameterException.class)
                .hasMessage("--learning-rate is " + rate + ", but must be a finite number above 0");
    }

    @Test
    void aFileIsNoFolder(@TempDir Path folder) throws IOException {
        Path file = Files.createFile(folder.resolve("file"));

        assertThatThrownBy(() -> Require.folder(command, "--output", file)).isInstanceOf(ParameterException.class)
                .hasMessage("--output " + file + " exists, but is not a folder");
        assertThatCode(() -> Require.folder(command, "--output", folder)).doesNotThrowAnyException();
        assertThatCode(() -> Require.folder(command, "--output", folder.resolve("absent"))).doesNotThrowAnyException();
    }

    @Test
    void whatIsNotGivenDoes() {
        assertThatCode(() -> {
            Require.atLeastOne(command, "--rank", null);
            Require.aboveZero(command, "--learning-rate", null);
            Require.folder(command, "--output", null);
        }).doesNotThrowAnyException();
    }
}
