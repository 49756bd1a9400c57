package io.github.dl4jlora.machine;

import io.github.dl4jlora.ChildJvm;
import io.github.dl4jlora.Examined;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;

@Tag("heavy")
public class DoctorTest {

    private static final String OFF_HEAP = "-Dorg.bytedeco.javacpp.maxbytes=";

    @TempDir
    private Path folder;
    private List<String> said;
    private JsonNode json;

    private List<String> findings(Map<String, String> environment, List<String> options, String... words) throws Exception {
        said = new ArrayList<>(ChildJvm.runIn(environment, ChildJvm.classpath(), options, folder.resolve("log"),
                Examined.class, words));
        String line = said.stream().filter(l -> l.startsWith("{")).findFirst().orElseThrow();
        said.remove(line);
        json = new ObjectMapper().readTree(line);
        return json.get("findings").findValuesAsText("what");
    }

    @Test
    void aQuarrelIsFoundAndMeasuredWithItsRemedy() throws Exception {
        List<String> findings = findings(Map.of("OMP_NUM_THREADS", "2"),
                List.of("-Dorg.bytedeco.javacpp.maxphysicalbytes=1g"));

        assertThat(findings.get(0)).contains("(2 threads)", "spin against each other");
        JsonNode quarrel = json.get("findings").get(0);
        // The doctor waits some seconds for the other JVM, which a loaded machine may not have.
        assertThat(quarrel.get("costs").asText()).containsAnyOf("256 wide", "not measured: the other JVM gave no answer");
        assertThat(quarrel.get("remedy").asText()).contains("Threads.settle()", "OMP_WAIT_POLICY=passive");
        assertThat(findings).anyMatch(what -> what.startsWith("maxphysicalbytes is set"))
                .anyMatch(what -> what.startsWith("The process is limited to 1,024 MiB"));
        assertThat(json.get("findings").findValuesAsText("remedy"))
                .contains("raise -Dorg.bytedeco.javacpp.maxphysicalbytes, or leave it out");
        assertThat(said).allSatisfy(line -> assertThat(line.length()).isLessThanOrEqualTo(80))
                .anyMatch(line -> line.startsWith("1. ND4J's loops")).contains("generator as it was: true")
                .noneMatch(line -> line.contains("WARN"));
        assertThat(json.get("steps").findValuesAsText("width")).containsExactly("256", "1024");
    }

    @Test
    void whereAllIsWellThereIsNothingToChange() throws Exception {
        List<String> findings = findings(Map.of(), List.of(OFF_HEAP + "1g"), "settle");

        // Which kernels OpenBLAS chooses, and what else runs, is the machine's affair.
        assertThat(findings).allMatch(what -> what.startsWith("OpenBLAS computes with") || what.contains("slower than on one"));
        assertThat(said.contains("Nothing to change.")).isEqualTo(findings.isEmpty());
        assertThat(json.get("settled").asBoolean()).isTrue();
        assertThat(json.get("maxPhysicalBytes").asLong()).isZero();
        assertThat(said).anyMatch(line -> line.matches("oneDNN +\\d+\\.\\d+, (?!null)\\w+"));
        assertThat(json.get("oneDnn").asText()).matches("\\d+\\.\\d+, (?!null)\\w+");
    }

    @Test
    void fewThreadsAForcedKernelAndASwitchThatKeepsOneDnnFromComputingAreFound() throws Exception {
        List<String> findings = findings(Map.of("OMP_NUM_THREADS", "1", "OPENBLAS_CORETYPE", "NEHALEM"),
                List.of("-Ddl4jlora.onednn=false"));

        assertThat(json.get("coreType").asText()).isEqualTo("NEHALEM");
        assertThat(findings).anyMatch(what -> what.startsWith("JavaCPP's default limit of")).noneMatch(what ->
                what.startsWith("maxphysicalbytes is set"));
        if (json.get("cores").asInt() > 1) {
            assertThat(findings.get(0)).startsWith("BLAS computes on 1 of");
        }
        if (json.get("vectors").asText().startsWith("AVX")) {
            assertThat(findings).anyMatch(what -> what.startsWith("OpenBLAS computes with SSE"));
            assertThat(json.get("findings").findValuesAsText("remedy"))
                    .anyMatch(remedy -> remedy.contains("remove OPENBLAS_CORETYPE=NEHALEM"));
        }
        int found = findings.indexOf("oneDNN is not used.");
        assertThat(found).isNotNegative();
        assertThat(json.get("findings").get(found).get("costs").asText()).contains("a convolution of 64 channels", "GFLOP/s");
        assertThat(json.get("findings").get(found).get("remedy").asText()).isEqualTo("remove -Ddl4jlora.onednn=false");
        assertThat(json.get("oneDnn").isNull()).isTrue();
        assertThat(said).anyMatch(line -> line.matches("oneDNN +switched off"));
    }
}
