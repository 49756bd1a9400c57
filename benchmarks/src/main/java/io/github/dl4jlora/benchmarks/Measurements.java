package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LayerType;
import org.apache.commons.io.FileUtils;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * Measures the parts of a comparison, each figure in a separate process. A failure leaves a line in the results and a gap in the
 * tables.
 */
final class Measurements {

    private static final int[] ADAPTER_COUNTS = {1, 10, 100, 1000};
    private static final int SHOWN = 200;
    static final String PYTORCH = "PyTorch";
    /** What encoder.py calls its ways to compute attention. */
    private static final String SDPA = "sdpa";
    private static final String EAGER = "eager";

    private final Results results;
    private final int rounds;
    private final List<Side> sides;
    private final Path python;
    private final Turns turns;

    Measurements(Results results, int rounds, List<Side> sides, Path python) {
        this.results = results;
        this.rounds = rounds;
        this.sides = sides;
        this.python = python;
        this.turns = new Turns(this, rounds);
    }

    /**
     * Passes on what a child gives, or records its failure.
     *
     * @return whether it did not fail
     */
    <T> boolean attempt(String what, Supplier<T> child, Consumer<T> then) {
        T found;
        try {
            found = child.get();
        } catch (RuntimeException e) {
            List<String> lines = e.getMessage().lines().filter(line -> !line.isBlank()).toList();
            String why = lines.get(0) + (lines.size() > 1 ? " " + lines.get(lines.size() - 1).strip() : "");
            results.failures.add(what + ": " + why.substring(0, Math.min(SHOWN, why.length())));
            say("FAILED: " + what + ": " + e.getMessage());
            return false;
        }
        then.accept(found);
        return true;
    }

    void machine(Kernels kernels) throws IOException {
        try {
            results.machine.putAll(Machine.facts(kernels));
        } catch (RuntimeException e) {
            results.failures.add("the machine's facts: " + e.getMessage());
        }
        if (sides.stream().noneMatch(Side::isPyTorch)) {
            results.pyTorch = "not asked for";
        } else {
            attempt("PyTorch", () -> Child.python(Settings.AS_FOUND, python, "peer.py", "check"),
                    found -> results.pyTorch = found);
        }
        if (hasPyTorch()) {
            results.machine.putAll(Machine.peerFacts(python));
        } else {
            results.machine.put("PyTorch", results.pyTorch);
        }
        results.machine.forEach((name, value) -> say(name + ": " + value));
    }

    boolean hasPyTorch() {
        return results.pyTorch.endsWith(" ok");
    }

    void steps(List<Shape> grid) {
        for (Shape shape : grid) {
            turns.medians(runs(shape), run -> run.title() + ", " + shape.name(), run -> step(run, shape))
                    .forEach((run, millis) -> results.stepsOf(shape).put(run, millis[0]));
            say(shape.name() + ": " + results.steps.get(shape));
        }
    }

    private List<Results.Run> runs(Shape shape) {
        List<Settings> all = shape.isCompared() ? List.of(Settings.values()) : List.of(Settings.ONE_THREAD);
        return all.stream().flatMap(settings -> sides.stream().filter(Side::isOfDenseLayers)
                .filter(side -> side.isMeasuredUnder(settings)).filter(side -> !side.isPyTorch() || hasPyTorch())
                .map(side -> new Results.Run(side, settings))).toList();
    }

    private TurnTaker step(Results.Run run, Shape shape) {
        if (!run.side().isPyTorch()) {
            return Child.javaTurns(run.settings(), run.side().jvmOptions(), StepChild.class, run.side().name(), shape.encode());
        }
        return Child.pythonTurns(run.settings(), python, "peer.py", run.side() == Side.PYTORCH_LORA ? "lora" : "full",
                threads(run.settings()), String.valueOf(shape.rows()),
                shape.widths().stream().map(String::valueOf).collect(Collectors.joining(",")), String.valueOf(shape.rank()),
                shape.updater());
    }

    /** PyTorch's number of threads. */
    static String threads(Settings settings) {
        return settings == Settings.ONE_THREAD ? "1" : "default";
    }

    void arrays() {
        for (Side side : List.of(Side.DL4J_FULL, Side.LORA)) {
            attempt("arrays, " + side.title(), () -> Child.java(Settings.ONE_THREAD, ArraysChild.class, side.name(),
                    Shape.of(256).encode()), found -> {
                        double[] made = numbers(found.split(" "));
                        results.made.put(side, new Results.Made(made[0], made[1]));
                    });
        }
        say("Made in a step: " + results.made);
    }

    void resident() {
        if (!isMemoryMeasurable()) {
            return;
        }
        for (Settings settings : List.of(Settings.SETTLED, Settings.ONE_THREAD)) {
            for (Side side : List.of(Side.DL4J_FULL, Side.LORA)) {
                attempt("resident memory, " + side.title(), () -> Child.java(settings, List.of("-Xmx1g"), ResidentChild.class,
                        side.name(), Shape.of(256).encode()),
                        found -> results.resident.put(new Results.Run(side, settings), Long.parseLong(found)));
            }
        }
        say("Grown by: " + results.resident);
    }

    static boolean isMemoryMeasurable() {
        if (!Memory.isMeasurable()) {
            say("Memory is measured on Linux only: left out");
        }
        return Memory.isMeasurable();
    }

    void memory() {
        if (!isMemoryMeasurable()) {
            return;
        }
        for (Shape shape : List.of(Shape.of(1826), Shape.of(5773))) {
            Map<Side, Results.MemoryUse> use = new EnumMap<>(Side.class);
            for (Side side : List.of(Side.DL4J_FULL, Side.LORA)) {
                attempt("memory, " + side.title() + ", " + shape.name(),
                        () -> Child.java(Settings.ONE_THREAD, MemoryChild.class, side.name(), shape.encode()), found -> {
                            String[] parts = found.split(" ");
                            use.put(side, new Results.MemoryUse(Long.parseLong(parts[0]), Long.parseLong(parts[1]),
                                    Double.parseDouble(parts[2])));
                        });
            }
            results.memory.put(shape, use);
            say(shape.parameters() + " parameters: " + use);
        }
    }

    void manyAdapters() {
        if (!isMemoryMeasurable()) {
            return;
        }
        List<String> args = new ArrayList<>(List.of(Shape.of(512).encode()));
        Arrays.stream(ADAPTER_COUNTS).mapToObj(String::valueOf).forEach(args::add);
        // Otherwise pages of the heap that are touched for the first time in between would count as growth.
        attempt("many adapted networks", () -> Child.java(Settings.ONE_THREAD, List.of("-XX:+AlwaysPreTouch"),
                ManyAdaptersChild.class, args.toArray(String[]::new)), found -> {
                    String[] parts = found.split(" ");
                    results.adapterBytes = Long.parseLong(parts[0]);
                    for (int i = 0; i < ADAPTER_COUNTS.length; i++) {
                        results.manyAdapters.put(ADAPTER_COUNTS[i], Long.parseLong(parts[i + 1]));
                    }
                });
        say("Adapted networks on one base: " + results.manyAdapters);
    }

    void inference() {
        for (Shape shape : List.of(Shape.of(2048), Shape.square(2048, 3, 1, 8, "Adam"))) {
            for (Settings settings : List.of(Settings.SETTLED, Settings.ONE_THREAD)) {
                attempt("inference, " + settings.title() + ", " + shape.name(),
                        () -> Child.java(settings, InferenceChild.class, shape.encode()), found -> {
                            double[] millis = numbers(found.split(" "));
                            results.inference.computeIfAbsent(shape, key -> new EnumMap<>(Settings.class)).put(settings,
                                    new Results.Inference(millis[0], millis[1], millis[2], millis[3]));
                        });
            }
            say(shape.name() + ": " + results.inference.get(shape));
        }
    }

    void disk(List<Shape> grid) throws IOException {
        for (Shape shape : grid) {
            inTemporaryFolder(folder -> {
                File model = folder.resolve("model.zip").toFile();
                File adapter = folder.resolve("adapter").toFile();
                MultiLayerNetwork base = Networks.base(shape, false);
                base.fit(Networks.batch(shape));
                ModelSerializer.writeModel(base, model, true);
                LoRAAdapter.of(LoRA.apply(base, Networks.config(shape).build())).save(adapter.toPath());
                results.disk.put(shape, new Results.Disk(model.length(), FileUtils.sizeOfDirectory(adapter)));
            });
        }
    }

    /** Works with a folder. */
    @FunctionalInterface
    interface FolderUse {
        void with(Path folder) throws IOException;
    }

    /** Makes a folder for {@code use}, and deletes it afterwards with its content. */
    static void inTemporaryFolder(FolderUse use) throws IOException {
        Path folder = Files.createTempDirectory("dl4j-lora-benchmark");
        try {
            use.with(folder);
        } finally {
            FileUtils.deleteDirectory(folder.toFile());
        }
    }

    void encoder() {
        for (Settings settings : List.of(Settings.SETTLED, Settings.ONE_THREAD)) {
            List<PairedRun<EncoderTask>> runs = PairedRun.of(EncoderTask.values(),
                    task -> hasPyTorch() && task.peer() == task ? List.of(PYTORCH) : List.of());
            Map<PairedRun<EncoderTask>, double[]> millis = turns.medians(runs,
                    run -> run.title(task -> "encoder, " + task.title() + ", " + settings.title()),
                    run -> run.isHere() ? Child.javaTurns(settings, List.of(), EncoderChild.class, run.task().arguments())
                            : Child.pythonTurns(settings.ofPyTorch(), python, "encoder.py",
                                    run.task().arguments(threads(settings))));
            millis.keySet().stream().filter(PairedRun::isHere).map(PairedRun::task).forEach(task ->
                    results.encoder.computeIfAbsent(settings, key -> new EnumMap<>(EncoderTask.class)).put(task,
                            new Results.Encoder(PairedRun.first(millis, PairedRun.here(task)),
                                    PairedRun.first(millis, new PairedRun<>(task.peer(), PYTORCH)))));
            say("encoder, " + settings.title() + ": " + results.encoder.get(settings));
        }
    }

    void bertBase() {
        for (Settings settings : List.of(Settings.SETTLED, Settings.ONE_THREAD)) {
            List<PairedRun<BertBaseTask>> runs = PairedRun.of(BertBaseTask.values(),
                    task -> hasPyTorch() && task.peer() == task ? List.of(SDPA, EAGER) : List.of());
            Map<PairedRun<BertBaseTask>, double[]> found = turns.medians(runs,
                    run -> run.title(task -> "BERT-base, " + task.title() + ", " + settings.title()),
                    run -> run.isHere() ? Child.javaTurns(settings, List.of(), BertBaseChild.class, run.task().name())
                            : Child.pythonTurns(settings.ofPyTorch(), python, "encoder.py",
                                    run.task().arguments(threads(settings), run.peer())));
            Map<BertBaseTask, Results.BertBase> costs = new EnumMap<>(BertBaseTask.class);
            for (BertBaseTask task : BertBaseTask.values()) {
                Results.Cost sdpa = Results.Cost.of(found.get(new PairedRun<>(task.peer(), SDPA)));
                Results.Cost eager = Results.Cost.of(found.get(new PairedRun<>(task.peer(), EAGER)));
                costs.put(task, new Results.BertBase(Results.Cost.of(found.get(PairedRun.here(task))),
                        eager.millis() < sdpa.millis() ? eager : sdpa));
            }
            results.bertBase.put(settings, costs);
            say("BERT-base, " + settings.title() + ": " + costs);
        }
    }

    void texts() {
        TextMeasurements.measure(this, results, turns, rounds, python);
    }

    /** The networks whose layers with LoRA are of this kind. */
    void peers(LayerType adapted) throws IOException {
        List<PeerTask> tasks = Arrays.stream(PeerTask.values()).filter(task -> task.adapted() == adapted).toList();
        PeerMeasurements.measure(this, results, tasks, sides, turns, python);
    }

    void onnx() {
        OnnxMeasurements.measure(this, results, rounds);
    }

    void storage() throws IOException {
        StorageMeasurements storage = new StorageMeasurements(this, results);
        storage.times(rounds);
        storage.bytes();
        storage.loading();
        storage.mapped();
    }

    void serving() {
        ServingMeasurements.measure(this, results, rounds);
    }

    void plans() {
        if (isMemoryMeasurable()) {
            PlanMeasurements.measure(this, results);
        }
    }

    void builds(List<BuildTask> tasks, Map<String, Path> others) {
        BuildMeasurements.measure(results, tasks, others, turns);
    }

    void layers() {
        for (LayerTask task : LayerTask.values()) {
            Map<LayerSide, Results.LayerCost> costs = new EnumMap<>(LayerSide.class);
            // The heap is small, so that peaks show what training needs.
            turns.medians(List.of(LayerSide.values()), side -> task.title() + ", " + side.title(),
                    side -> Child.javaTurns(Settings.ONE_THREAD, List.of("-Xms150m", "-Xmx150m"), LayerChild.class, task.name(),
                            side.name())).forEach((side, of) -> costs.put(side,
                                    new Results.LayerCost(of[0], of[1], (long) of[2], (long) of[3])));
            results.layers.put(task, costs);
            say(task.title() + ": " + costs);
        }
    }

    void variants() {
        Map<String, List<double[]>> figures = new LinkedHashMap<>();
        for (int round = 0; round < rounds; round++) {
            attempt("variants", () -> Child.java(Settings.ONE_THREAD, VariantChild.class, Shape.of(1024).encode()), found -> {
                for (String variant : found.split(";")) {
                    String[] parts = variant.split("=");
                    figures.computeIfAbsent(parts[0], key -> new ArrayList<>()).add(numbers(parts[1].split(",")));
                }
            });
        }
        figures.forEach((variant, of) -> results.variants.put(variant,
                new Results.VariantCost((long) medianOf(of, 0), medianOf(of, 1), medianOf(of, 2), medianOf(of, 3))));
        say("Variants: " + results.variants);
    }

    static double[] numbers(String[] words) {
        return Arrays.stream(words).mapToDouble(Double::parseDouble).toArray();
    }

    static double medianOf(List<double[]> rows, int column) {
        return Clock.median(rows.stream().mapToDouble(row -> row[column]).toArray());
    }

    /** Of each column. */
    static double[] medians(List<double[]> rows) {
        return IntStream.range(0, rows.get(0).length).mapToDouble(column -> medianOf(rows, column)).toArray();
    }

    /** NaN if there are no values. */
    static double median(List<Double> values) {
        return values == null || values.isEmpty() ? Double.NaN
                : Clock.median(values.stream().mapToDouble(Double::doubleValue).toArray());
    }

    static void say(String line) {
        System.err.println(line);
    }
}
