package io.github.dl4jlora.serve.trial;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.console.Folders;
import io.github.dl4jlora.console.Program;
import io.github.dl4jlora.console.Require;
import io.github.dl4jlora.console.ResultTable;
import io.github.dl4jlora.console.StatusLine;
import io.github.dl4jlora.console.UsageMessage;
import io.github.dl4jlora.machine.Threads;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.factory.Nd4j;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import picocli.CommandLine;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.ToDoubleFunction;

/** Measures what many adapters cost behind a service, and what batches gain. Measurements that are compared take turns. */
@Command(name = "load", sortOptions = false, description = "Starts the service in separate processes, with batches and without, "
        + "and lets clients ask it over loopback: for the base alone, and for one of 1, 10, 100, ... adapters at random.")
public final class LoadCommand implements Callable<Integer> {

    private static final int LAYERS = 3;
    private static final int RANK = 8;
    private static final int WITHOUT_BATCHES = -1;

    @Option(names = "--clients", paramLabel = "N", defaultValue = "32", description = "Number of clients. Default: "
            + "${DEFAULT-VALUE}.")
    private int clients;

    @Option(names = "--adapters", paramLabel = "N", split = ",", defaultValue = "1,10,100,1000,10000",
            description = "Numbers of adapters. Default: ${DEFAULT-VALUE}.")
    private List<Integer> adapters;

    @Option(names = "--width", paramLabel = "N", defaultValue = "2048",
            description = "Width of the network's " + LAYERS + " dense layers. Default: ${DEFAULT-VALUE}.")
    private int width;

    @Option(names = "--rounds", paramLabel = "N", defaultValue = "9",
            description = "How often each is measured, after one more round to warm up. Default: ${DEFAULT-VALUE}.")
    private int rounds;

    @Option(names = "--seconds", paramLabel = "N", defaultValue = "2",
            description = "Duration of each measurement. Default: ${DEFAULT-VALUE}.")
    private double seconds;

    @Option(names = "--hostile", paramLabel = "N", defaultValue = "0",
            description = "Instead measures what this many connections of hostile clients cost the others, which ask for one of "
                    + "the first number of adapters. Fails if a request is not answered.")
    private int hostile;

    @Option(names = {"-h", "--help"}, usageHelp = true, description = "Shows this text.")
    private boolean help;

    @Spec
    private CommandSpec spec;

    public static void main(String[] args) {
        Threads.settle();
        System.exit(Program.run(commandLine(), args));
    }

    /** What {@link #main} runs. */
    public static CommandLine commandLine() {
        return new CommandLine(new LoadCommand()).setParameterExceptionHandler(new UsageMessage("-Pserve -pl examples/serve"));
    }

    @Override
    public Integer call() throws IOException {
        Require.atLeastOne(spec, "--clients", clients);
        Require.atLeastOne(spec, "--width", width);
        Require.atLeastOne(spec, "--rounds", rounds);
        Require.aboveZero(spec, "--seconds", seconds);
        adapters.forEach(count -> Require.atLeastOne(spec, "--adapters", count));
        if (hostile < 0) {
            throw new ParameterException(spec.commandLine(), "--hostile is " + hostile + ", but must be at least 0");
        }
        PrintWriter out = spec.commandLine().getOut();
        StatusLine line = new StatusLine(spec.commandLine().getErr());
        Path folder = Files.createTempDirectory("dl4j-lora-load");
        try {
            int most = hostile > 0 ? adapters.get(0) : adapters.stream().max(Integer::compare).orElseThrow();
            line.show(() -> "Makes a network and " + most + " adapters");
            long bytes = write(folder, most);
            if (hostile > 0) {
                resist(folder, bytes, out, line);
                return CommandLine.ExitCode.OK;
            }
            Map<Integer, List<Pair>> found = measure(folder, bytes, line);
            line.clear();
            out.println(Vitals.processor() + ", clients beside the service");
            out.printf(Locale.ROOT, "%d layers, %d wide; rank %d, %,d bytes an adapter; %d clients, one row a request; medians "
                    + "of %d rounds of %.1f s%n%n", LAYERS, width, RANK, bytes, clients, rounds, seconds);
            out.print(table(found).toString(Program.columns(spec.commandLine())));
            List<Pair> without = found.get(WITHOUT_BATCHES);
            out.printf(Locale.ROOT, "%nWithout batches, %,d adapters: %.2f of the answers, %.2f times the processor time%n",
                    usual(), ratio(without, LoadClients.Found::rate), ratio(without, LoadClients.Found::work));
            out.printf(Locale.ROOT, "95 %% of the answers, %,d adapters / %,d: %.2f%n", usual(), adapters.get(0),
                    ratio(found.get(usual()), LoadClients.Found::tail)
                            / ratio(found.get(adapters.get(0)), LoadClients.Found::tail));
            out.flush();
        } finally {
            line.clear();
            Folders.deleteAll(folder);
        }
        return CommandLine.ExitCode.OK;
    }

    /** @return bytes of an adapter */
    private long write(Path folder, int count) throws IOException {
        NeuralNetConfiguration.ListBuilder list = new NeuralNetConfiguration.Builder().seed(1).activation(Activation.RELU).list();
        for (int i = 0; i < LAYERS; i++) {
            list.layer(new DenseLayer.Builder().nIn(width).nOut(width).build());
        }
        MultiLayerNetwork base = new MultiLayerNetwork(list.validateOutputLayerConfig(false).build());
        base.init();
        ModelSerializer.writeModel(base, folder.resolve("base.zip").toFile(), false);
        MultiLayerNetwork adapted = LoRA.apply(base, LoRAConfig.builder().rank(RANK).alpha(1).build());
        adapted.params().assign(Nd4j.randn(adapted.params().shape()).muli(0.01));
        Path one = folder.resolve("adapter");
        LoRAAdapter.of(adapted).save(one);
        Path all = Files.createDirectory(folder.resolve("adapters"));
        for (int i = 0; i < count; i++) {
            Path adapter = Files.createDirectory(all.resolve(name(i)));
            for (String file : List.of(Uploads.CONFIG, Uploads.TENSORS)) {
                // In memory the adapters are separate; on disk they can share files.
                Files.createLink(adapter.resolve(file), one.resolve(file));
            }
        }
        return adapted.params().length() * Float.BYTES;
    }

    private static String name(int adapter) {
        return "a" + adapter;
    }

    private ServedProcess serve(Path folder, long bytes, int maxBatch) throws IOException {
        long megabytes = (bytes >> 20) + 1;
        return ServedProcess.start(List.of("-Xmx2g", "-Dorg.bytedeco.javacpp.maxbytes=" + (2 * megabytes + 2_000) + "m",
                        "-Dorg.bytedeco.javacpp.maxphysicalbytes=0"), null, folder.resolve("base.zip"),
                folder.resolve("adapters"), "--max-batch", String.valueOf(maxBatch), "--max-bytes", 2 * megabytes + "m");
    }

    /**
     * One measurement, and what it is compared with, which was measured right before or after it.
     *
     * @param other the base alone or, for a measurement without batches, the same with batches
     */
    private record Pair(LoadClients.Found own, LoadClients.Found other) {
    }

    /** Measures clients with hostile ones, and right before or after without them. */
    private void resist(Path folder, long bytes, PrintWriter out, StatusLine line) throws IOException {
        byte[] body = Rows.safetensors(Nd4j.randn(1, width).toFloatMatrix());
        int count = adapters.get(0);
        List<Pair> pairs = new ArrayList<>();
        int sentAway = 0;
        try (ServedProcess service = serve(folder, bytes * count, clients)) {
            LoadClients asking = new LoadClients(service, clients, body);
            asking.askEach(LoadCommand::name, count, new AtomicInteger());
            for (int round = 0; round <= rounds; round++) {
                int number = round;
                line.show(() -> "Round " + number + " of " + rounds);
                LoadClients.Found before = round % 2 == 0 ? asking.ask(LoadCommand::name, count, seconds) : null;
                LoadClients.Found beside;
                try (HostileClients others = new HostileClients(service.address(), hostile)) {
                    beside = asking.ask(LoadCommand::name, count, seconds);
                    sentAway += others.sentAway();
                }
                Pair pair = new Pair(beside, before != null ? before : asking.ask(LoadCommand::name, count, seconds));
                if (round > 0) {
                    pairs.add(pair);
                }
            }
        }
        line.clear();
        out.println(Vitals.processor() + ", clients beside the service");
        out.printf(Locale.ROOT, "%d layers, %d wide; %d clients, one row a request, beside %d hostile ones, which were "
                + "disconnected %d times; medians of %d rounds of %.1f s, with and without "
                + "them%n%n", LAYERS, width, clients, hostile,
                sentAway, rounds, seconds);
        out.print(new ResultTable("", "with", "without", "ratio", "lowest", "highest")
                .row(compared("answers/s", pairs, LoadClients.Found::rate))
                .row(compared("half within, ms", pairs, LoadClients.Found::half))
                .row(compared("95 % within, ms", pairs, LoadClients.Found::tail))
                .toString(Program.columns(spec.commandLine())));
        out.println("\nEvery request was answered.");
        out.flush();
    }

    private static String[] compared(String title, List<Pair> pairs, ToDoubleFunction<LoadClients.Found> figure) {
        List<Double> ratios = pairs.stream().map(pair -> figure.applyAsDouble(pair.own) / figure.applyAsDouble(pair.other))
                .sorted().toList();
        return new String[] {title, number("%,.1f", median(pairs, pair -> figure.applyAsDouble(pair.own))),
                number("%,.1f", median(pairs, pair -> figure.applyAsDouble(pair.other))), number("%.2f", median(ratios)),
                number("%.2f", ratios.get(0)), number("%.2f", ratios.get(ratios.size() - 1))};
    }

    /** By number of adapters, and {@link #WITHOUT_BATCHES}. */
    private Map<Integer, List<Pair>> measure(Path folder, long bytes, StatusLine line) throws IOException {
        int most = adapters.stream().max(Integer::compare).orElseThrow();
        byte[] body = Rows.safetensors(Nd4j.randn(1, width).toFloatMatrix());
        Map<Integer, List<Pair>> found = new LinkedHashMap<>();
        adapters.forEach(count -> found.put(count, new ArrayList<>()));
        found.put(WITHOUT_BATCHES, new ArrayList<>());
        try (ServedProcess together = serve(folder, bytes * most, clients);
             ServedProcess alone = serve(folder, bytes * usual(), 1)) {
            LoadClients batches = new LoadClients(together, clients, body);
            LoadClients single = new LoadClients(alone, clients, body);
            AtomicInteger loaded = new AtomicInteger();
            line.show(() -> "Adapters that are in memory: " + loaded);
            batches.askEach(LoadCommand::name, most, loaded);
            single.askEach(LoadCommand::name, usual(), new AtomicInteger());
            for (int round = 0; round <= rounds; round++) {
                boolean first = round % 2 == 0;
                for (Map.Entry<Integer, List<Pair>> turn : found.entrySet()) {
                    int number = round;
                    line.show(() -> "Round " + number + " of " + rounds + ": " + title(turn.getKey()));
                    Pair pair = turn.getKey() == WITHOUT_BATCHES ? pair(first, single, usual(), batches, usual())
                            : pair(first, batches, turn.getKey(), batches, 0);
                    if (round > 0) {
                        turn.getValue().add(pair);
                    }
                }
            }
        }
        return found;
    }

    /** @param first whether {@code own} is measured before {@code other}: the order alternates */
    private Pair pair(boolean first, LoadClients own, int ownAdapters, LoadClients other, int otherAdapters) {
        LoadClients.Found early = first ? own.ask(LoadCommand::name, ownAdapters, seconds) : null;
        LoadClients.Found found = other.ask(LoadCommand::name, otherAdapters, seconds);
        return new Pair(first ? early : own.ask(LoadCommand::name, ownAdapters, seconds), found);
    }

    /** The number of adapters for the comparison with and without batches. */
    private int usual() {
        return adapters.contains(1_000) ? 1_000 : adapters.get(adapters.size() - 1);
    }

    private String title(int turn) {
        return String.format(Locale.ROOT, turn == WITHOUT_BATCHES ? "%,d, without batches" : "%,d",
                turn == WITHOUT_BATCHES ? usual() : turn);
    }

    private ResultTable table(Map<Integer, List<Pair>> found) {
        ResultTable table = new ResultTable("adapters", "answers/s", "of the base alone", "ratio", "processor time, ratio",
                "95 % within", "ratio");
        adapters.forEach(count -> {
            List<Pair> pairs = found.get(count);
            table.row(title(count), number("%,.0f", median(pairs, pair -> pair.own.rate())),
                    number("%,.0f", median(pairs, pair -> pair.other.rate())),
                    number("%.2f", ratio(pairs, LoadClients.Found::rate)), number("%.2f", ratio(pairs, LoadClients.Found::work)),
                    number("%.0f ms", median(pairs, pair -> pair.own.tail())),
                    number("%.2f", ratio(pairs, LoadClients.Found::tail)));
        });
        return table;
    }

    private static double ratio(List<Pair> pairs, ToDoubleFunction<LoadClients.Found> figure) {
        return median(pairs, pair -> figure.applyAsDouble(pair.own) / figure.applyAsDouble(pair.other));
    }

    private static double median(List<Pair> pairs, ToDoubleFunction<Pair> figure) {
        return median(pairs.stream().map(figure::applyAsDouble).toList());
    }

    private static double median(List<Double> values) {
        List<Double> sorted = values.stream().sorted().toList();
        int middle = sorted.size() / 2;
        return sorted.size() % 2 == 1 ? sorted.get(middle) : (sorted.get(middle - 1) + sorted.get(middle)) / 2;
    }

    private static String number(String format, double value) {
        return String.format(Locale.ROOT, format, value);
    }
}
