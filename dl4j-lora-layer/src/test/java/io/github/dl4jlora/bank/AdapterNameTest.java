package io.github.dl4jlora.bank;

import io.github.dl4jlora.adapter.LoRAAdapter;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatNullPointerException;

/** What adapters may be called, and that a mix is what is read of its text. */
class AdapterNameTest {

    private static final String TOO_LONG = "x".repeat(AdapterName.MAX_BYTES + 1);

    @ParameterizedTest
    @ValueSource(strings = {"a", "spam", "0", "1", "0.5", "1e3", "_", "__old", "a b", "v1.2-rc_3", "spam (2)", "user@host",
        "lr=1e-4,r=8", "\u00fcmlaut", "\u65e5\u672c\u8a9e", "\u0939\u093f\u0928\u094d\u0926\u0940", "\ud835\udc9c",
        "console", "com", "com10", "nul_", "tmp", "a.tmp.b"})
    void sensibleNamesAreNames(String name) {
        assertThat(AdapterName.require(name)).isEqualTo(name);
        assertThat(AdapterName.defect(name)).isEmpty();
    }

    @ParameterizedTest
    @CsvSource(ignoreLeadingAndTrailingWhitespace = false, delimiter = '|', value = {
        "spam:2|U+003A|weight in a mix|spam_2", "a + b|U+002B|separates the adapters|a _ b",
        "a/b|U+002F|folders|a_b", "a\\b|U+005C|folders|a_b",
        "..|U+002E|Windows drops|letters", ".git|U+002E|begins with|git",
        "-x|U+002D|begins with|x", " a|space|begins with|a", "a |space|ends with|a", "a.|U+002E|ends with|a",
        "\u0301a|U+0301|begins with|a",
        "a\tb|U+0009|control|a_b", "a\u202eb|U+202E|not allowed|a_b", "a\ud800|U+D800|not allowed|a_",
        "a\u200db|U+200D|not allowed|a_b",
        "a\u00a0b|U+00A0|not allowed|a_b", "u\u0308ber|NFC|names a different folder|\u00fcber",
        "__base__|base|without any|letters",
        "__Base__|base|without any|letters", "a.tmp|.tmp|interrupted|letters", "a.TMP|.tmp|interrupted|letters",
        "con|device|Windows|_con",
        "Aux.x|device|Windows|_Aux.x", "LPT9|device|Windows|_LPT9", "nul .txt|device|Windows|_nul .txt"})
    void othersAreRefusedWithTheCharacterAndAnother(String name, String what, String why, String remedy) {
        assertThatIllegalArgumentException().isThrownBy(() -> AdapterName.require(name))
                .withMessageContainingAll("cannot be called \"" + AdapterName.shown(name) + "\"", what, why, remedy);
        assertThat(AdapterName.defect(name).orElseThrow().chars().noneMatch(Character::isISOControl)).isTrue();
    }

    @Test
    void emptyLongAndNoNames() {
        assertThat(AdapterName.defect("").orElseThrow()).contains("empty", "letters");
        assertThat(AdapterName.defect(TOO_LONG).orElseThrow()).contains("201 bytes", "200");
        assertThat(AdapterName.defect("\u65e5".repeat(67)).orElseThrow()).contains("201 bytes");
        assertThat(AdapterName.defect("\u65e5".repeat(66))).isEmpty();
        assertThat(AdapterName.defect("x".repeat(10_000_000)).orElseThrow()).hasSizeLessThan(500);
        assertThatNullPointerException().isThrownBy(() -> AdapterName.require(null)).withMessageContaining("name of the adapter");
    }

    /** All doors of a bank have the same grammar. */
    @ParameterizedTest
    @ValueSource(strings = {"x:0.5", "a + b", "__BASE__", "", ".a", "a.tmp"})
    void everyDoorOfABankRefusesThem(String name) {
        MultiLayerNetwork base = GatedTanh.network();
        LoRAAdapter adapter = GatedTanh.adapter(base, 1);
        try (AdapterBank bank = new AdapterBank(base, 1)) {
            for (Runnable door : List.<Runnable>of(() -> bank.add(name, adapter), () -> bank.replace(name, adapter),
                    () -> bank.check(name, adapter), () -> bank.remove(name), () -> bank.refresh(name),
                    () -> bank.output(name, GatedTanh.input(1, 1)), () -> AdapterMix.of(name), () -> AdapterMix.of(name, 0.5),
                    () -> AdapterMix.of("a").plus(name, 1), () -> BankRequest.of(name, GatedTanh.input(1, 1)))) {
                assertThatIllegalArgumentException().isThrownBy(door::run)
                        .withMessageContaining("cannot be called \"" + name + "\"");
            }
            assertThat(bank.names()).isEmpty();
        }
        assertThatIllegalArgumentException().isThrownBy(() -> AdapterMix.of("__base__").plus("__base__", 1));
    }

    /** A source of somebody else's, with names that nobody can ask for. */
    @Test
    void aBankListsWhatCanBeAskedFor() {
        AdapterSource source = new AdapterSource() {
            @Override
            public List<String> names() {
                return List.of("a", "x:0.5", "__base__", "a + b", "b");
            }

            @Override
            public Optional<LoRAAdapter> load(String name) throws IOException {
                return Optional.empty();
            }
        };
        try (AdapterBank bank = new AdapterBank(GatedTanh.network(), BankConfig.builder().source(source).build())) {
            assertThat(bank.names()).containsExactly("a", "b");
        }
    }

    @Provide
    static Arbitrary<String> names() {
        return Arbitraries.oneOf(
                Arbitraries.strings().ofMinLength(1).ofMaxLength(30),
                Arbitraries.strings().withChars("ab1e0.-_@=,() xX").ofMinLength(1).ofMaxLength(8),
                Arbitraries.of("1", "0.5", "1e3", "NaN", "Infinity", "0x1p3", "1d", "7f", "1e5", "E", "_"),
                Arbitraries.strings().withCharRange('\u00c0', '\u06ff').ofMinLength(1).ofMaxLength(5))
                .filter(name -> AdapterName.defect(name).isEmpty());
    }

    @Provide
    static Arbitrary<Double> weights() {
        return Arbitraries.oneOf(Arbitraries.doubles(),
                Arbitraries.longs().map(Double::longBitsToDouble).filter(Double::isFinite),
                Arbitraries.of(0.0, -0.0, 1.0, -1.0, Double.MIN_VALUE, Double.MAX_VALUE, 1e7, 1e-3, 1e21));
    }

    @Property(tries = 500, seed = "24")
    void aMixIsWhatIsReadOfItsText(@ForAll("shares") List<Share> shares) {
        AdapterMix mix = AdapterMix.base();
        for (Share share : shares) {
            mix = mix.weights().containsKey(share.name) ? mix : mix.plus(share.name, share.weight);
        }

        assertThat(AdapterMix.parse(mix.toString())).isEqualTo(mix).hasToString(mix.toString());
        assertThat(AdapterMix.parse(mix.toString()).weights().keySet()).containsExactlyElementsOf(mix.weights().keySet());
    }

    /** A name and its weight. */
    private record Share(String name, double weight) {
    }

    @Provide
    static Arbitrary<List<Share>> shares() {
        return names().flatMap(name -> weights().map(weight -> new Share(name, weight))).list().ofMaxSize(4);
    }

    /** Whatever a stranger writes is a mix, which is written as it was read, or is refused with a sentence. */
    @Property(tries = 2000, seed = "24")
    void whateverIsWrittenIsReadOrRefused(@ForAll("texts") String text) {
        AdapterMix mix;
        try {
            mix = AdapterMix.parse(text);
        } catch (IllegalArgumentException e) {
            assertThat(e.getMessage()).isNotBlank();
            assertThat(e.getMessage().chars().noneMatch(Character::isISOControl)).isTrue();
            return;
        }
        assertThat(AdapterMix.parse(mix.toString())).isEqualTo(mix);
        assertThat(mix.weights().keySet()).allMatch(name -> AdapterName.defect(name).isEmpty());
    }

    @Provide
    static Arbitrary<String> texts() {
        return Arbitraries.oneOf(Arbitraries.strings(), Arbitraries.strings().withChars("a1.e+-: _\n").ofMaxLength(12),
                Arbitraries.of("spam", "tone", ":", " + ", "0.5", "1e3", "+", " ", "NaN", "__base__", "\0").list().ofMaxSize(8)
                        .map(parts -> String.join("", parts)));
    }

    /** In a time that grows with the text, not with its square. */
    @Test
    void aMixOfVeryManyIsRead() {
        String text = String.join(" + ", Stream.iterate(0, i -> i + 1).limit(50_000).map(i -> "a" + i + ":0.5").toList());

        assertThat(AdapterMix.parse(text).weights()).hasSize(50_000);
    }

    /** In FLOAT, products with such a weight are infinite, and outputs NaN. */
    @ParameterizedTest
    @ValueSource(doubles = {1e39, -1e39, 1e300, -Double.MAX_VALUE})
    void aWeightThatTheNetworkCannotHoldIsRefused(double weight) {
        MultiLayerNetwork base = GatedTanh.network();
        try (AdapterBank bank = new AdapterBank(base, 1)) {
            bank.add("a", GatedTanh.adapter(base, 1));
            bank.add("b", GatedTanh.adapter(base, 2));

            for (AdapterMix mix : List.of(AdapterMix.of("a", weight), AdapterMix.of("b").plus("a", weight))) {
                assertThatIllegalArgumentException().isThrownBy(() -> bank.output(mix, GatedTanh.input(1, 2)))
                        .withMessageContainingAll("adapter \"a\"", String.valueOf(weight), "FLOAT", "smaller");
            }
            assertThat(bank.output(AdapterMix.of("a", 1e3), GatedTanh.input(1, 2)).isNaN().any()).isFalse();
        }
    }
}
