package io.github.dl4jlora.browser;

import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * A headless Chromium with one tab, driven over its DevTools protocol, which tells what a page asks for and complains of, and
 * prints as a user does. It needs no driver beside the browser, whose version would have to match.
 */
public final class Chromium implements AutoCloseable {

    private static final ObjectMapper JSON = new ObjectMapper();
    private static final List<String> NAMES = List.of("chromium", "chromium-browser", "google-chrome", "google-chrome-stable");
    private static final Pattern LISTENING = Pattern.compile("DevTools listening on (ws://\\S+)");
    /** Against a browser that hangs; none of what is asked for takes a hundredth of it. */
    private static final long PATIENCE_SECONDS = 120;
    private static final int MOST_TRIES = 50;
    private static final long A_MOMENT = 100;

    private final Path profile;
    private final Process process;
    private final WebSocket socket;
    private final AtomicInteger asked = new AtomicInteger();
    private final Map<Integer, CompletableFuture<JsonNode>> answers = new ConcurrentHashMap<>();
    private final LinkedBlockingQueue<JsonNode> events = new LinkedBlockingQueue<>();
    private final String session;

    /** On the path of programs. */
    public static Optional<Path> installed() {
        return NAMES.stream().flatMap(name -> Arrays.stream(System.getenv().getOrDefault("PATH", "").split(File.pathSeparator))
                .map(folder -> Path.of(folder, name))).filter(Files::isExecutable).findFirst();
    }

    public Chromium(Path program) throws IOException {
        profile = Files.createTempDirectory("dl4j-lora-chromium-");
        process = new ProcessBuilder(program.toString(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
                "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--disable-dev-shm-usage", "--hide-scrollbars",
                // A network that swallows packets would keep a page waiting that asks for another host.
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
                "--remote-debugging-port=0", "--user-data-dir=" + profile, "about:blank").redirectErrorStream(true).start();
        socket = HttpClient.newHttpClient().newWebSocketBuilder().buildAsync(address(), new Listener()).join();
        String tab = ask("Target.createTarget", Map.of("url", "about:blank"), null).get("targetId").asText();
        session = ask("Target.attachToTarget", Map.of("targetId", tab, "flatten", true), null).get("sessionId").asText();
        for (String domain : List.of("Page", "Runtime", "Network", "Log")) {
            ask(domain + ".enable", Map.of());
        }
    }

    /** It tells where it listens, then many other things, which nobody reads. */
    private URI address() throws IOException {
        BufferedReader reader = new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
        StringBuilder said = new StringBuilder();
        for (String line = reader.readLine(); line != null; line = reader.readLine()) {
            Matcher listening = LISTENING.matcher(line);
            if (listening.find()) {
                Thread drain = new Thread(() -> reader.lines().forEach(rest -> { }));
                drain.setDaemon(true);
                drain.start();
                return URI.create(listening.group(1));
            }
            said.append(line).append('\n');
        }
        throw new IOException("Chromium did not start:\n" + said);
    }

    /** Whole messages to whom they belong. */
    private final class Listener implements WebSocket.Listener {

        private final StringBuilder text = new StringBuilder();

        @Override
        public CompletionStage<?> onText(WebSocket from, CharSequence part, boolean last) {
            text.append(part);
            if (last) {
                JsonNode message = parsed(text.toString());
                text.setLength(0);
                if (message.has("id")) {
                    answers.remove(message.get("id").asInt()).complete(message);
                } else {
                    events.add(message);
                }
            }
            from.request(1);
            return null;
        }
    }

    private static JsonNode parsed(String text) {
        try {
            return JSON.readTree(text);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("Chromium said " + text, e);
        }
    }

    /** A command to the tab, and what it answers. */
    public JsonNode ask(String method, Map<String, ?> params) throws IOException {
        return ask(method, params, session);
    }

    private JsonNode ask(String method, Map<String, ?> params, String of) throws IOException {
        int id = asked.incrementAndGet();
        CompletableFuture<JsonNode> answer = new CompletableFuture<>();
        answers.put(id, answer);
        Map<String, Object> message = new HashMap<>(Map.of("id", id, "method", method, "params", params));
        if (of != null) {
            message.put("sessionId", of);
        }
        socket.sendText(JSON.writeValueAsString(message), true).join();
        try {
            JsonNode said = answer.get(PATIENCE_SECONDS, TimeUnit.SECONDS);
            if (said.has("error")) {
                throw new IOException(method + ": " + said.get("error"));
            }
            return said.get("result");
        } catch (InterruptedException | ExecutionException | TimeoutException e) {
            throw new IOException("Chromium did not answer " + method, e);
        }
    }

    /** Opens a page, and gives back all that happened until it had loaded. */
    public List<JsonNode> open(URI page) throws IOException {
        events.clear();
        ask("Page.navigate", Map.of("url", page.toString()));
        List<JsonNode> happened = new ArrayList<>();
        try {
            for (JsonNode event = events.poll(PATIENCE_SECONDS, TimeUnit.SECONDS); event != null;
                 event = events.poll(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
                happened.add(event);
                if (event.get("method").asText().equals("Page.loadEventFired")) {
                    // Answers come in order: whatever the page had to say by now is there.
                    script("new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))");
                    events.drainTo(happened);
                    return happened;
                }
            }
        } catch (InterruptedException e) {
            throw new IOException("Interrupted while " + page + " loaded", e);
        }
        throw new IOException(page + " did not load");
    }

    /** The value of an expression in the page, once it is there. */
    public JsonNode script(String expression) throws IOException {
        JsonNode result = ask("Runtime.evaluate", Map.of("expression", expression, "awaitPromise", true, "returnByValue", true));
        if (result.has("exceptionDetails")) {
            throw new IOException(result.get("exceptionDetails").toString());
        }
        return result.get("result").path("value");
    }

    @Override
    public void close() throws InterruptedException {
        socket.abort();
        List<ProcessHandle> helpers = process.descendants().toList();
        process.destroy();
        process.waitFor();
        helpers.forEach(ProcessHandle::destroyForcibly);
        helpers.forEach(one -> one.onExit().join());
        // A helper that is no descendant any more may write a little longer.
        for (int i = 0; i < MOST_TRIES && !isDeleted(); i++) {
            Thread.sleep(A_MOMENT);
        }
    }

    /** Not so where files come and go meanwhile. */
    private boolean isDeleted() {
        try (Stream<Path> files = Files.walk(profile)) {
            files.sorted(Comparator.reverseOrder()).map(Path::toFile).forEach(File::delete);
        } catch (IOException | UncheckedIOException e) {
            return false;
        }
        return Files.notExists(profile);
    }
}
