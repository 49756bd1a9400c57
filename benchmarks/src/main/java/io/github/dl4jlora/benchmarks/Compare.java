package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.Stream;

/**
 * Compares LoRA here with full fine-tuning, with DL4J's own freezing, with PyTorch and with the arithmetic's floor.
 * Every figure comes from a process of its own; sides take turns, round by round, so that drift hits all alike.
 */
@Command(name = "compare", mixinStandardHelpOptions = true, showDefaultValues = true,
        description = "Measures time per step, memory and bytes on disk, side by side, and writes a report.")
public final class Compare implements Callable<Integer> {

    private static final int[] ADAPTER_COUNTS = {1, 10, 100, 1000};

    @Option(names = "--full", description = "The large grid: widths to 4096, batch 1 and 256, rank 4 and 64, SGD.")
    private boolean full;

    @Option(names = "--rounds", description = "Rounds of each side.")
    private int rounds = 3;

    @Option(names = "--python", description = "Python interpreter with PyTorch on OpenBLAS.")
    private Path python = Path.of("/usr/bin/python3");

    @Option(names = "--output", description = "Folder for report.md and report.html.")
    private Path output = Path.of("target", "report");

    @Option(names = "--only", split = ",", description = "Only these parts: ${COMPLETION-CANDIDATES}.")
    private List<Part> only = List.of(Part.STEPS, Part.MEMORY, Part.ADAPTERS, Part.INFERENCE, Part.DISK, Part.ENCODER);

    @Option(names = "--sides", split = ",", description = "Only these sides: ${COMPLETION-CANDIDATES}.")
    private List<Side> sides = List.of(Side.values());

    /** What can be measured by itself. */
    enum Part { STEPS, MEMORY, ADAPTERS, INFERENCE, DISK, ENCODER, LAYERS, VARIANTS }

    public static void main(String[] args) {
        System.exit(new CommandLine(new Compare()).setCaseInsensitiveEnumValuesAllowed(true).execute(args));
    }

    @Override
    public Integer call() throws IOException {
        Results results = new Results();
        results.pyTorch = checkPython();
        results.machine = System.getProperty("os.name") + " " + System.getProperty("os.arch") + ", " + cpu() + ", "
                + Runtime.getRuntime().availableProcessors() + " cores, JDK " + Runtime.version().feature() + ", one BLAS thread";
        List<Shape> grid = full ? Shape.fullGrid() : Shape.defaultGrid();
        for (Part part : only) {
            switch (part) {
                case STEPS -> measureSteps(grid, results);
                case MEMORY -> measureMemory(results);
                case ADAPTERS -> measureManyAdapters(results);
                case INFERENCE -> measureInference(results);
                case DISK -> measureDisk(grid, results);
                case ENCODER -> measureEncoder(results);
                case LAYERS -> measureLayers(results);
                case VARIANTS -> measureVariants(results);
            }
        }
        Files.createDirectories(output);
        new Report(results).write(output);
        say("Report: " + output.toAbsolutePath().resolve("report.html"));
        return 0;
    }

    private String checkPython() {
        if (sides.stream().noneMatch(Side::isPyTorch)) {
            return "not asked for";
        }
        try {
            String found = Child.python(python, "peer.py", "check");
            say("PyTorch: " + found);
            return found;
        } catch (RuntimeException e) {
            return "absent";
        }
    }

    private static String cpu() throws IOException {
        Path info = Path.of("/proc/cpuinfo");
        if (!Files.isReadable(info)) {
            return "unknown processor";
        }
        try (Stream<String> lines = Files.lines(info)) {
            return lines.filter(line -> line.startsWith("model name")).findFirst().map(line -> line.replaceFirst(".*:\\s*", ""))
                    .orElse("unknown processor");
        }
    }

    private void measureSteps(List<Shape> grid, Results results) {
        for (Shape shape : grid) {
            Map<Side, List<Double>> millis = new EnumMap<>(Side.class);
            for (int round = 0; round < rounds; round++) {
                for (Side side : sides) {
                    if (!side.isPyTorch() || results.pyTorch.endsWith(" ok")) {
                        millis.computeIfAbsent(side, key -> new ArrayList<>()).add(step(side, shape));
                    }
                }
                say(shape.name() + ", round " + (round + 1) + ": " + millis);
            }
            millis.forEach((side, values) -> results.stepsOf(shape).put(side, median(values)));
        }
    }

    private double step(Side side, Shape shape) {
        if (side.isPyTorch()) {
            return Double.parseDouble(Child.python(python, "peer.py", side == Side.PYTORCH_LORA ? "lora"
                    : "full", String.valueOf(shape.rows()),
                    String.join(",", shape.widths().stream().map(String::valueOf).toList()), String.valueOf(shape.rank()),
                    shape.updater()));
        }
        return Double.parseDouble(Child.java(StepChild.class, side.name(), shape.encode()));
    }

    private void measureMemory(Results results) {
        if (!Memory.isMeasurable()) {
            say("Memory is measured on Linux only: left out");
            return;
        }
        for (Shape shape : List.of(Shape.square(1826, 3, 32, 8, "Adam"), Shape.square(5773, 3, 32, 8, "Adam"))) {
            Map<Side, Results.MemoryUse> use = new EnumMap<>(Side.class);
            for (Side side : List.of(Side.DL4J_FULL, Side.LORA)) {
                String[] parts = Child.java(MemoryChild.class, side.name(), shape.encode()).split(" ");
                use.put(side, new Results.MemoryUse(Long.parseLong(parts[0]), Long.parseLong(parts[1]),
                        Double.parseDouble(parts[2])));
            }
            results.memory.put(shape, use);
            say(shape.parameters() + " parameters: " + use);
        }
    }

    private void measureManyAdapters(Results results) {
        if (!Memory.isMeasurable()) {
            return;
        }
        List<String> args = new ArrayList<>(List.of(Shape.square(512, 3, 32, 8, "Adam").encode()));
        Arrays.stream(ADAPTER_COUNTS).mapToObj(String::valueOf).forEach(args::add);
        // Else pages of the heap that are touched for the first time in between would count as growth.
        String[] parts = Child.java(List.of("-XX:+AlwaysPreTouch"), ManyAdaptersChild.class, args.toArray(String[]::new))
                .split(" ");
        results.adapterBytes = Long.parseLong(parts[0]);
        for (int i = 0; i < ADAPTER_COUNTS.length; i++) {
            results.manyAdapters.put(ADAPTER_COUNTS[i], Long.parseLong(parts[i + 1]));
        }
        say("Adapted networks on one base: " + results.manyAdapters);
    }

    private void measureInference(Results results) {
        for (Shape shape : List.of(Shape.square(2048, 3, 32, 8, "Adam"), Shape.square(2048, 3, 1, 8, "Adam"))) {
            String[] parts = Child.java(InferenceChild.class, shape.encode()).split(" ");
            results.inference.put(shape, new Results.Inference(Double.parseDouble(parts[0]), Double.parseDouble(parts[1]),
                    Double.parseDouble(parts[2])));
            say(shape.name() + ": " + results.inference.get(shape));
        }
    }

    private void measureDisk(List<Shape> grid, Results results) throws IOException {
        for (Shape shape : grid) {
            Path folder = Files.createTempDirectory("dl4j-lora-benchmark");
            Path model = folder.resolve("model.zip");
            MultiLayerNetwork base = Networks.base(shape, false);
            base.fit(Networks.batch(shape));
            ModelSerializer.writeModel(base, model.toFile(), true);
            LoRAAdapter.of(LoRA.apply(base, Networks.config(shape).build())).save(folder.resolve("adapter"));
            long adapter = 0;
            try (Stream<Path> files = Files.list(folder.resolve("adapter"))) {
                for (Path file : files.toList()) {
                    adapter += Files.size(file);
                    Files.delete(file);
                }
            }
            results.disk.put(shape, new Results.Disk(Files.size(model), adapter));
            Files.delete(model);
            Files.delete(folder.resolve("adapter"));
            Files.delete(folder);
        }
    }

    private void measureEncoder(Results results) {
        Map<EncoderTask, List<Double>> here = new EnumMap<>(EncoderTask.class);
        Map<EncoderTask, List<Double>> there = new EnumMap<>(EncoderTask.class);
        for (int round = 0; round < rounds; round++) {
            for (EncoderTask task : EncoderTask.values()) {
                here.computeIfAbsent(task, key -> new ArrayList<>())
                        .add(Double.parseDouble(Child.java(EncoderChild.class, task.arguments())));
                if (results.pyTorch.endsWith(" ok")) {
                    there.computeIfAbsent(task, key -> new ArrayList<>())
                            .add(Double.parseDouble(Child.python(python, "encoder.py", task.arguments())));
                }
            }
            say("encoder, round " + (round + 1) + ": " + here + ", PyTorch " + there);
        }
        here.forEach((task, millis) -> results.encoder.put(task, new Results.Encoder(median(millis), median(there.get(task)))));
    }

    private void measureLayers(Results results) {
        for (LayerTask task : LayerTask.values()) {
            Map<LayerSide, List<double[]>> figures = new EnumMap<>(LayerSide.class);
            for (int round = 0; round < rounds; round++) {
                for (LayerSide side : LayerSide.values()) {
                    if (side.suits(task)) {
                        // The heap is small, so that peaks show what training needs.
                        figures.computeIfAbsent(side, key -> new ArrayList<>())
                                .add(numbers(Child.java(List.of("-Xms150m", "-Xmx150m"),
                                LayerChild.class, task.name(), side.name()).split(" ")));
                    }
                }
            }
            Map<LayerSide, Results.LayerCost> costs = new EnumMap<>(LayerSide.class);
            figures.forEach((side, of) -> costs.put(side, new Results.LayerCost(medianOf(of, 0), medianOf(of, 1),
                    (long) medianOf(of, 2), (long) medianOf(of, 3))));
            results.layers.put(task, costs);
            say(task.title() + ": " + costs);
        }
    }

    private void measureVariants(Results results) {
        Map<String, List<double[]>> figures = new LinkedHashMap<>();
        for (int round = 0; round < rounds; round++) {
            for (String variant : Child.java(VariantChild.class, Shape.square(1024, 3, 32, 8, "Adam").encode()).split(";")) {
                String[] parts = variant.split("=");
                figures.computeIfAbsent(parts[0], key -> new ArrayList<>()).add(numbers(parts[1].split(",")));
            }
        }
        figures.forEach((variant, of) -> results.variants.put(variant,
                new Results.VariantCost((long) medianOf(of, 0), medianOf(of, 1), medianOf(of, 2), medianOf(of, 3))));
        say("Variants: " + results.variants);
    }

    private static double[] numbers(String[] words) {
        return Arrays.stream(words).mapToDouble(Double::parseDouble).toArray();
    }

    private static double medianOf(List<double[]> rows, int column) {
        return StepChild.median(rows.stream().mapToDouble(row -> row[column]).toArray());
    }

    /** NaN of nothing. */
    private static double median(List<Double> values) {
        return values == null ? Double.NaN : StepChild.median(values.stream().mapToDouble(Double::doubleValue).toArray());
    }

    private static void say(String line) {
        System.err.println(line);
    }
}
