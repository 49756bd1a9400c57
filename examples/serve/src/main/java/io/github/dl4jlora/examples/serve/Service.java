package io.github.dl4jlora.examples.serve;

import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.bank.BankConfig;
import io.javalin.Javalin;
import io.javalin.config.JavalinConfig;
import io.javalin.config.SizeUnit;
import io.javalin.http.Context;
import io.javalin.http.HandlerType;
import io.javalin.http.HttpResponseException;
import io.javalin.router.ParsedEndpoint;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import org.deeplearning4j.nn.api.Model;
import org.eclipse.jetty.http.BadMessageException;
import org.eclipse.jetty.server.HttpConfiguration;
import org.eclipse.jetty.server.HttpConnectionFactory;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.server.handler.StatisticsHandler;
import org.eclipse.jetty.util.thread.QueuedThreadPool;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.EOFException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeoutException;
import java.util.stream.Collectors;

/**
 * One base and a folder of adapters behind an HTTP server.
 *
 * <p>A request's thread reads it and hands it to the bank, which computes requests of many callers together; another thread of
 * the server writes the answer.
 */
final class Service implements AutoCloseable {

    private static final Logger LOG = LoggerFactory.getLogger(Service.class);
    private static final int MOST_THREADS = 64;

    private final ServiceConfig config;
    private final AdapterStore store;
    private final AdapterBank bank;
    private final PrometheusMeterRegistry registry;
    private final Javalin server;
    private boolean listening;
    private volatile boolean draining;

    /**
     * Starts to listen.
     *
     * @param base     to be served, not adapted
     * @param baseName what it is called in answers
     * @param encoder  where the base is a sentence encoder, what cuts texts for it; null otherwise
     * @param adapters the folder with the adapters
     * @throws IOException if the folder cannot be used, or the port is taken
     */
    static Service start(Model base, String baseName, BankEncoder encoder, Path adapters, ServiceConfig config)
            throws IOException {
        AdapterStore store = new AdapterStore(adapters, encoder == null ? Set.of() : Set.of(BankEncoder.NAME));
        if (config.token() != null) {
            store.own();
        }
        Service service = null;
        try {
            service = new Service(base, baseName, encoder, store, config);
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

    private Service(Model base, String baseName, BankEncoder encoder, AdapterStore store, ServiceConfig config) {
        this.config = config;
        this.store = store;
        registry = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
        MicrometerBankMetrics metrics = new MicrometerBankMetrics(registry);
        bank = new AdapterBank(base, config.bank(BankConfig.builder()).source(store).metrics(metrics)
                .verifyEvery(config.verifyEvery()).build());
        metrics.watch(bank);
        HttpMeters meters = new HttpMeters(registry);
        NetworkForm form = NetworkForm.of(base);
        QueuedThreadPool threads = new QueuedThreadPool(MOST_THREADS, 4);
        threads.setName("dl4j-lora: http");
        Inference inference = new Inference(bank, config.limits().timeout());
        OutputsRoute outputs = new OutputsRoute(inference, form, config.limits(), threads);
        EmbeddingsRoute embeddings = new EmbeddingsRoute(inference, encoder, config.limits(), threads);
        AdaptersRoute adapters = new AdaptersRoute(store, bank, form, baseName, new Access(config.token()), config.limits());
        Intake intake = new Intake(config.limits().maxBody());
        server = Javalin.create(javalin -> {
                    configure(javalin, threads);
                    javalin.requestLogger.http(meters::count);
                })
                .before(request -> request.header("X-Content-Type-Options", "nosniff"))
                .before(this::requireOpen)
                .before("/v1/adapters/{name}/outputs", intake::take)
                .before("/v1/embeddings", intake::take)
                .after(intake::giveBack)
                .get("/v1/models", adapters::list)
                .get("/v1/models/{name}", adapters::one)
                .post("/v1/adapters/{name}/outputs", outputs::answer)
                .post("/v1/embeddings", embeddings::answer)
                .put("/v1/adapters/{name}", adapters::put)
                .delete("/v1/adapters/{name}", adapters::delete)
                .get("/health", this::health)
                .get("/", new PageRoute()::answer)
                .get("/statistics", new StatisticsRoute(registry, bank, this::status)::answer)
                .get("/openapi.json", request -> request.contentType(Body.JSON).result(PageRoute.resource("openapi.json")))
                .get("/metrics", request -> request.contentType("text/plain; version=0.0.4; charset=utf-8")
                        .result(registry.scrape()));
        // Two, since Javalin has a handler of its own for the first; what comes after an answer does not come after these.
        for (Class<? extends Exception> type : List.of(HttpResponseException.class, Exception.class)) {
            server.exception(type, (failure, request) -> {
                intake.giveBack(request);
                tell(request, problem(failure));
            });
        }
    }

    private void configure(JavalinConfig javalin, QueuedThreadPool threads) {
        javalin.showJavalinBanner = false;
        javalin.startupWatcherEnabled = false;
        javalin.http.prefer405over404 = true;
        javalin.http.disableCompression();
        javalin.jetty.threadPool = threads;
        javalin.jetty.modifyServer(jetty -> {
            // An idle connection is closed after a second; who is in has its time.
            jetty.setStopTimeout(config.limits().timeout().plusSeconds(2).toMillis());
            jetty.setErrorHandler(new JettyErrors());
            jetty.insertHandler(new StatisticsHandler());
        });
        javalin.jetty.modifyHttpConfiguration(http -> http.setSendServerVersion(false));
        javalin.jetty.addConnector(this::connector);
        if (config.token() != null) {
            javalin.jetty.multipartConfig.cacheDirectory(store.scratch().toAbsolutePath().toString());
        }
        // Against a form whose parts are small and many; what exceeds it is told by AdapterUpload.
        javalin.jetty.multipartConfig.maxTotalRequestSize(config.limits().maxUpload(), SizeUnit.BYTES);
        javalin.jetty.multipartConfig.maxFileSize(config.limits().maxUpload(), SizeUnit.BYTES);
        javalin.jetty.multipartConfig.maxInMemoryFileSize(1, SizeUnit.MB);
    }

    private ServerConnector connector(Server jetty, HttpConfiguration http) {
        ServerConnector connector = new ServerConnector(jetty, new HttpConnectionFactory(http));
        connector.setHost(config.host());
        connector.setPort(config.port());
        connector.setIdleTimeout(config.limits().timeout().plus(Duration.ofSeconds(5)).toMillis());
        try {
            // Now, since Javalin loses the reason if it fails later.
            connector.open();
        } catch (IOException e) {
            throw new UncheckedIOException(new IOException("Port " + config.port() + " of " + config.host() + " cannot be had: "
                    + reason(e) + ". Name another with --port, or 0 for any that is free", e));
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
        } catch (UncheckedIOException e) {
            throw e.getCause();
        }
    }

    /** Where it listens. */
    URI address() {
        String host = config.host().contains(":") ? "[" + config.host() + "]" : config.host();
        return URI.create("http://" + host + ":" + server.port() + "/");
    }

    /** Whoever is in is answered; others on open connections are sent away. */
    private void requireOpen(Context request) {
        if (draining) {
            request.header("Connection", "close");
            if (!request.path().equals("/health")) {
                throw Problem.unavailable("The service is ending. Ask another, or again later");
            }
        }
    }

    /** Methods and paths: {@code GET /v1/models}. */
    Set<String> routes(Set<HandlerType> methods) {
        return server.unsafeConfig().pvt.internalRouter.allHttpHandlers().stream().map(ParsedEndpoint::getEndpoint)
                .filter(route -> methods.contains(route.getMethod())).map(route -> route.getMethod() + " " + route.getPath())
                .collect(Collectors.toCollection(TreeSet::new));
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

    private static Problem problem(Exception failure) {
        if (failure instanceof HttpResponseException http) {
            return new Problem(http.getStatus(), null, http.getMessage());
        }
        if (failure instanceof BadMessageException bad) {
            return new Problem(bad.getCode(), null, "The request cannot be read: " + bad.getReason());
        }
        if (failure instanceof EOFException) {
            return Problem.badRequest("The connection ended before the request did");
        }
        if (failure instanceof IOException && failure.getCause() instanceof TimeoutException) {
            return Body.tooSlow();
        }
        return Inference.problem(failure);
    }

    private static void tell(Context request, Problem problem) {
        if (problem.status() == 429 || problem.status() == 503) {
            request.header("Retry-After", "1");
        }
        request.status(problem.status()).contentType(Body.JSON).result(problem.json());
    }

    private void stop() {
        try {
            server.stop();
        } catch (Exception e) {
            // Jetty's way to say that somebody was still in.
            LOG.warn("Requests that took longer than {} were cut off", config.limits().timeout());
        }
    }

    /** Ends: nobody new is let in, who is in gets an answer, for as long as one request may take. */
    @Override
    public void close() {
        draining = true;
        if (listening) {
            stop();
        }
        bank.close();
        try {
            store.close();
        } catch (IOException e) {
            LOG.warn("The folder of the adapters could not be given back: {}", e.getMessage());
        }
    }
}
