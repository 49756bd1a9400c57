package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.internal.untrusted.Budget;
import org.junit.jupiter.api.Test;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class ModulePatternsTest {

    private static final List<String> PATTERNS = List.of("fc", "^fc", "enc.fc", "enc\\.fc", "f.", "(enc|dec)", ".*", "^enc\\.fc",
            "c", "a-b", "enc", "[ef].*");

    private final Budget budget = new Budget(1_000_000);

    private static Map<String, Integer> numbered(List<String> patterns) {
        Map<String, Integer> values = new LinkedHashMap<>();
        patterns.forEach(pattern -> values.put(pattern, values.size() + 1));
        return values;
    }

    @Test
    void theFirstThatMatchesCounts() throws AdapterFormatException {
        ModulePatterns<Integer> patterns = new ModulePatterns<>(numbered(List.of("enc\\.fc", "fc", ".*")));

        assertThat(patterns.of("enc.fc", 0, budget)).isEqualTo(1);
        assertThat(patterns.of("dec.fc", 0, budget)).isEqualTo(2);
        assertThat(patterns.of("out", 0, budget)).isEqualTo(3);
        assertThat(new ModulePatterns<>(numbered(List.of("fc"))).of("out", 7, budget)).isEqualTo(7);
    }

    /** A point may be escaped or not: keys that differ mean the same name, whose first one counts, as in PEFT. */
    @Test
    void theFirstOfKeysForOneNameCounts() throws AdapterFormatException {
        for (List<String> keys : List.of(List.of("enc\\.fc", "enc.fc"), List.of("enc.fc", "enc\\.fc"),
                List.of("^enc\\.fc", "^enc.fc"), List.of("^enc.fc", "^enc\\.fc"), List.of("^enc\\.fc", "enc\\.fc"),
                List.of("enc\\.fc", "^enc\\.fc"), List.of("a\\.b\\.c", "a.b\\.c", "a\\.b.c"))) {
            String module = keys.get(0).replaceAll("[\\\\^]", "");
            assertThat(new ModulePatterns<>(numbered(keys)).of(module, 0, budget)).as("%s", keys).isEqualTo(1);
        }
    }

    /** Names are looked up, expressions tried: together they give what trying each in turn would. */
    @Test
    void whatIsFoundIsWhatOneAfterTheOtherFinds() throws AdapterFormatException {
        Random random = new Random(5);
        List<String> words = List.of("enc", "dec", "fc", "f", "c", "a-b", "encXfc");
        for (int i = 0; i < 2_000; i++) {
            List<String> some = random.ints(random.nextInt(5), 0, PATTERNS.size()).distinct().mapToObj(PATTERNS::get).toList();
            StringBuilder module = new StringBuilder(words.get(random.nextInt(words.size())));
            for (int n = random.nextInt(3); n > 0; n--) {
                module.append('.').append(words.get(random.nextInt(words.size())));
            }
            int expected = 0;
            for (int j = some.size() - 1; j >= 0; j--) {
                expected = PythonPattern.ofEnd(some.get(j)).matcher(module).matches() ? j + 1 : expected;
            }

            assertThat(new ModulePatterns<>(numbered(some)).of(module.toString(), 0, budget)).as("%s of %s", some, module)
                    .isEqualTo(expected);
        }
    }

    @Test
    void allModulesOfAFileHaveOneBudget() throws AdapterFormatException {
        ModulePatterns<Integer> patterns = new ModulePatterns<>(numbered(List.of("(.*a){4}b")));
        Budget little = new Budget(100_000);

        assertThatThrownBy(() -> {
            for (int i = 0; i < 1_000; i++) {
                patterns.of("a".repeat(20) + i, 0, little);
            }
        }).isInstanceOf(AdapterFormatException.class).hasMessageContaining("\"(.*a){4}b\" takes too long to match");
    }

    /** Each takes hundreds of bytes: a file of some megabytes of them exhausted the heap. */
    @Test
    void veryManyExpressionsAreRefusedBeforeAllAreCompiled() throws AdapterFormatException {
        List<String> many = IntStream.range(0, 10_000).mapToObj(i -> "(a|b)c" + i).toList();
        Map<String, Integer> longest = Map.of("(" + "a|".repeat(500_000) + "b)", 1);

        assertThatThrownBy(() -> new ModulePatterns<>(numbered(many))).isInstanceOf(AdapterFormatException.class)
                .hasMessageContainingAll("too many or too long", "Name the modules in full");
        assertThatThrownBy(() -> new ModulePatterns<>(longest)).isInstanceOf(AdapterFormatException.class)
                .hasMessageContaining("1000103 characters");
        assertThat(new ModulePatterns<>(numbered(many.subList(0, 9_000))).of("bc8999", 0, budget)).isEqualTo(9_000);
    }

    @Test
    void aManyWordedNameOfManyLettersIsPaidForToo() throws AdapterFormatException {
        ModulePatterns<Integer> patterns = new ModulePatterns<>(numbered(List.of("fc")));
        String module = "a.".repeat(100_000);

        assertThatThrownBy(() -> patterns.of(module, 0, budget)).isInstanceOf(AdapterFormatException.class)
                .hasMessageContaining("takes too long");
    }
}
