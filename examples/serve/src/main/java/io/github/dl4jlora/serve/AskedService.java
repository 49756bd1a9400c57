package io.github.dl4jlora.serve;

import dev.langchain4j.data.segment.TextSegment;
import dev.langchain4j.model.openai.OpenAiEmbeddingModel;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.examples.Checks;
import io.github.dl4jlora.models.encoder.PretrainedEncoder;
import io.github.dl4jlora.models.encoder.Tokenizer;
import io.github.dl4jlora.models.retrieval.TrainedService;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.io.PrintWriter;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;

/** Serves what the retrieval example has trained, and asks the service by langchain4j's client of OpenAI, and to rerank. */
public final class AskedService implements TrainedService {

    private static final ObjectMapper JSON = new ObjectMapper();
    private static final long MEGABYTE = 1 << 20;
    private static final double TOLERANCE = 1e-4;

    @Override
    public void ask(PretrainedEncoder model, Path adapters, int maxTokens, List<Question> questions, PrintWriter out,
                    Checks checks) throws IOException {
        ComputationGraph network = model.sentenceEncoder();
        ServiceConfig config = new ServiceConfig("127.0.0.1", 0, null, new Limits(8 * MEGABYTE, MEGABYTE, Duration.ofMinutes(1)),
                Duration.ofHours(1), UnaryOperator.identity());
        try (Tokenizer tokenizer = model.tokenizer(maxTokens);
             Service service = Service.start(network, model.modelName(), TextModels.of(new BankEncoder(model, tokenizer)),
                     adapters, config)) {
            out.println("Served at " + service.address() + "v1, and asked by OpenAI's client:");
            for (Question question : questions) {
                INDArray base = embeddings(service.address(), model, model.modelName(), question);
                INDArray adapted = embeddings(service.address(), model, question.adapter(), question);
                out.println(String.format(Locale.ROOT, "  %s: \"%s\" finds its answer at place %d of %d by the base, %d by the "
                        + "adapter", question.adapter(), question.query(), place(base), question.documents().size(),
                        place(adapted)));
                INDArray ids = tokenizer.batch(List.of(model.queryPrompt() + question.query()));
                ComputationGraph tuned = LoRA.apply(network, LoRAAdapter.load(adapters.resolve(question.adapter())));
                checks.check(question.adapter() + ": base and adapter embed as the networks do",
                        isClose(base.getRow(0), network.outputSingle(ids))
                                && isClose(adapted.getRow(0), tuned.outputSingle(ids)));
                checks.check(question.adapter() + ": rerank gives the cosines of the embeddings",
                        isClose(cosines(adapted), reranked(service.address(), question)));
            }
            out.flush();
        }
    }

    /** The query's, and below it those of the documents. */
    private static INDArray embeddings(URI address, PretrainedEncoder model, String name, Question question) {
        OpenAiEmbeddingModel client = OpenAiEmbeddingModel.builder().baseUrl(address + "v1").apiKey("any").modelName(name)
                .maxRetries(0).timeout(Duration.ofMinutes(2)).build();
        Stream<String> documents = question.documents().stream().map(document -> model.documentPrompt() + document);
        return Nd4j.createFromArray(client.embedAll(Stream.concat(Stream.of(model.queryPrompt() + question.query()), documents)
                        .map(TextSegment::from).toList()).content().stream().map(embedding -> embedding.vector())
                .toArray(float[][]::new));
    }

    private static INDArray cosines(INDArray embeddings) {
        return embeddings.mmul(embeddings.getRow(0).reshape(-1, 1)).reshape(-1).get(
                NDArrayIndex.interval(1, embeddings.size(0)));
    }

    /** Of the first document, which is the answer. */
    private static int place(INDArray embeddings) {
        float[] cosines = cosines(embeddings).toFloatVector();
        int place = 1;
        for (int i = 1; i < cosines.length; i++) {
            place += cosines[i] >= cosines[0] ? 1 : 0;
        }
        return place;
    }

    /** Scores in the order of the documents. */
    private static INDArray reranked(URI address, Question question) throws IOException {
        String body = JSON.writeValueAsString(Map.of("model", question.adapter(), "query", question.query(), "documents",
                question.documents()));
        try {
            HttpResponse<String> response = HttpClient.newHttpClient().send(HttpRequest.newBuilder(address.resolve("/v1/rerank"))
                    .header("Content-Type", Body.JSON).POST(HttpRequest.BodyPublishers.ofString(body)).build(),
                    HttpResponse.BodyHandlers.ofString());
            float[] scores = new float[question.documents().size()];
            for (JsonNode result : JSON.readTree(response.body()).path("results")) {
                scores[result.get("index").asInt()] = (float) result.get("relevance_score").asDouble();
            }
            return Nd4j.createFromArray(scores);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("Interrupted while the service was asked");
        }
    }

    private static boolean isClose(INDArray actual, INDArray expected) {
        return actual.reshape(-1).sub(expected.reshape(-1)).amaxNumber().doubleValue() < TOLERANCE;
    }
}
