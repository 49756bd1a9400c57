package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.exception.AdapterFormatException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.List;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.arguments;

class PythonPatternTest {

    private static final List<String> MODULES = List.of("fc1", "fc2", "enc.fc1", "encXfc1", "fc[", "fc]", "fc&", "ff", "f1",
            "fcc1", "fc{x", "fc", "out", "a.b", "aXb", "layers.2.q", "layers.5.q", "layers.12.v_proj", "é1");

    /** What Python 3.13 says of {@code re.match(rf"(.*\\.)?({pattern})$", module)}. */
    static Stream<Arguments> inPython() {
        return Stream.of(
                arguments("fc1", List.of("fc1", "enc.fc1")),
                arguments("fc.", List.of("fc1", "fc2", "enc.fc1", "fc[", "fc]", "fc&")),
                arguments("enc\\.fc", List.of()),
                arguments("enc.fc", List.of()),
                arguments("^fc1", List.of("fc1")),
                arguments("^enc", List.of()),
                arguments("(fc1|fc2)", List.of("fc1", "fc2", "enc.fc1")),
                arguments("fc[12]", List.of("fc1", "fc2", "enc.fc1")),
                arguments("fc[^12]", List.of("fc[", "fc]", "fc&")),
                arguments("fc[[]", List.of("fc[")),
                arguments("fc[]1]", List.of("fc1", "enc.fc1", "fc]")),
                arguments("fc[a&&1]", List.of("fc1", "enc.fc1", "fc&")),
                arguments("fc[1&&[2]]", List.of()),
                arguments("[[:alpha:]]c1", List.of()),
                arguments("fc\\d", List.of("fc1", "fc2", "enc.fc1")),
                arguments("fc\\d+$", List.of("fc1", "fc2", "enc.fc1")),
                arguments(".*fc1", List.of("fc1", "enc.fc1", "encXfc1")),
                arguments("(?:enc|dec)\\.fc1", List.of("enc.fc1")),
                arguments("(?P<l>f)c1", List.of("fc1", "enc.fc1")),
                arguments("(?P<l>f)(?P=l)", List.of("ff")),
                arguments("(f)c\\1", List.of()),
                arguments("(f)\\3", List.of("ff")),
                arguments("()()()()()()(f)\\9", List.of("ff")),
                arguments("fc{,2}?1", List.of("fc1", "enc.fc1", "f1", "fcc1")),
                arguments("fc1\\n", List.of()),
                arguments("fc1|{", List.of("fc1", "enc.fc1")),
                arguments("fc{,2}1", List.of("fc1", "enc.fc1", "f1", "fcc1")),
                arguments("f{1}c1", List.of("fc1", "enc.fc1")),
                arguments("fc{x", List.of("fc{x")),
                arguments("fc1?", List.of("fc1", "enc.fc1", "fc")),
                arguments("fc1??", List.of("fc1", "enc.fc1", "fc")),
                arguments("(?!fc2)fc\\d", List.of("fc1", "enc.fc1")),
                arguments("(?<=f)c1", List.of()),
                arguments("fc(?=1)1", List.of("fc1", "enc.fc1")),
                arguments("fc1\\Z", List.of("fc1", "enc.fc1")),
                arguments("\\Afc1", List.of("fc1")),
                arguments("[\\w]+1", List.of("fc1", "enc.fc1", "encXfc1", "f1", "fcc1", "é1")),
                arguments("fc1|out", List.of("fc1", "enc.fc1", "out")),
                arguments("a.b", List.of("a.b", "aXb")),
                arguments("layers\\.[0-3]\\.q", List.of("layers.2.q")),
                arguments("layers\\.\\d+\\.(q|v)_proj", List.of("layers.12.v_proj")),
                arguments("fc1\\\\", List.of()),
                arguments("fc1}?", List.of("fc1", "enc.fc1")),
                arguments("[\\d.]+", List.of()),
                arguments("f[a-d\\-]1?", List.of("fc1", "enc.fc1", "fc")));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("inPython")
    void meansWhatItMeansInPython(String python, List<String> modules) throws AdapterFormatException {
        var pattern = PythonPattern.ofEnd(python);

        assertThat(MODULES.stream().filter(module -> pattern.matcher(module).matches()).toList()).isEqualTo(modules);
    }

    /** Some are regular expressions in Java alone, some in Python alone, some in both with two meanings, some in neither. */
    @ParameterizedTest
    @ValueSource(strings = {"fc++1", "(?>fc)1", "\\Qfc1\\E", "\\p{L}c1", "(?i)FC1", "(?#x)fc1", "(?<l>f)c1", "[a-", "(", "*",
            "fc1\\z", "\\hfc", "fc1(?(1)a|b)", "f\\x63", "f\\143", "fc1\\", "(?P>l)", "(?P<1>f)", "fc[\\b]",
            "fc[", "(?", "a**", "\\k<l>", "fc1\\G", "[b-a]", "fc1)", "f\\u0063", "fc{,2}+1", "fc{2}+1", "fc\\\u0080"})
    void whatWouldMeanSomethingElseIsRefused(String python) {
        assertThatThrownBy(() -> PythonPattern.ofEnd(python)).isInstanceOf(AdapterFormatException.class)
                .hasMessageContainingAll("adapter_config.json", python);
    }

    @Test
    void whatIsRefusedIsNamed() {
        assertThatThrownBy(() -> PythonPattern.ofEnd("fc++1")).hasMessageContaining("has the repetition ++,");
        assertThatThrownBy(() -> PythonPattern.ofEnd("fc{,2}*")).hasMessageContaining("has the repetition }*,");
    }
}
