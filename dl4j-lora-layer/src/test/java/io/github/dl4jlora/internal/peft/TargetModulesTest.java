package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.exception.AdapterFormatException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Set;

import static org.assertj.core.api.Assertions.assertThat;

/** Which modules PEFT would not adapt, although a file has values for them. */
class TargetModulesTest {

    private static final List<String> MODULES = List.of("bert.layer.0.query", "bert.layer.0.value", "bert.layer.1.query", "fc");

    private static List<String> leftOut(String fields) throws AdapterFormatException {
        return PeftConfigJson.parse(("{\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":1," + fields + "}")
                .getBytes(StandardCharsets.UTF_8)).adapted().leftOut(MODULES);
    }

    @ParameterizedTest
    @CsvSource(delimiter = ';', textBlock = """
            "target_modules":["query","value","fc"]                                                    ;
            "target_modules":["query","value"]                                                         ; fc
            "target_modules":["uery","fc","value"]                                                     ; 0.query 1.query
            "target_modules":"all-linear"                                                              ;
            "target_modules":null                                                                      ;
            "target_modules":".*(query|value)"                                                         ; fc
            "target_modules":"(?i).*QUERY"                                                             ;
            "exclude_modules":["value"]                                                                ; 0.value
            "exclude_modules":".*layer.*"                                                              ; 0.query 0.value 1.query
            "target_modules":["query","value","fc"],"layers_to_transform":[0]                          ; 1.query
            "target_modules":["query","value","fc"],"layers_to_transform":1                            ; 0.query 0.value
            "target_modules":["query","value","fc"],"layers_to_transform":[0],"layers_pattern":"layer" ; 1.query
            "target_modules":["query","fc"],"layers_to_transform":[0],"layers_pattern":["h"]           ; 0.query 0.value 1.query
            "target_modules":["query"],"target_parameters":["fc.weight"]                               ;
            """)
    void areThoseThatItsConfigurationDoesNotMatch(String fields, String expected) throws AdapterFormatException {
        assertThat(String.join(" ", leftOut(fields)).replace("bert.layer.", "")).isEqualTo(expected == null ? "" : expected);
    }

    /** PEFT takes the number of the first list, and its expression is of the whole name. */
    @Test
    void ofListsInListsTheFirstNumberCounts() throws AdapterFormatException {
        TargetModules third = new TargetModules(new TargetModules.Names(Set.of("gate"), null), null, Set.of(3), List.of());
        TargetModules named = new TargetModules(new TargetModules.Names(Set.of(), "gate"), null, Set.of(), List.of());

        assertThat(third.leftOut(List.of("model.layers.3.experts.5.gate", "model.layers.5.experts.3.gate")))
                .containsExactly("model.layers.5.experts.3.gate");
        assertThat(named.leftOut(List.of("gate", "layers.3.gate"))).containsExactly("layers.3.gate");
    }

    @Test
    void areNoneWhereThatTakesTooLongToFindOut() {
        TargetModules slow = new TargetModules(new TargetModules.Names(Set.of(), "(.*a){20}b"), null, Set.of(), List.of());

        assertThat(slow.leftOut(List.of("fc"))).containsExactly("fc");
        assertThat(slow.leftOut(List.of("a".repeat(40)))).isEmpty();
    }
}
