package io.github.dl4jlora.evidence.minilm;

import io.github.dl4jlora.evidence.Claim;
import io.github.dl4jlora.evidence.EvidenceException;
import io.github.dl4jlora.evidence.EvidenceSource;
import io.github.dl4jlora.evidence.Task;
import io.github.dl4jlora.evidence.minilm.Glosses.Example;
import io.github.dl4jlora.models.retrieval.WordNet.Gloss;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.dataset.DataSet;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.ServiceLoader;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

@Tag("minilm")
class GlossesTest {

    private static final int NOUN = 5;
    private static final int VERB = 29;
    private static final String NUMBERS = "zero one two three four five six seven eight nine";

    private final List<String> left = new ArrayList<>();

    /** "the thing three four five" and 999 others. */
    private static String definition(int i) {
        String[] words = NUMBERS.split(" ");
        return "the thing " + words[i / 100 % 10] + " " + words[i / 10 % 10] + " " + words[i % 10] + (i < 1000 ? "" : " x"
                + words[i / 1000]);
    }

    private static List<Gloss> definitions(int number) {
        return IntStream.range(0, number).mapToObj(i -> new Gloss(definition(i), NOUN, i % 3 == 0)).toList();
    }

    private static Glosses of(String definition, int file) {
        return Glosses.of(List.of(new Gloss(definition, file, false)));
    }

    /** As it was before it was turned. */
    private static String upright(String text) {
        return text.replaceFirst("^(.*) (the thing .*)$", "$2 $1");
    }

    @Test
    void halfAreTurnedAndBeginInTheirMidst() {
        List<Example> train = Glosses.of(definitions(600)).train(100, 1);

        assertThat(train).hasSize(100).filteredOn(Example::isTurned).hasSize(50)
                .noneMatch(example -> example.text().startsWith("the thing"))
                .allMatch(example -> definitions(600).stream().anyMatch(gloss ->
                        (gloss.definition() + " " + gloss.definition()).contains(example.text())));
        assertThat(train).filteredOn(example -> !example.isTurned()).allMatch(example -> example.text().startsWith("the thing"));
    }

    @Test
    void noDefinitionIsOnBothSides() {
        List<Gloss> glosses = new ArrayList<>(definitions(300));
        // A word of the other side is defined alike.
        definitions(300).forEach(gloss -> glosses.add(new Gloss(gloss.definition(), NOUN, true)));

        assertThat(Glosses.of(glosses).train(300, 1)).isEmpty();
        Glosses apart = Glosses.of(definitions(300));
        assertThat(apart.train(300, 1).stream().map(example -> upright(example.text())))
                .isNotEmpty().doesNotContainAnyElementsOf(apart.test(300).stream().map(example ->
                        upright(example.text())).toList());
    }

    @Test
    void seedsDrawWhatIsLearnedFromAndNotWhatIsTested() {
        Glosses glosses = Glosses.of(definitions(900));

        assertThat(glosses.train(60, 1)).isEqualTo(Glosses.of(definitions(900)).train(60, 1)).isNotEqualTo(glosses.train(60, 2));
        assertThat(glosses.test(60)).isEqualTo(Glosses.of(definitions(900)).test(60));
    }

    @Test
    void whatWouldTellByItsPunctuationOrIsNoShortDefinitionOfANounIsLeftOut() {
        assertThat(of("a thing that is there", NOUN).train(2, 1)).hasSize(1);
        for (String definition : List.of("", " ", "too short a one", "one two three four five six seven eight nine ten",
                "a thing (that) is there", "a thing, that is there", "a thing that is 3", "ein Ding das f\u00fcr ist")) {
            assertThat(of(definition, NOUN).train(2, 1)).as(definition).isEmpty();
        }
        assertThat(of("do a thing that is there", VERB).train(2, 1)).isEmpty();
        assertThat(of("a a a a a", NOUN).train(2, 1)).allMatch(example -> !example.isTurned());
    }

    @Test
    void theTaskHasAsManyOfEitherClassInBatchesOfOneLength(@TempDir Path folder) throws Exception {
        Task.Start start = new TurnedGlosses(fill(folder, 9000)).start(1);

        assertThat(start.batches()).hasSize(96).allSatisfy(batch -> {
            assertThat(batch.getFeatures().size(0)).isEqualTo(16);
            assertThat(batch.getLabels().shape()).containsExactly(16, 2);
        });
        assertThat(start.batches().stream().map(DataSet::getLabels).mapToDouble(labels -> labels.getColumn(1).sumNumber()
                .doubleValue()).sum()).isEqualTo(768);
        assertThat(start.kept(start.base())).isNaN();
    }

    @Test
    void theCommandFindsItsClaimsWhereTheDataIs(@TempDir Path data) throws Exception {
        EvidenceSource source = ServiceLoader.load(EvidenceSource.class).findFirst().orElseThrow();

        assertThat(source.claims(data, left::add)).isEmpty();
        assertThat(left).singleElement().asString().contains("WordNet is not in " + data, "fetch-evidence.sh");
        Path folder = Files.createDirectories(data.resolve("texts/wordnet"));
        assertThatThrownBy(() -> source.claims(data, left::add)).isInstanceOf(EvidenceException.class)
                .hasMessageContaining("data.noun");
        fill(folder, 30);
        assertThatThrownBy(() -> source.claims(data, left::add)).isInstanceOf(EvidenceException.class)
                .hasMessageContainingAll(folder.toString(), "fewer than 1536 and 600", "fetch-evidence.sh");
        fill(folder, 9000);
        assertThat(source.claims(data, left::add)).extracting(Claim::id).contains("layers-minilm").doesNotHaveDuplicates();
        assertThat(source.claims(data, left::add)).extracting(Claim::profiles).containsOnly("-Pminilm ");
        assertThat(left).hasSize(1);
    }

    private static Path fill(Path folder, int number) throws Exception {
        StringBuilder nouns = new StringBuilder("  1 a licence\n");
        for (int i = 0; i < number; i++) {
            nouns.append(String.format(Locale.ROOT, "%08d %02d n 01 word%d 0 000 | %s; \"an example\"%n", i, NOUN, i,
                    definition(i)));
        }
        Files.writeString(folder.resolve("data.noun"), nouns);
        for (String other : List.of("data.verb", "data.adj", "data.adv")) {
            Files.writeString(folder.resolve(other), "00000001 29 v 01 run 0 000 01 + 02 00 | move fast\n");
        }
        return folder;
    }
}
