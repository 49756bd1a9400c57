package io.github.dl4jlora.models.retrieval;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

@Tag("minilm")
class TasksTest {

    private static Set<String> texts(List<Sample> samples) {
        return samples.stream().flatMap(sample -> Stream.of(sample.query(), sample.document())).collect(Collectors.toSet());
    }

    private static List<Sample> both(Samples samples) {
        return Stream.concat(samples.train().stream(), samples.test().stream()).toList();
    }

    @ParameterizedTest
    @EnumSource
    void nothingThatIsTestedOnIsLearnedFrom(Task task, @TempDir Path folder) throws Exception {
        Samples samples = task.load(TextFolder.fill(folder));

        Set<String> shared = texts(samples.train());
        shared.retainAll(texts(samples.test()));
        assertThat(shared).isEmpty();
        Set<String> groups = samples.train().stream().map(Sample::group).collect(Collectors.toCollection(HashSet::new));
        assertThat(samples.test()).isNotEmpty().noneMatch(sample -> groups.contains(sample.group()));
        assertThat(task.load(folder)).isEqualTo(samples);
        Samples few = samples.limited(2, 1);
        assertThat(samples.train()).containsAll(few.train()).hasSizeGreaterThan(2);
        assertThat(few.train()).hasSize(2);
        assertThat(few.test()).hasSize(1);
    }

    @Test
    void whatIsTestedInOneTaskOfWordNetIsLearnedInNone(@TempDir Path folder) throws Exception {
        Samples words = Task.WORDS.load(TextFolder.fill(folder));
        Samples kinds = Task.KINDS.load(folder);
        Set<String> tested = words.test().stream().map(sample -> sample.document() + ": " + sample.query())
                .collect(Collectors.toSet());

        assertThat(texts(kinds.train())).doesNotContainAnyElementsOf(tested);
        assertThat(tested).containsAll(texts(kinds.test()));
    }

    @Test
    void whatTwoSourcesSayAlikeIsNotLearnedIfItIsTested() {
        Sample apart = new Sample("a query", "a document", "1");
        List<Sample> test = List.of(new Sample("said twice", "an answer", "2"), new Sample("a question", "found twice", "3"));
        Samples samples = new Samples(List.of(apart, new Sample("said twice", "another answer", "4"),
                new Sample("found twice", "a third", "5")), test);

        assertThat(samples.limited(3, 2).train()).containsExactly(apart);
        assertThat(samples.limited(3, 2).test()).containsExactlyInAnyOrderElementsOf(test);
        assertThat(samples.limited(3, 1).train()).hasSize(2).contains(apart);
    }

    @Test
    void synsetsAreReadWithoutMarksAndExamples(@TempDir Path folder) throws Exception {
        assertThat(both(Task.WORDS.load(TextFolder.fill(folder)))).hasSize(1 + 2 * 16 + 3).contains(
                new Sample("a definition of dog", "dog, good dog", "dog, good dog"),
                new Sample("come to an end", "run out", "run out"),
                new Sample("having the means", "able", "able"));
        assertThat(both(Task.KINDS.load(folder))).contains(
                new Sample("dog: some dog in green", "dog, good dog: a definition of dog", "dog, good dog: a definition of dog"));
    }

    @Test
    void passagesAreWholeSentencesInNoMoreThanOnePair(@TempDir Path folder) throws Exception {
        assertThat(passages("One two. " + "word ".repeat(23) + "end. Next \"" + "word ".repeat(24) + "quoted.\" Left over."))
                .containsExactly("One two. " + "word ".repeat(23) + "end.", "Next \"" + "word ".repeat(24) + "quoted.\"");
        assertThat(passages(" ")).isEmpty();

        List<Sample> samples = both(Task.UNION.load(TextFolder.fill(folder)));
        assertThat(texts(samples)).hasSize(2 * samples.size()).hasSizeGreaterThan(8 * TextFolder.PRESIDENTS.size());
        assertThat(samples).anySatisfy(sample -> {
            assertThat(sample.query()).startsWith("In sentence 0 ");
            assertThat(sample.document()).startsWith("In sentence 2 ");
        });
    }

    private static List<String> passages(String text) {
        return new Addresses.Address("somebody", text).passages(25);
    }

    @ParameterizedTest
    @EnumSource
    void missingTextsAreNamedWithTheCure(Task task, @TempDir Path folder) throws Exception {
        assertThatThrownBy(() -> task.load(folder.resolve("none"))).isInstanceOf(IOException.class)
                .hasMessageContainingAll(folder.resolve("none").toString(), "There is no ", "fetch-texts.sh", "--texts");
        Files.createDirectories(folder.resolve("wordnet/data.noun"));
        Files.writeString(folder.resolve("sotu"), "no folder");
        assertThatThrownBy(() -> task.load(folder)).isInstanceOf(IOException.class)
                .hasMessageContainingAll("There is no ", "fetch-texts.sh");
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "nonsense", "00000001 03 n", "00000001 03 n xx dog 0 000 | a dog",
            "00000001 03 n 02 dog 0 000 | a dog", "00000001 03 n 00 000 | nothing",
            "00000001 03 n 01 dog 0 003 @ 1 | a dog", "00000001 xx n 01 dog 0 000 | a dog",
            "00000001 03 n 01 dog 0 000 a dog"})
    void aBrokenLineOfWordNetIsNamed(String line, @TempDir Path folder) throws Exception {
        Files.writeString(TextFolder.fill(folder).resolve("wordnet/data.verb"),
                "00000001 29 v 01 run 4 000 01 + 02 00 | move fast\n" + line + "\n");

        assertThatThrownBy(() -> Task.WORDS.load(folder)).isInstanceOf(IOException.class)
                .hasMessageContainingAll("Line 2 of ", "data.verb", "no synset", line, "fetch-texts.sh");
    }

    @Test
    void addressesOfOnePresidentOrNoneAreTooFew(@TempDir Path folder) throws Exception {
        Path sotu = Files.createDirectories(folder.resolve("sotu"));
        Files.writeString(sotu.resolve("1790_george_washington_n.txt"),
                "word ".repeat(30) + "end. " + "other ".repeat(30) + "end.");
        Files.write(sotu.resolve("1791_george_washington_n.txt"), new byte[]{(byte) 0xff, (byte) 0xfe, 0});

        assertThatThrownBy(() -> Task.UNION.samples(folder, 9, 9)).isInstanceOf(IOException.class)
                .hasMessageContainingAll("union", folder.toString(), "0 pairs to learn from and 1 ", "fetch-texts.sh");
    }
}
