package io.github.dl4jlora.serve;

import io.github.dl4jlora.pages.ShellCommand;
import io.javalin.http.HandlerType;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.databind.JsonNode;

import java.net.URI;
import java.net.http.HttpRequest;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.StreamSupport;

import static org.assertj.core.api.Assertions.assertThat;

/** The description tells of the routes that there are, and of what they answer. */
@Tag("serve")
class OpenApiTest {

    private static final Set<HandlerType> METHODS =
            Set.of(HandlerType.GET, HandlerType.HEAD, HandlerType.POST, HandlerType.PUT, HandlerType.DELETE);

    @TempDir
    private Path adapters;

    @Test
    void theDescriptionHasEveryRouteAndNoOther() throws Exception {
        try (Running running = new Running(Networks.dense(1), adapters)) {
            Set<String> described = new TreeSet<>();
            running.get("/openapi.json").ok().get("paths").fields().forEachRemaining(path -> path.getValue().fieldNames()
                    .forEachRemaining(method -> described.add(method.toUpperCase() + " " + path.getKey())));

            assertThat(described).isEqualTo(running.service().routes(METHODS));
        }
    }

    @Test
    void theRequestsOnThePagesAreDescribed() throws Exception {
        try (Running running = new Running(Networks.dense(1), adapters)) {
            JsonNode paths = running.get("/openapi.json").ok().get("paths");

            assertThat(ShellCommand.all()).filteredOn(command -> command.program().equals("curl")).hasSizeGreaterThan(5)
                    .allSatisfy(command -> assertThat(described(paths, command.words())).isTrue());
        }
    }

    private static boolean described(JsonNode paths, List<String> words) {
        String method = words.contains("-X") ? words.get(words.indexOf("-X") + 1) : words.contains("-d") ? "POST" : "GET";
        String asked = URI.create(words.get(words.size() - 1)).getPath();
        return StreamSupport.stream(((Iterable<String>) paths::fieldNames).spliterator(), false)
                .filter(path -> asked.matches(path.replaceAll("\\{\\w+}", "[^/]+")))
                .anyMatch(path -> paths.get(path).has(method.toLowerCase(Locale.ROOT)));
    }

    @Test
    void everyReferenceInItLeadsSomewhere() throws Exception {
        try (Running running = new Running(Networks.dense(1), adapters)) {
            JsonNode description = running.get("/openapi.json").ok();

            List<JsonNode> references = description.findValues("$ref");
            assertThat(references).isNotEmpty();
            for (JsonNode reference : references) {
                assertThat(description.at(reference.asText().substring(1)).isMissingNode()).as(reference.asText()).isFalse();
            }
        }
    }

    /** JavaScript reads classes of Unicode only in a mode of which descriptions cannot tell. */
    @Test
    void patternsAreThoseOfJavaScript() throws Exception {
        try (Running running = new Running(Networks.dense(1), adapters)) {
            assertThat(running.get("/openapi.json").ok().findValuesAsText("pattern"))
                    .noneMatch(pattern -> pattern.contains("\\p"));
        }
    }

    @Test
    void refusalsAreDescribedWithTheirHeaders() throws Exception {
        try (Running running = new Running(Networks.dense(1), adapters)) {
            for (JsonNode path : running.get("/openapi.json").ok().get("paths")) {
                for (JsonNode operation : path) {
                    JsonNode answers = operation.get("responses");
                    assertThat(answers.has("503")).as(operation.get("operationId").asText()).isTrue();
                    for (String status : List.of("401", "429", "503")) {
                        if (answers.has(status) && !answers.get(status).path("content").toString().contains("Health")
                                && !operation.get("operationId").asText().equals("isHealthy")) {
                            assertThat(answers.get(status).path("headers").has(status.equals("401") ? "WWW-Authenticate"
                                    : "Retry-After")).as("%s, %s", operation.get("operationId"), status).isTrue();
                        }
                    }
                }
            }
        }
    }

    /** By the description's own words for fields and their types. */
    @Test
    void answersHaveTheFieldsThatAreDescribed() throws Exception {
        INDArray input = Networks.input(1, 2, Networks.IN);
        Networks.adapter(Networks.dense(1), 1).save(adapters.resolve("spam"));
        try (Running running = new Running(Networks.dense(1), adapters)) {
            JsonNode all = running.get("/openapi.json").ok();
            Running.Answer asked = running.post("/v1/adapters/spam/outputs", "{\"inputs\": " + Running.json(input) + "}");
            assertThat(defects(all, "Outputs", asked.ok())).isEmpty();
            assertThat(defects(all, "Models", running.get("/v1/models").ok())).isEmpty();
            assertThat(defects(all, "Model", running.get("/v1/models/spam").ok())).isEmpty();
            assertThat(defects(all, "Health", running.get("/health").ok())).isEmpty();
            assertThat(defects(all, "Statistics", running.get("/statistics").ok())).isEmpty();
            assertThat(defects(all, "Error", running.get("/v1/models/nobody").json())).isEmpty();
            assertThat(defects(all, "Deleted", running.send(running.request("/v1/adapters/spam").DELETE()
                    .header("Authorization", "Bearer " + Running.TOKEN)).ok())).isEmpty();
            assertThat(defects(all, "Error", running.send(running.request("/v1/models").method("TRACE",
                    HttpRequest.BodyPublishers.noBody())).json())).isEmpty();
            assertThat(defects(all, "Health", running.get("/v1/models").ok())).as("a defect is seen").isNotEmpty();
        }
    }

    static List<String> defects(JsonNode all, String schema, JsonNode answer) {
        List<String> defects = new ArrayList<>();
        check(all, all.at("/components/schemas/" + schema), answer, schema, defects);
        return defects;
    }

    private static void check(JsonNode all, JsonNode schema, JsonNode value, String path, List<String> defects) {
        if (schema.has("$ref")) {
            check(all, all.at(schema.get("$ref").asText().substring(1)), value, path, defects);
        } else if (value.isNull()) {
            if (!schema.path("nullable").asBoolean()) {
                defects.add(path + " is null");
            }
        } else {
            boolean fits = switch (schema.path("type").asText()) {
                case "object" -> value.isObject();
                case "array" -> value.isArray();
                case "string" -> value.isTextual();
                case "integer" -> value.isIntegralNumber();
                case "number" -> value.isNumber();
                case "boolean" -> value.isBoolean();
                default -> true;
            };
            if (!fits) {
                defects.add(path + " is " + value);
            }
            schema.path("required").forEach(field -> {
                if (!value.has(field.asText())) {
                    defects.add(path + " lacks " + field.asText());
                }
            });
            for (Iterator<String> fields = value.fieldNames(); fields.hasNext(); ) {
                String field = fields.next();
                if (!schema.has("properties")) {
                    break;
                }
                if (schema.get("properties").has(field)) {
                    check(all, schema.get("properties").get(field), value.get(field), path + "." + field, defects);
                } else {
                    defects.add(path + " has " + field + ", which is not described");
                }
            }
            if (value.isArray() && schema.path("items").size() > 0) {
                value.forEach(item -> check(all, schema.get("items"), item, path + "[]", defects));
            }
        }
    }
}
