package io.github.dl4jlora.serve;

import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.bank.BankConfig;
import io.javalin.Javalin;
import io.javalin.config.JavalinConfig;
import io.javalin.http.Context;
import io.javalin.http.Handler;
import io.javalin.http.HandlerType;
import io.javalin.http.HttpResponseException;
import io.javalin.http.MethodNotAllowedResponse;
import io.javalin.router.ParsedEndpoint;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import org.deeplearning4j.nn.api.Model;
import org.eclipse.jetty.server.HttpConfiguration;
import org.eclipse.jetty.server.HttpConnectionFactory;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.server.handler.StatisticsHandler;
import org.eclipse.jetty.util.thread.QueuedThreadPool;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

import static io.github.dl4jlora.serve.Answers.later;

/**
 * One base and a folder of adapters behind an HTTP server.
 *
 * <p>No thread waits for a client: bodies arrive and answers leave a few bytes at a time. When a body is complete, one of a few
 * workers reads it and hands it to the bank, which computes requests of many clients together. So the server's own threads can
 * always report the service's state, whatever clients do.
 */
final class Service implements AutoCloseable {

    private static final Logger LOG = LoggerFactory.getLogger(Service.class);
    private static final int SPARE_THREADS = 16;
    private static final int CHANGES_AT_A_TIME = 2;
    private static final int MOST_WORKERS = 4;
    private static final long SWEEP_MILLIS = 100;

    private final ServiceConfig config;
    private final AdapterStore store;
    private final AdapterBank bank;
    private final PrometheusMeterRegistry registry;
    private final Javalin server;
    private final Intake intake;
    private final Connections connections;
    private final ExecutorService workers =
            threads("requests", Math.max(2, Math.min(MOST_WORKERS, Runtime.getRuntime().availableProcessors())));
    private final ExecutorService changes = threads("changes", CHANGES_AT_A_TIME);
    private final ScheduledExecutorService sweeper = Executors.newSingleThreadScheduledExecutor(work -> {
        Thread thread = new Thread(work, "dl4j-lora: deadlines");
        thread.setDaemon(true);
        return thread;
    });
    private boolean listening;
    private volatile boolean draining;

    /**
     * Starts to listen.
     *
     * @param base     to be served, not adapted
     * @param baseName its name in answers
     * @param texts    how the base reads texts, if it does
     * @param adapters the folder with the adapters
     * @throws IOException if the folder cannot be used, or the port is taken
     */
    static Service start(Model base, String baseName, TextModels texts, Path adapters, ServiceConfig config)
            throws IOException {
        AdapterStore store = new AdapterStore(adapters, texts.name() == null ? Set.of() : Set.of(texts.name()));
        if (config.token() != null) {
            store.own();
        }
        Service service = null;
        try {
            service = new Service(base, baseName, texts, store, config);
            service.listen();
            return service;
        } catch (IOException | RuntimeException e) {
            if (service == null) {
                store.close();
            } else {
                service.close();
            }
            throw e;
        }
    }

    private Service(Model base, String baseName, TextModels texts, AdapterStore store, ServiceConfig config) {
        this.config = config;
        this.store = store;
        registry = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
        MicrometerBankMetrics metrics = new MicrometerBankMetrics(registry);
        BankConfig bankConfig = config.bank(BankConfig.builder()).source(store).metrics(metrics)
                .verifyEvery(config.verifyEvery()).build();
        bank = new AdapterBank(base, bankConfig);
        metrics.watch(bank);
        HttpMeters meters = new HttpMeters(registry);
        Limits limits = config.limits();
        NetworkForm form = NetworkForm.of(base, bankConfig.maxQueued());
        intake = new Intake(limits.maxHeld(Runtime.getRuntime().maxMemory()), limits.pace());
        connections = new Connections(limits.maxConnections(), limits.pace(), intake);
        meters.watch(connections, intake);
        Inference inference = new Inference(bank, limits.timeout());
        Answers answers = new Answers(intake);
        OutputsRoute outputs = new OutputsRoute(inference, texts.name(), form, intake, limits, workers);
        TextIntake intakeOfTexts = new TextIntake(intake, limits, workers);
        RerankRoute rerank = new RerankRoute(inference, texts.reranker(), intakeOfTexts);
        AdaptersRoute adapters = new AdaptersRoute(store, bank, form, baseName, texts,
                new Access(config.token()), intake, new AdapterUpload(store, bank, limits, changes));
        Handler delete = later(request -> run(changes, () -> {
            adapters.delete(request);
            metrics.forget(request.pathParam("name"));
        }));
        server = Javalin.create(javalin -> {
                    configure(javalin);
                    javalin.requestLogger.http(meters::count);
                })
                .before(request -> request.header("X-Content-Type-Options", "nosniff"))
                .before(Answers::endAfterChunks)
                .before(new Hosts(config.host(), config.allowedHosts())::require)
                .before(this::requireOpen)
                .after(answers::send)
                .get("/v1/models", later(request -> run(workers, () -> adapters.list(request))))
                .get("/v1/models/{name}", later(request -> run(workers, () -> adapters.one(request))))
                .post("/v1/adapters/{name}/outputs", later(outputs::answer))
                .post("/v1/embeddings", later(new EmbeddingsRoute(inference, texts.encoder(), intakeOfTexts)::answer))
                .post("/v1/rerank", later(rerank::answer))
                .post("/v2/rerank", later(rerank::answer))
                .put("/v1/adapters/{name}", later(adapters::put))
                .delete("/v1/adapters/{name}", delete)
                // As OpenAI's clients delete a model.
                .delete("/v1/models/{name}", delete)
                .get("/health", this::health)
                // Javalin's own answer to HEAD is 200 whatever GET says, and load balancers use HEAD.
                .head("/health", this::health)
                .head("/v1/models/{name}", later(request -> run(workers, () -> adapters.one(request))))
                .get("/", new PageRoute()::answer)
                .get("/statistics", new StatisticsRoute(registry, bank, this::status)::answer)
                .get("/openapi.json", request -> request.contentType(Body.JSON).result(PageRoute.resource("openapi.json")))
                .get("/metrics", request -> request.contentType("text/plain; version=0.0.4; charset=utf-8")
                        .result(registry.scrape()));
        server.exception(MethodNotAllowedResponse.class, (failure, request) -> Answers.tellMethods(request, failure));
        // Two, since Javalin has a handler of its own for the first.
        for (Class<? extends Exception> type : List.of(HttpResponseException.class, Exception.class)) {
            server.exception(type, (failure, request) -> Answers.tell(request, Answers.problem(failure)));
        }
    }

    /** Work that reads or changes files. */
    private interface Work {
        void run() throws IOException;
    }

    private static CompletableFuture<Void> run(Executor threads, Work work) {
        return CompletableFuture.runAsync(() -> {
            try {
                work.run();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }, threads);
    }

    private static ExecutorService threads(String name, int count) {
        return Executors.newFixedThreadPool(count, work -> {
            Thread thread = new Thread(work, "dl4j-lora: " + name);
            thread.setDaemon(true);
            return thread;
        });
    }

    private void sweep() {
        try {
            connections.sweep();
            intake.sweep();
        } catch (RuntimeException e) {
            LOG.error("Connections of slow clients could not be ended", e);
        }
    }

    private void configure(JavalinConfig javalin) {
        // No thread waits for a client or a disk; if one did after all, there would be one for each connection.
        QueuedThreadPool threads = new QueuedThreadPool(config.limits().maxConnections() + SPARE_THREADS, 4);
        threads.setName("dl4j-lora: http");
        javalin.showJavalinBanner = false;
        javalin.startupWatcherEnabled = false;
        javalin.http.prefer405over404 = true;
        javalin.http.disableCompression();
        javalin.jetty.threadPool = threads;
        javalin.jetty.modifyServer(jetty -> {
            // An idle connection is closed after a second; requests under way have their time.
            jetty.setStopTimeout(config.limits().timeout().plusSeconds(2).toMillis());
            jetty.setErrorHandler(new JettyErrors());
            jetty.insertHandler(new StatisticsHandler());
        });
        javalin.jetty.modifyHttpConfiguration(http -> {
            http.setSendServerVersion(false);
            // The time of a body that does not arrive is counted from its head on.
            http.setDelayDispatchUntilContent(false);
        });
        javalin.jetty.addConnector(this::connector);
    }

    private ServerConnector connector(Server jetty, HttpConfiguration http) {
        ServerConnector connector = new ServerConnector(jetty, new HttpConnectionFactory(http));
        connector.setHost(config.host());
        connector.setPort(config.port());
        // Later than what Connections and Intake end: this would also end a request under way.
        connector.setIdleTimeout(Connections.IDLE.plus(config.limits().timeout()).toMillis());
        // A body may pause while the service stops; Jetty's own second is soon over on a busy machine.
        connector.setShutdownIdleTimeout(Connections.PAUSE.toMillis());
        connector.addBean(connections);
        try {
            // Opened now, since Javalin loses the reason if it fails later.
            connector.open();
        } catch (IOException e) {
            throw new UncheckedIOException(new IOException("Port " + config.port() + " of " + config.host() + " cannot be "
                    + "opened: " + reason(e) + ". Name another with --port, or 0 for any free port", e));
        }
        return connector;
    }

    private static String reason(IOException e) {
        return e.getCause() == null ? e.getMessage() : e.getCause().getMessage();
    }

    private void listen() throws IOException {
        try {
            server.start();
            listening = true;
            sweeper.scheduleWithFixedDelay(this::sweep, SWEEP_MILLIS, SWEEP_MILLIS, TimeUnit.MILLISECONDS);
        } catch (UncheckedIOException e) {
            throw e.getCause();
        }
    }

    /** The address of the service. */
    URI address() {
        String host = config.host().contains(":") ? "[" + config.host() + "]" : config.host();
        return URI.create("http://" + host + ":" + server.port() + "/");
    }

    /** Requests under way are answered; further ones on open connections are refused. */
    private void requireOpen(Context request) {
        if (draining) {
            request.header("Connection", "close");
            if (!request.path().equals("/health")) {
                throw Problem.unavailable("The service is stopping. Ask another one, or again later");
            }
        }
    }

    /** Methods and paths: {@code GET /v1/models}. */
    Set<String> routes(Set<HandlerType> methods) {
        return server.unsafeConfig().pvt.internalRouter.allHttpHandlers().stream().map(ParsedEndpoint::getEndpoint)
                .filter(route -> methods.contains(route.getMethod())).map(route -> route.getMethod() + " " + route.getPath())
                .collect(Collectors.toCollection(TreeSet::new));
    }

    /** Memory that requests hold now. */
    Intake intake() {
        return intake;
    }

    /** Connections that are open now. */
    Connections connections() {
        return connections;
    }

    boolean isDraining() {
        return draining;
    }

    private String status() {
        return draining ? "draining" : bank.baseStatus().defect().isPresent() ? "broken" : "ready";
    }

    private void health(Context request) {
        String status = status();
        request.status(status.equals("ready") ? 200 : 503).contentType(Body.JSON).result(Health.json(status, bank.baseStatus()));
    }

    private void stop() {
        try {
            server.stop();
        } catch (Exception e) {
            // Jetty's way to say that requests were still under way.
            LOG.warn("Requests that took longer than {} were cut off", config.limits().timeout());
        }
    }

    /** Stops: new requests are refused, those under way are answered, for as long as one request may take. */
    @Override
    public void close() {
        draining = true;
        connections.drain();
        if (listening) {
            stop();
        }
        List.of(sweeper, workers, changes).forEach(ExecutorService::shutdownNow);
        bank.close();
        try {
            store.close();
        } catch (IOException e) {
            LOG.warn("The lock of the adapters' folder could not be released: {}", e.getMessage());
        }
    }
}
