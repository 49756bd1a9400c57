package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.internal.content.AdapterContent;
import io.github.dl4jlora.internal.content.Biases;
import io.github.dl4jlora.internal.content.Delta;
import io.github.dl4jlora.internal.content.Kind;
import io.github.dl4jlora.internal.content.TensorLayout;
import io.github.dl4jlora.internal.untrusted.Budget;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class SavedModulesTest {

    private final Budget budget = new Budget(10_000_000);

    @ParameterizedTest(name = "{0} saves {1}")
    @CsvSource({"out, out", "out, model.out", "out, out.dense", "head, subhead", "head, subhead.dense.1",
            "enc.fc, model.enc.fc.1", "out, lora_dropout", "model.out, out", "model.out, out.dense",
            "base_model.model.out, out"})
    void aModuleIsSavedWhoseNameOrWhosePlacesEndsSo(String entry, String module) throws AdapterFormatException {
        assertThat(new SavedModules(List.of("other", entry)).of(module, budget)).containsExactly(entry);
    }

    @ParameterizedTest(name = "{0} does not save {1}")
    @CsvSource({"out, outer", "enc.fc, enc.1.fc", "a.b.c, a.b", "model.out, enc.out", "model.out, lora_dropout", "'', out"})
    void othersAreNot(String entry, String module) throws AdapterFormatException {
        assertThat(new SavedModules(List.of("other", entry)).of(module, budget)).isEmpty();
    }

    private static List<String> entries(Set<String> adapted, Set<String> own, Set<String> known, String... trained) {
        Delta delta = new Delta(Networks.random(DataType.FLOAT, 1, 6, 2), Networks.random(DataType.FLOAT, 2, 2, 5), 1,
                Scaling.ALPHA, null, TensorLayout.LINEAR, Map.of(), Kind.PLAIN, null);
        Map<String, Map<String, INDArray>> values = new LinkedHashMap<>();
        Arrays.stream(trained).forEach(module -> values.put(module, Map.of()));
        return SavedModules.entries(new AdapterContent(adapted.stream().collect(Collectors.toMap(Function.identity(),
                layer -> delta)), values, Biases.NONE, 0, own, known, Set.of()));
    }

    @Test
    void whatIsInsideASavedModuleHasNoEntryOfItsOwn() {
        assertThat(entries(Set.of("fc"), Set.of(), Set.of(), "enc.fc", "enc", "encoder.fc", "a.b.c", "a"))
                .containsExactly("model.enc", "model.encoder.fc", "model.a");
        assertThat(entries(Set.of("fc"), Set.of(), Set.of("enc", "enc.fc"), "enc.fc", "enc")).containsExactly("enc");
    }

    /** One by one, twenty thousand took minutes. */
    @Test
    void ofVeryManyModulesThoseThatEndOthersNamesAreFoundAtOnce() {
        String[] modules = IntStream.range(0, 20_000).mapToObj(i -> "m" + i).toArray(String[]::new);

        List<String> entries = entries(Set.of("fc"), Set.of(), Set.of(modules), modules);

        assertThat(entries).hasSize(20_000).contains("m7", "m19999").doesNotContain("model.m7");
        assertThat(entries(Set.of("m7.fc", "xm8"), Set.of(), Set.of(modules), modules)).contains("model.m7", "model.m8", "m9");
    }

    @Test
    void ofRandomNamesThoseAreFoundThatOneAfterTheOtherAre() {
        Random random = new Random(11);
        for (int i = 0; i < 500; i++) {
            Set<String> all = new LinkedHashSet<>();
            for (int n = 12; n > 0; n--) {
                String name = dotted(random, 6);
                if (!name.isBlank() && !name.startsWith(".") && !name.endsWith(".")) {
                    all.add(name);
                }
            }
            all.add("c");
            Set<String> adapted = all.stream().filter(name -> random.nextInt(3) == 0).collect(Collectors.toSet());
            adapted.add("d");
            List<String> trained = all.stream().filter(name -> !adapted.contains(name)).toList();
            Set<String> others = Stream.of(all, adapted, Set.of("lora_dropout", "lora_A", "lora_B", "base_layer"))
                    .flatMap(Set::stream).flatMap(name -> Stream.concat(Stream.of(name), IntStream.range(1, name.length())
                            .filter(end -> name.charAt(end) == '.').mapToObj(end -> name.substring(0, end))))
                    .collect(Collectors.toSet());
            List<String> expected = trained.stream().filter(module -> trained.stream().noneMatch(outer ->
                    module.startsWith(outer + "."))).map(module -> others.stream().anyMatch(name -> name.endsWith(module)
                    && !name.equals(module)) || adapted.stream().anyMatch(layer -> layer.startsWith(module + "."))
                    ? "model." + module : module).toList();

            assertThat(entries(adapted, Set.of(), all, trained.toArray(String[]::new))).as("%s, adapted %s", trained, adapted)
                    .isEqualTo(expected);
        }
    }

    /** PEFT copies what it finds, and what it copies it wants in the file with all that is inside. */
    @Test
    void aModuleStandsAsItIsWhereTheNetworkToldItAndItEndsNoOthersName() {
        Set<String> known = Set.of("lm_head", "enc.words", "pre_classifier", "classifier", "out", "block", "lstm");

        assertThat(entries(Set.of("block.fc"), Set.of("lstm"), known, "lm_head", "enc.words", "classifier", "out", "block",
                "lstm", "other")).containsExactly("lm_head", "enc.words", "model.classifier", "model.out", "model.block",
                "model.lstm", "model.other");
        assertThat(entries(Set.of("my_head.fc"), Set.of(), Set.of("head"), "head")).containsExactly("model.head");
    }

    @Test
    void entriesNameModulesInFullWithAndWithoutTheModel() {
        assertThat(SavedModules.inFull(List.of("model.enc.fc", "out")))
                .containsExactlyInAnyOrder("model.enc.fc", "enc.fc", "out");
    }

    /** PEFT's own loop: {@code any(key.endswith(target) for target in modules_to_save)}, for the module and what it is in. */
    @Test
    void whatIsFoundIsWhatPeftsLoopFinds() throws AdapterFormatException {
        Random random = new Random(3);
        for (int i = 0; i < 2_000; i++) {
            List<String> entries = new ArrayList<>();
            for (int n = random.nextInt(4); n > 0; n--) {
                entries.add(dotted(random, 4));
            }
            String module = dotted(random, 8);
            Set<String> expected = new HashSet<>();
            for (int end = 1; end <= module.length(); end++) {
                if (end == module.length() || module.charAt(end) == '.') {
                    String key = "base_model.model." + module.substring(0, end);
                    entries.stream().filter(entry -> !entry.isEmpty() && key.endsWith(entry)).forEach(expected::add);
                }
            }

            assertThat(new SavedModules(entries).of(module, budget)).as("%s of %s", module, entries)
                    .containsAll(expected);
        }
    }

    @Test
    void entriesOfManyLengthsAndNamesOfManyWordsArePaidFor() {
        List<String> entries = new ArrayList<>();
        for (int length = 1; length < 5_000; length++) {
            entries.add("x".repeat(length));
        }

        assertThatThrownBy(() -> new SavedModules(entries).of("a.".repeat(5_000), budget))
                .isInstanceOf(AdapterFormatException.class).hasMessageContaining("takes too long");
    }

    private static String dotted(Random random, int longest) {
        StringBuilder name = new StringBuilder();
        for (int n = random.nextInt(longest); n > 0; n--) {
            name.append("ab..".charAt(random.nextInt(4)));
        }
        return name.toString();
    }
}
