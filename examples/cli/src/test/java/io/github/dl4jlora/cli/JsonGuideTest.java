package io.github.dl4jlora.cli;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.JsonNodeType;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

import static org.assertj.core.api.Assertions.assertThat;

/** The guide's JSON has the fields that the commands print. */
class JsonGuideTest {

    private static final Path PAGE = Path.of("../../docs/guide/cli.md");
    private static final Pattern OBJECT = Pattern.compile("```json\n(.*?)```", Pattern.DOTALL);
    /** Whose fields are names of layers or of figures. */
    private static final Set<String> BY_LAYER = Set.of(".lost", ".needed", ".advice[].evidence");
    private static final String ELEMENT = "[]";
    private static final String NOTHING = JsonNodeType.NULL.name();

    @TempDir
    private static Path folder;
    private final Shell shell = new Shell(folder);

    @BeforeAll
    static void saveThem() throws IOException {
        MultiLayerNetwork base = Networks.layers(1);
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).trainable("out").build());
        tuned.fit(Networks.data(1));
        MultiLayerNetwork fineTuned = base.clone();
        fineTuned.fit(Networks.data(2));
        ModelSerializer.writeModel(base, folder.resolve("base.zip").toFile(), false);
        ModelSerializer.writeModel(fineTuned, folder.resolve("finetuned.zip").toFile(), false);
        LoRA.save(tuned, folder.resolve("tuned.zip"), false);
        LoRAAdapter.of(tuned).save(folder.resolve("adapter"));
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource({
            "inspect @base.zip, 0", "inspect @tuned.zip, 0", "inspect @adapter --base @base.zip, 1", "inspect @adapter, 1",
            "quantize --as int8 @base.zip -o @quantized.zip, 0",
            "apply @base.zip @adapter -o @applied.zip, 0",
            "merge @base.zip @adapter -o @merged.zip, 0",
            "export @tuned.zip -o @exported, 0",
            "import @adapter @base.zip -o @imported.zip, 0",
            "extract @base.zip @finetuned.zip --rank 1 -o @extracted, 0",
            "combine @adapter --compress 1 -o @combined, 0", "combine @adapter -o @same, 0",
            "onnx @base.zip -o @base.onnx, 0", "onnx @base.zip @adapter --separate -o @separate.onnx, 0",
            "onnx @adapter -o @adapter.onnx_adapter, 1",
            "report @base.zip @adapter -o @report.html, 0"})
    void whatACommandPrintsIsWhatTheGuideShows(String line, int object) throws IOException {
        assertThat(shell.run((line + " --json").split(" "))).as(shell.err()).isZero();

        requireSame(documented(line.split(" ")[0]).get(object), shell.json());
    }

    /** It measures for half a minute. */
    @Test
    @Tag("heavy")
    void whatTheDoctorPrintsIsWhatTheGuideShows() throws IOException {
        assertThat(shell.run("doctor", "--json")).as(shell.err()).isZero();

        requireSame(documented("doctor").get(0), shell.json());
    }

    @Test
    void everyCommandHasItsObjects() throws IOException {
        for (String command : HelpTest.commands().toList()) {
            assertThat(documented(command)).as(command).hasSize(Set.of("inspect", "onnx").contains(command) ? 2 : 1);
        }
    }

    private static void requireSame(JsonNode guide, JsonNode real) {
        Map<String, String> shown = shape(guide);
        Map<String, String> printed = shape(real);
        // A list or a map that is empty this time says nothing of its elements.
        shown.keySet().removeIf(path -> !printed.containsKey(path) && printed.keySet().stream()
                .anyMatch(list -> path.startsWith(list + ELEMENT) && printed.keySet().stream()
                        .noneMatch(element -> element.startsWith(list + ELEMENT))));
        assertThat(printed.keySet()).isEqualTo(shown.keySet());
        printed.forEach((path, type) -> {
            if (!type.equals(NOTHING) && !shown.get(path).equals(NOTHING)) {
                assertThat(type).as(path).isEqualTo(shown.get(path));
            }
        });
    }

    private static List<JsonNode> documented(String command) throws IOException {
        Matcher section = Pattern.compile("\n## " + command + "\n(.*?)(?=\n## |\\z)", Pattern.DOTALL)
                .matcher(Files.readString(PAGE).replace("\r\n", "\n"));
        assertThat(section.find()).as(command).isTrue();
        List<JsonNode> objects = new ArrayList<>();
        Matcher object = OBJECT.matcher(section.group(1));
        while (object.find()) {
            objects.add(new ObjectMapper().readTree(object.group(1)));
        }
        return objects;
    }

    /** Kinds of values by path. */
    private static Map<String, String> shape(JsonNode object) {
        Map<String, String> shape = new TreeMap<>();
        add("", object, shape);
        return shape;
    }

    private static void add(String path, JsonNode node, Map<String, String> shape) {
        shape.merge(path, node.getNodeType().name(), (before, now) -> before.equals(NOTHING) ? now : before);
        if (node.isArray() || BY_LAYER.contains(path)) {
            node.forEach(element -> add(path + ELEMENT, element, shape));
        } else {
            node.fields().forEachRemaining(field -> add(path + "." + field.getKey(), field.getValue(), shape));
        }
    }
}
