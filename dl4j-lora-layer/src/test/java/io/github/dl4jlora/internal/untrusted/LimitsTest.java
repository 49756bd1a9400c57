package io.github.dl4jlora.internal.untrusted;

import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.internal.stored.StoredConfiguration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.shade.jackson.core.JsonToken;

import java.io.IOException;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.ZipEntry;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Steps, bytes and JSON of a file are bounded: what is exactly at a bound is accepted, one more is refused. */
class LimitsTest {

    @TempDir
    private Path folder;

    @Test
    void aBudgetIsSpentToItsLastStep() throws AdapterFormatException {
        Budget budget = new Budget(10);

        budget.spend(4, "This");
        budget.spend(6, "This");

        assertThatThrownBy(() -> budget.spend(1, "This")).isInstanceOf(AdapterFormatException.class)
                .hasMessageStartingWith("This takes too long");
    }

    @Test
    void everyLetterThatIsReadOfAMeteredTextCostsAStep() {
        CharSequence text = new Budget(3).metered("abcdef");

        assertThat(text).hasToString("abcdef").hasSize(6);
        assertThat(text.charAt(5)).isEqualTo('f');
        CharSequence part = text.subSequence(1, 3);
        assertThat(part.length()).isEqualTo(2);
        assertThat(part).hasToString("bc");
        assertThat(part.charAt(0)).isEqualTo('b');
        assertThat(text.charAt(0)).isEqualTo('a');
        assertThatThrownBy(() -> part.charAt(1)).isInstanceOf(Budget.Spent.class);
    }

    @Test
    void aZipMayHoldAHundredTimesItsBytesAndAsMuchAsIsSmall() throws IOException {
        Path file = Files.write(folder.resolve("a.zip"), new byte[1000]);
        ZipEntry small = new ZipEntry("small");
        small.setCompressedSize(10);
        ZipEntry lying = new ZipEntry("lying");
        lying.setCompressedSize(1L << 40);

        assertThat(Expansion.most(file.toFile())).isEqualTo((64 << 20) + 100_000);
        assertThat(Expansion.most(small, file.toFile())).isEqualTo((64 << 20) + 1_000);
        assertThat(Expansion.most(lying, file.toFile())).as("no more than the file").isEqualTo((64 << 20) + 100_000);
    }

    @Test
    void jsonMayBeAsLongAndAsDeepAsTheCallerSays() throws IOException {
        Path file = Files.writeString(folder.resolve("a.json"), "{\"a\":[1]}");

        assertThat(UntrustedJson.read(file, 9, 2).path("a").path(0).asInt()).isEqualTo(1);
        assertThatThrownBy(() -> UntrustedJson.read(file, 8, 2)).isInstanceOf(IOException.class)
                .hasMessageContainingAll("a.json", "longer than 8 bytes");
        assertThatThrownBy(() -> UntrustedJson.read(file, 9, 1)).isInstanceOf(IOException.class)
                .hasMessageContainingAll("a.json", "nested more than 1 levels deep");
    }

    @Test
    void brothersInJsonAreNoDeeperThanOneOfThem() throws IOException {
        UntrustedJson.refuseExcess("[[],{},[],{\"a\":{}}]".getBytes(StandardCharsets.UTF_8), 3);
    }

    /** As objects they take thirty times their bytes. */
    @Test
    void jsonHasTwoMillionTokensAtMost() throws IOException {
        String most = "{},".repeat(999_998) + "{}]";
        UntrustedJson.refuseExcess(("[" + most).getBytes(StandardCharsets.UTF_8), 2);

        assertThatThrownBy(() -> UntrustedJson.refuseExcess(("[1," + most).getBytes(StandardCharsets.UTF_8), 2))
                .isInstanceOf(IOException.class).hasMessageContaining("more than 2000000 names, values and brackets");
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "1."})
    void aNumberMayHaveFourHundredDigits(String begin) throws IOException {
        String longest = begin + "7".repeat(400 - begin.length());
        UntrustedJson.refuseExcess(longest.getBytes(StandardCharsets.UTF_8), 1);

        assertThatThrownBy(() -> UntrustedJson.refuseExcess((longest + "7").getBytes(StandardCharsets.UTF_8), 1))
                .isInstanceOf(IOException.class).hasMessageContaining("a number of 401 digits");
        UntrustedJson.refuseExcess(("\"" + longest + "7\"").getBytes(StandardCharsets.UTF_8), 1);
    }

    @Test
    void whatIsSearchedMayBeSkippedButIsNoDeeperOrLongerForIt() throws IOException {
        Path file = Files.writeString(folder.resolve("a.json"), "{\"a\":[[1],{\"b\":2}],\"c\":3}");
        UntrustedJson.Search<Integer> third = parser -> {
            parser.nextToken();
            parser.nextToken();
            parser.nextToken();
            parser.skipChildren();
            assertThat(parser.currentToken()).isEqualTo(JsonToken.END_ARRAY);
            parser.skipChildren();
            return parser.nextToken() == JsonToken.FIELD_NAME && parser.nextToken().isNumeric() ? parser.getIntValue() : -1;
        };

        assertThat(UntrustedJson.search(file, 25, 3, third)).isEqualTo(3);
        assertThatThrownBy(() -> UntrustedJson.search(file, 24, 3, third)).isInstanceOf(IOException.class)
                .hasMessageContainingAll("a.json", "longer than 24 bytes");
        assertThatThrownBy(() -> UntrustedJson.search(file, 25, 2, third)).isInstanceOf(IOException.class)
                .hasMessageContainingAll("a.json", "nested more than 2 levels deep");
        Files.writeString(file, "{\"a\":[" + "7".repeat(401) + "]}");
        assertThatThrownBy(() -> UntrustedJson.search(file, 1000, 3, third)).isInstanceOf(IOException.class)
                .hasMessageContainingAll("a.json", "a number of 401 digits");
        assertThatThrownBy(() -> UntrustedJson.search(folder, 1000, 3, third)).isInstanceOf(IOException.class)
                .hasMessageContaining("is not a regular file");
    }

    @Test
    void whatIsSearchedIsUtf8WithOrWithoutAMarkAndIsNotGuessed() throws IOException {
        UntrustedJson.Search<String> text = parser -> {
            parser.nextToken();
            return parser.getText();
        };
        Path file = Files.writeString(folder.resolve("a.json"), "\ufeff\"café\"");

        assertThat(UntrustedJson.search(file, 100, 1, text)).isEqualTo("café");
        assertThat(UntrustedJson.search(Files.writeString(file, "\"café\""), 100, 1, text)).isEqualTo("café");
        for (Charset other : List.of(StandardCharsets.ISO_8859_1, StandardCharsets.UTF_16)) {
            Files.writeString(file, "\"café\"", other);
            assertThatThrownBy(() -> UntrustedJson.search(file, 100, 1, text)).as("%s", other).isInstanceOf(IOException.class)
                    .hasMessageContainingAll("a.json", "it is not UTF-8");
        }
    }

    @Test
    void aConfigurationMayBeAsLongAsItIsReadAndNoLonger() throws IOException {
        byte[] text = " ".repeat(StoredConfiguration.LONGEST).getBytes(StandardCharsets.UTF_8);
        text[0] = '[';
        text[text.length - 1] = ']';
        byte[] longer = (" " + new String(text, StandardCharsets.UTF_8)).getBytes(StandardCharsets.UTF_8);

        assertThat(StoredConfiguration.checked(text, id -> { })).hasSize(text.length);
        assertThatThrownBy(() -> StoredConfiguration.checked(longer, id -> { })).isInstanceOf(IOException.class)
                .hasMessageContaining("longer than 16777216 bytes");
    }

    @Test
    void anArrayInAConfigurationHasNoMoreNumbersThanTheConfigurationHasBytes() throws IOException {
        String one = "{\"numElements\":20}  ";
        assertThat(StoredConfiguration.checked(one.getBytes(StandardCharsets.UTF_8), id -> { })).isEqualTo(one);

        byte[] more = "{\"numElements\":21}  ".getBytes(StandardCharsets.UTF_8);
        assertThatThrownBy(() -> StoredConfiguration.checked(more, id -> { }))
                .isInstanceOf(IOException.class).hasMessageContaining("declares an array of 21 numbers");
        StoredConfiguration.checked("{\"otherNumber\":9999}".getBytes(StandardCharsets.UTF_8), id -> { });
    }

    @Test
    void onlyTheIdOfFrozenWeightsIsAReferenceToThem() throws IOException {
        List<String> ids = new ArrayList<>();

        StoredConfiguration.checked("{\"id\":\"no\",\"frozen\":{\"id\":\"yes\",\"name\":\"no\"},\"other\":{\"id\":\"no\"}}"
                .getBytes(StandardCharsets.UTF_8), ids::add);

        assertThat(ids).containsExactly("yes");
    }
}
