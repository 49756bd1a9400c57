package io.github.dl4jlora.examples.ui;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.examples.TrainingPages;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

import java.io.IOException;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.LocalDateTime;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.List;
import java.util.ServiceLoader;
import java.util.function.Predicate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

class VertxTrainingPagesTest {

    private static final int TRIES = 1_200;
    private static final int PAUSE = 100;

    private final HttpClient browser = HttpClient.newHttpClient();
    private int port;
    private TrainingPages pages;

    @BeforeEach
    void open() throws IOException {
        Nd4j.getRandom().setSeed(24);
        assumeTrue(getClass().getResource("/io/vertx/core/Vertx.class") != null,
                "an earlier build with the profile ui left this class");
        pages = opened();
    }

    /** Another program may take a free port before the pages do. */
    private TrainingPages opened() throws IOException {
        TrainingPages.Provider provider = ServiceLoader.load(TrainingPages.Provider.class).findFirst().orElseThrow();
        for (int tries = 0;; tries++) {
            try (ServerSocket free = new ServerSocket(0)) {
                port = free.getLocalPort();
            }
            try {
                return provider.open(port);
            } catch (IllegalStateException e) {
                if (tries == 10) {
                    throw e;
                }
            }
        }
    }

    @AfterEach
    void close() {
        if (pages != null) {
            pages.close();
        }
    }

    @Test
    void theOverviewShowsUpdateRatiosOfEveryAdapter() throws Exception {
        MultiLayerNetwork adapted = LoRA.apply(network(), LoRAConfig.builder().rank(2).build());
        adapted.addListeners(pages.listener("LoRA, rank 2"));
        for (int i = 0; i < 3; i++) {
            adapted.fit(new DataSet(Nd4j.rand(6, 4), Nd4j.rand(6, 2)));
        }

        JsonNode overview = data("overview/data");

        assertThat(names(overview.get("updateRatios"))).containsExactlyInAnyOrder("0_A.w", "0_B.w");
        assertThat(names(overview.get("stdevGradients"))).containsExactlyInAnyOrder("0_A.w", "0_B.w");
        assertThat(overview.get("updateRatios").get("0_B.w")).hasSize(3);
        assertThat(overview.get("scores")).hasSize(3);
    }

    @Test
    void theModelPageShowsHistogramsOfEachMatrix() throws Exception {
        MultiLayerNetwork base = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new LSTM.Builder().name("lstm").nIn(4).nOut(5).build())
                .layer(new RnnOutputLayer.Builder(LossFunction.MSE).name("out").nOut(2).build()).build());
        base.init();
        MultiLayerNetwork adapted = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("lstm").build());
        adapted.addListeners(pages.listener("LoRA"));
        adapted.fit(new DataSet(Nd4j.rand(6, 4, 3), Nd4j.rand(6, 2, 3)));
        data("overview/data");

        JsonNode layer = data("model/data/1");

        assertThat(names(layer.get("paramHist"))).contains("W-A", "W-B", "RW-A", "RW-B");
        assertThat(names(layer.get("meanMag").get("ratios"))).contains("W.A.w", "RW.B.w");
    }

    @Test
    void thePagesOpenOnTheAdaptedNetworkAndTellWhenItsTrainingBegan() throws Exception {
        MultiLayerNetwork base = network();
        train(base, "base, upright");
        assertThat(current(session -> !session.isEmpty())).startsWith("base, upright, ");
        String before = now();
        MultiLayerNetwork adapted = LoRA.apply(base, LoRAConfig.builder().rank(2).build());

        train(adapted, "LoRA");
        String opened = current(session -> session.startsWith("LoRA"));
        train(network(), "full fine-tuning");

        assertThat(opened).matches("LoRA, \\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d");
        assertThat(opened.substring("LoRA, ".length())).isBetween(before, now());
        JsonNode sessions = data("sessions/info");
        for (int tries = 0; tries < TRIES && sessions.size() < 3; tries++) {
            Thread.sleep(PAUSE);
            sessions = data("sessions/info");
        }
        assertThat(names(sessions)).hasSize(3).contains(opened);
        assertThat(text("sessions/current")).isEqualTo(opened);
        assertThat(names(data("overview/data").get("updateRatios"))).contains("0_A.w");
    }

    private static String now() {
        return LocalDateTime.now().format(DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss"));
    }

    private static MultiLayerNetwork network() {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new DenseLayer.Builder().name("fc1").nIn(4).nOut(5).build())
                .layer(new OutputLayer.Builder(LossFunction.MSE).name("out").nOut(2).build()).build());
        network.init();
        return network;
    }

    private void train(MultiLayerNetwork network, String name) {
        network.addListeners(pages.listener(name));
        network.fit(new DataSet(Nd4j.rand(6, 4), Nd4j.rand(6, 2)));
    }

    /** Waits until the pages show the expected session, and gives it. */
    private String current(Predicate<String> expected) throws IOException, InterruptedException {
        for (int tries = 0; tries < TRIES; tries++) {
            String session = text("sessions/current");
            if (expected.test(session)) {
                return session;
            }
            Thread.sleep(PAUSE);
        }
        throw new AssertionError("The pages stay on \"" + text("sessions/current") + "\"");
    }

    private String text(String page) throws IOException, InterruptedException {
        return browser.send(HttpRequest.newBuilder(URI.create(pages.address() + "/" + page)).build(),
                HttpResponse.BodyHandlers.ofString()).body();
    }

    @Test
    void aTakenPortIsNamedWithTheOptionThatHelps() {
        assertThatIllegalStateException().isThrownBy(() -> new VertxTrainingPages(port))
                .withMessageContaining("Port " + port).withMessageContaining("--ui-port");
    }

    /** The server learns of a session a moment after it began. */
    private JsonNode data(String page) throws IOException, InterruptedException {
        for (int tries = 0; tries < TRIES; tries++) {
            HttpResponse<String> response = browser.send(HttpRequest.newBuilder(URI.create(pages.address() + "/" + page)).build(),
                    HttpResponse.BodyHandlers.ofString());
            if (response.statusCode() == 200 && response.body().startsWith("{") && !response.body()
                    .contains("\"scores\" : [ ]")) {
                return new ObjectMapper().readTree(response.body());
            }
            Thread.sleep(PAUSE);
        }
        throw new AssertionError(pages.address() + "/" + page + " never had data");
    }

    private static List<String> names(JsonNode node) {
        List<String> names = new ArrayList<>();
        node.fieldNames().forEachRemaining(names::add);
        return names;
    }
}
