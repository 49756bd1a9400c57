package io.github.dl4jlora.serve;

import io.github.dl4jlora.bank.BankConfig;
import io.github.dl4jlora.cli.AddedCommand;
import io.github.dl4jlora.console.Require;
import io.github.dl4jlora.machine.Threads;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import picocli.CommandLine;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CountDownLatch;

/** {@code dl4j-lora serve}: runs until it is stopped. */
@Command(name = "serve", sortOptions = false, descriptionHeading = "%n", optionListHeading = "%nOptions:%n",
        footerHeading = "%nExamples:%n", synopsisHeading = "Usage: ",
        header = "Serves a network and many adapters over HTTP.",
        description = {"Adapters are read when they are first asked for. Requests of many clients for different adapters are "
                + "computed together.",
                "Ctrl-C or a SIGTERM stops it: new requests are refused, those under way are answered; exit code 0."},
        footer = {"  dl4j-lora serve --base base.zip --adapters adapters",
                "  dl4j-lora serve --encoder --adapters adapters --port 8081 --token-file token"})
public final class ServeCommand implements AddedCommand {

    /** What is served. */
    private static final class Served {

        @Option(names = "--base", paramLabel = "NETWORK", order = 1,
                description = "A saved network (.zip) without adapters, or one that quantize made.")
        private Path base;

        @Option(names = "--encoder", order = 2, arity = "0..1", paramLabel = "MODEL", fallbackValue = "minilm",
                description = "A sentence encoder instead, with OpenAI's POST /v1/embeddings and with POST /v1/rerank: minilm, "
                        + "bge, e5, or the folder of a sentence-transformers model. Without MODEL: all-MiniLM-L6-v2.")
        private String encoder;

        @Option(names = "--reranker", order = 2, paramLabel = "FOLDER",
                description = "A cross-encoder instead, a Hugging Face folder with a head of one output, with POST /v1/rerank.")
        private Path reranker;

        /** {@return what the command line names, with a network in memory} */
        ServedModel read(Integer maxTokens) throws IOException {
            return base != null ? ServedModel.network(base) : encoder != null ? ServedModel.encoder(encoder, maxTokens)
                    : ServedModel.reranker(reranker, maxTokens);
        }
    }

    @ArgGroup(multiplicity = "1")
    private Served served;

    @Option(names = "--adapters", required = true, paramLabel = "FOLDER", order = 3,
            description = "A folder with a folder for each adapter, by its name.")
    private Path adapters;

    @Option(names = "--port", paramLabel = "N", defaultValue = "8080", order = 4,
            description = "Port to listen on; 0 for any free port. Default: ${DEFAULT-VALUE}.")
    private int port;

    @Option(names = "--host", paramLabel = "NAME", defaultValue = "127.0.0.1", order = 5,
            description = "Address to listen on; 0.0.0.0 for clients on other machines. Default: ${DEFAULT-VALUE}, for this "
                    + "machine only.")
    private String host;

    @Option(names = "--allow-host", paramLabel = "NAME", order = 6,
            description = "A further host name that the service answers to, such as that of a proxy; * for any. Default: "
                    + "localhost, --host and, unless that is for this machine only, addresses.")
    private List<String> allowedHosts = List.of();

    @Mixin
    private TokenOptions token;

    @Option(names = "--networks", paramLabel = "N", order = 20,
            description = "How many batches may be computed at a time. Default: the number of processors.")
    private Integer networks;

    @Option(names = "--max-bytes", paramLabel = "SIZE", order = 21, converter = Quantities.Bytes.class,
            description = "How much memory adapters may take; the least recently used make room. Default: 256m.")
    private Long maxBytes;

    @Option(names = "--max-batch", paramLabel = "N", order = 22,
            description = "How many examples may be computed together. Default: 32.")
    private Integer maxBatch;

    @Option(names = "--max-delay", paramLabel = "TIME", order = 23, converter = Quantities.Time.class,
            description = "How long a request may wait for others to be computed with it, such as 2ms. Default: 1ms.")
    private Duration maxDelay;

    @Option(names = "--max-queued", paramLabel = "N", order = 24,
            description = "How many examples may wait; further requests are refused. Default: 1024.")
    private Integer maxQueued;

    @Option(names = "--pack", order = 24,
            description = "Computes with packed copies of the base's matrices, as large as these: "
                    + "often fewer milliseconds, more memory.")
    private boolean pack;

    @Option(names = "--max-body", paramLabel = "SIZE", defaultValue = "8m", order = 25, converter = Quantities.Bytes.class,
            description = "How large a request may be. Default: ${DEFAULT-VALUE}.")
    private long maxBody;

    @Option(names = "--max-upload", paramLabel = "SIZE", defaultValue = "256m", order = 26, converter = Quantities.Bytes.class,
            description = "How large an uploaded adapter may be. Default: ${DEFAULT-VALUE}.")
    private long maxUpload;

    @Option(names = "--timeout", paramLabel = "TIME", defaultValue = "30s", order = 27, converter = Quantities.Time.class,
            description = "How long a request may take to arrive, and its answer to be computed, each. Default: "
                    + "${DEFAULT-VALUE}.")
    private Duration timeout;

    @Option(names = "--read-timeout", paramLabel = "TIME", defaultValue = "10s", order = 27, converter = Quantities.Time.class,
            description = "How long a client may take to send a request's head, to send its body and to read its answer, each; "
                    + "longer for large ones, if the client keeps to --min-rate. Default: ${DEFAULT-VALUE}.")
    private Duration readTimeout;

    @Option(names = "--min-rate", paramLabel = "SIZE", defaultValue = "16k", order = 27, converter = Quantities.Bytes.class,
            description = "How many bytes a second a client has to send or read after --read-timeout. Default: ${DEFAULT-VALUE}.")
    private long minRate;

    @Option(names = "--max-connections", paramLabel = "N", defaultValue = "" + Limits.MOST_CONNECTIONS, order = 27,
            description = "How many clients may be connected; a further one takes the place of an idle one. "
                    + "Default: ${DEFAULT-VALUE}.")
    private int maxConnections;

    @Option(names = "--verify-every", paramLabel = "TIME", defaultValue = "10m", order = 28, converter = Quantities.Time.class,
            description = "How often the base is verified in memory. Default: ${DEFAULT-VALUE}.")
    private Duration verifyEvery;

    @Option(names = "--max-tokens", paramLabel = "N", order = 29,
            description = "--encoder, --reranker: the length in tokens to which texts are cut, at most the model's "
                    + "positions. Default: " + ServedModel.TOKENS + ", as all-MiniLM-L6-v2 has in "
                    + "sentence-transformers; with a folder of --encoder what the folder says.")
    private Integer maxTokens;

    @Option(names = "--stacktrace", order = 91, description = "On failure, also prints the stack trace.")
    private boolean stackTrace;

    @Option(names = {"-h", "--help"}, order = 92, usageHelp = true, description = "Shows this text.")
    private boolean help;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException, InterruptedException {
        ServiceConfig config = config();
        if (!Files.isDirectory(adapters)) {
            throw new IOException(adapters + (Files.exists(adapters) ? " is a file, but a folder of adapters is needed"
                    : " does not exist. Create the folder, or check the name"));
        }
        Threads.settle();
        ServedModel model = served.read(maxTokens);
        if (model.remark() != null) {
            say(model.remark());
        }
        Service service = Service.start(model.network(), model.name(), model.texts(), adapters, config);
        CountDownLatch ended = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            service.close();
            say("Ended.");
            // A JVM that a signal ends exits with 143, but this one has stopped in good order.
            Runtime.getRuntime().halt(CommandLine.ExitCode.OK);
        }, "dl4j-lora: ends the service"));
        say("Serving " + (served.base != null ? served.base : model.name()) + " and the adapters of " + adapters + " at "
                + service.address() + " (" + (config.token() == null ? "no changes without a token" : "changes with the token")
                + "). Ctrl-C stops it.");
        ended.await();
        return CommandLine.ExitCode.OK;
    }

    private void say(String line) {
        PrintWriter out = spec.commandLine().getOut();
        out.println(line);
        out.flush();
    }

    private ServiceConfig config() throws IOException {
        CommandLine line = spec.commandLine();
        if (port < 0 || port > 65535) {
            throw new ParameterException(line, "--port is " + port + ", but must be between 0 and 65535");
        }
        for (String name : allowedHosts) {
            try {
                Hosts.requireName(name);
            } catch (IllegalArgumentException e) {
                throw new ParameterException(line, "--allow-host is " + e.getMessage());
            }
        }
        requireLonger("--timeout", timeout);
        requireLonger("--read-timeout", readTimeout);
        requireLonger("--verify-every", verifyEvery);
        if (maxDelay != null && maxDelay.compareTo(timeout) >= 0) {
            throw new ParameterException(line, "--max-delay is " + maxDelay.toMillis() + "ms, but --timeout is "
                    + timeout.toMillis() + "ms: a single request would get no answer");
        }
        if (maxTokens != null && maxTokens < 2) {
            throw new ParameterException(line, "--max-tokens is " + maxTokens + ", but must be at least 2: what begins and ends "
                    + "a text counts as well");
        }
        if (maxTokens != null && served.base != null) {
            throw new ParameterException(line, "--max-tokens is for --encoder and --reranker: the network of --base reads "
                    + "numbers");
        }
        Require.atLeastOne(spec, "--networks", networks);
        Require.atLeastOne(spec, "--max-batch", maxBatch);
        Require.atLeastOne(spec, "--max-queued", maxQueued);
        if (maxQueued != null && maxQueued < PaddedBatches.MOST_WAITING && served.base == null) {
            throw new ParameterException(line, "--max-queued is " + maxQueued + ", but must be at least "
                    + PaddedBatches.MOST_WAITING + " with --encoder and --reranker: a request for many texts has so many "
                    + "computed at a time");
        }
        Require.atLeastOne(spec, "--max-connections", maxConnections);
        Limits limits = new Limits(maxBody, maxUpload, timeout, new Pace(readTimeout, minRate), maxConnections);
        long heap = Runtime.getRuntime().maxMemory();
        if (limits.leastHeld() > heap / 2) {
            throw new ParameterException(line, "--max-body is " + (maxBody >> 20) + " MiB, and reading such a request takes "
                    + (limits.leastHeld() >> 20) + " MiB, but Java may use " + (heap >> 20) + " MiB in all. Lower it, or give "
                    + "Java more with -Xmx");
        }
        return new ServiceConfig(host, port, token.token(System.getenv(TokenOptions.VARIABLE)), limits, verifyEvery, this::bank,
                allowedHosts);
    }

    private void requireLonger(String option, Duration value) {
        if (value.isZero()) {
            throw new ParameterException(spec.commandLine(), option + " is 0, but must be longer");
        }
    }

    private BankConfig.Builder bank(BankConfig.Builder bank) {
        if (networks != null) {
            bank.maxNetworks(networks);
        }
        if (maxBytes != null) {
            bank.maxBytes(maxBytes);
        }
        if (maxBatch != null) {
            bank.maxBatch(maxBatch);
        }
        if (maxDelay != null) {
            bank.maxDelay(maxDelay);
        }
        bank.pack(pack);
        if (maxQueued != null) {
            bank.maxQueued(maxQueued);
        }
        return bank;
    }
}
