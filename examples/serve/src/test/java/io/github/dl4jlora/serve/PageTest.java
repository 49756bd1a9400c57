package io.github.dl4jlora.serve;

import io.github.dl4jlora.browser.Chromium;
import io.github.dl4jlora.browser.PageCheck;
import io.github.dl4jlora.models.encoder.PretrainedEncoder;
import io.github.dl4jlora.models.encoder.Tokenizer;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

import static io.github.dl4jlora.serve.Running.assertSame;
import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

/** The page in a browser: it shows what there is, and a person can try it. */
@Tag("serve")
@Timeout(value = 15, unit = TimeUnit.MINUTES)
class PageTest {

    private static Chromium browser;

    @TempDir
    private Path adapters;
    private final MultiLayerNetwork base = Networks.dense(1);

    @BeforeAll
    static void start() throws IOException {
        Path program = Chromium.installed().orElse(null);
        browser = program == null ? null : new Chromium(program);
    }

    @BeforeEach
    void requireIt() {
        assumeTrue(browser != null, "no Chromium on the PATH: install it (apt-get install chromium) to look at the page");
    }

    /** A page whose service is gone goes on asking, and a browser complains of that. */
    @AfterEach
    void leave() throws IOException {
        if (browser != null) {
            browser.open(URI.create("about:blank"));
        }
    }

    @AfterAll
    static void stop() throws Exception {
        if (browser != null) {
            browser.close();
        }
    }

    private String text(String id) throws IOException {
        return browser.script("document.getElementById('" + id + "').innerText").asText();
    }

    private void await(String condition) throws IOException, InterruptedException {
        while (!browser.script(condition).asBoolean()) {
            Thread.sleep(20);
        }
    }

    private void open(Running running) throws IOException, InterruptedException {
        browser.open(running.address());
        await("document.getElementById('state').innerText !== ''");
    }

    private void ask(String name, String input) throws IOException, InterruptedException {
        browser.script("document.getElementById('answer').replaceChildren()");
        browser.script("document.getElementById('name').value = " + Running.JSON.writeValueAsString(name));
        if (input != null) {
            browser.script("document.getElementById('input').value = " + Running.JSON.writeValueAsString(input));
        }
        browser.script("document.getElementById('ask').click()");
        await("document.getElementById('answer').innerText !== '' && !document.getElementById('ask').disabled");
    }

    private Running running(Model network) throws IOException {
        Networks.adapter(base, 1).save(adapters.resolve("spam"));
        Networks.adapter(base, 2).save(adapters.resolve("a_very_long_name-".repeat(6) + "of.an.adapter"));
        return new Running(network, adapters);
    }

    @Test
    void itShowsNothingThatABrowserMinds() throws Exception {
        try (Running running = running(base)) {
            running.outputs("spam", Networks.input(1, 2, Networks.IN));
            running.outputs("spam:0.5 + " + "a_very_long_name-".repeat(6) + "of.an.adapter", Networks.input(1, 2, Networks.IN));

            assertThat(PageCheck.of(browser, running.address())).isEmpty();
        }
    }

    @Test
    void itListsAdaptersAndHowTheyAreAskedFor() throws Exception {
        try (Running running = running(base)) {
            for (int i = 0; i < 3; i++) {
                running.outputs("spam", Networks.input(1, 2, Networks.IN));
            }
            Running.await(() -> running.meter("dl4jlora_requests_seconds_count{adapter=\"spam\",outcome=\"answered\"}") >= 3);
            open(running);

            assertThat(text("title")).isEqualTo("base.zip and 2 adapters");
            assertThat(text("state")).isEqualTo("ready");
            assertThat(text("takes")).isEqualTo("input [examples, 6]");
            assertThat(text("adapters").lines().filter(line -> line.startsWith("spam")).findFirst().orElseThrow())
                    .matches("spam\\s+3\\s+[\\d.]+ ms\\s+[\\d.]+ ms\\s+[\\d.]+ ms");
            browser.script("const f = document.getElementById('filter'); f.value = 'LONG'; f.dispatchEvent(new Event('input'))");
            assertThat(text("adapters")).contains("a_very_long").doesNotContain("spam");
        }
    }

    @Test
    void aPersonCanTryAnAdapterOfNumbers() throws Exception {
        INDArray input = Networks.input(1, 2, Networks.IN);
        try (Running running = running(base)) {
            open(running);
            await("document.getElementById('input').value !== ''");
            assertThat(browser.script("document.getElementById('input').value").asText()).isEqualTo("[[0,0,0,0,0,0]]");

            ask("spam", Running.json(input));
            String shown = browser.script("document.querySelector('#answer pre').innerText").asText();
            assertSame(Running.array(Running.JSON.readTree(shown)), Networks.output(base, 1, input));
            assertThat(text("answer")).containsPattern("[\\d.]+ ms, as this browser sees it");

            ask("nobody<b>", null);
            assertThat(text("answer")).contains("nobody<b>");
            ask("spam", "[[1, 2");
            assertThat(text("answer")).contains("The input is not JSON");
            ask("spam:0.5", "[[1, 2]]");
            assertThat(text("answer")).contains("[1, 2], but the network takes [examples, 6]");
        }
    }

    @Test
    void aPersonCanTryAnAdapterOfTheEncoder() throws Exception {
        try (Tokenizer tokenizer = PretrainedEncoder.MINILM.tokenizer(256);
             Running running = new Running(Service.start(PretrainedEncoder.MINILM.sentenceEncoder(), "all-MiniLM-L6-v2",
                     TextModels.of(new BankEncoder(PretrainedEncoder.MINILM, tokenizer)), adapters, Running.config(null)))) {
            open(running);
            await("document.getElementById('input').value !== ''");
            assertThat(text("takes")).isEqualTo("texts");
            assertThat(text("title")).isEqualTo("all-MiniLM-L6-v2 and 0 adapters");

            ask("__base__", null);
            assertThat(browser.script("document.querySelector('#answer tbody th').innerText").asText())
                    .as("what is most alike").isEqualTo("A dog runs across the field. | An animal moves outdoors.");
            assertThat(text("answer")).contains("tokens.");
            assertThat(PageCheck.of(browser, running.address())).isEmpty();
        }
    }

    @Test
    void aServiceThatIsGoneIsTold() throws Exception {
        try (Running running = running(base)) {
            open(running);
            running.close();
            await("!document.getElementById('lost').hidden");
            assertThat(text("title")).isEqualTo("base.zip and 2 adapters");
        }
    }
}
