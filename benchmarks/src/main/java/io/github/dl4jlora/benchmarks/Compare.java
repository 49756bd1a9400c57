package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.conf.LayerType;
import io.github.dl4jlora.console.Program;
import io.github.dl4jlora.console.Require;
import io.github.dl4jlora.console.UsageMessage;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;

/**
 * Compares LoRA with full fine-tuning, with DL4J's own freezing, with PyTorch and with the least that the arithmetic takes, as
 * found and as recommended. Every figure comes from a separate process; sides take turns, so that drift affects all alike.
 */
@Command(name = "compare", mixinStandardHelpOptions = true, showDefaultValues = true,
        description = "Measures time per step, memory and bytes on disk, side by side, and writes a report.")
public final class Compare implements Callable<Integer> {

    @Option(names = "--full", description = "All parts but ONNX and BUILDS, and the large grid: widths to 4096, batch 1 and 256, "
            + "rank 4 and 64, SGD.")
    private boolean full;

    @Option(names = "--rounds", description = "Rounds of each side.")
    private int rounds = 3;

    @Option(names = "--python", description = "Python interpreter with PyTorch on OpenBLAS.")
    private Path python = Path.of("/usr/bin/python3");

    @Option(names = "--output", description = "Folder for report.md and report.html.")
    private Path output = Path.of("benchmarks", "target", "report");

    @Option(names = "--only", split = ",", description = "Only these parts: ${COMPLETION-CANDIDATES}. Default: all but "
            + "BERT_BASE, TEXTS, LAYERS and VARIANTS, which are in --full, ONNX, which needs -Ponnx-runtime, and "
            + "BUILDS.")
    private List<Part> only;

    @Option(names = "--sides", split = ",", description = "Only these sides: ${COMPLETION-CANDIDATES}.")
    private List<Side> sides = List.of(Side.values());

    @Option(names = "--avx2", description = "Only kernels of AVX2 on all sides, as on processors without AVX-512.")
    private boolean avx2;

    @Option(names = "--builds", split = ",", paramLabel = "NAME=FOLDER", description = "For the part BUILDS: other builds of the "
            + "library, or only the classes that differ.")
    private Map<String, Path> builds = Map.of();

    @Option(names = "--tasks", split = ",", description = "For the part BUILDS, only these: ${COMPLETION-CANDIDATES}.")
    private List<BuildTask> tasks = List.of(BuildTask.values());

    @Spec
    private CommandSpec spec;

    /** The parts that can be measured separately. */
    enum Part {
        STEPS, ARRAYS, RESIDENT, MEMORY, ADAPTERS, INFERENCE, DISK, CONVOLUTION, LSTM, EMBEDDING, ATTENTION, ENCODER, BERT_BASE,
        TEXTS, STORAGE, SERVING, PLAN, LAYERS, VARIANTS, ONNX, BUILDS
    }

    public static void main(String[] args) {
        System.exit(Program.run(commandLine(), args));
    }

    static CommandLine commandLine() {
        return new CommandLine(new Compare()).setCaseInsensitiveEnumValuesAllowed(true)
                .setParameterExceptionHandler(new UsageMessage("-pl benchmarks"));
    }

    @Override
    public Integer call() throws IOException {
        Require.atLeastOne(spec, "--rounds", rounds);
        Results results = new Results();
        Measurements measurements = new Measurements(results, rounds, sides, python);
        Files.createDirectories(output);
        Kernels kernels = avx2 ? Kernels.AVX2 : Kernels.OWN;
        Child.allow(kernels);
        measurements.machine(kernels);
        for (Part part : parts()) {
            long begin = System.nanoTime();
            try {
                measure(part, measurements);
            } catch (RuntimeException | IOException e) {
                // The other parts may have taken hours.
                results.failures.add(part + ": " + e);
            }
            Measurements.say(part + " took " + Duration.ofNanos(System.nanoTime() - begin).toSeconds() + " s");
            // After each part, so that an interrupted run leaves what it has measured.
            new Report(results).write(output);
        }
        Measurements.say("Report: " + output.toAbsolutePath().resolve("report.html"));
        return 0;
    }

    private List<Part> parts() {
        if (only != null) {
            return only;
        }
        return full ? Arrays.stream(Part.values()).filter(part -> part != Part.BUILDS && part != Part.ONNX).toList()
                : List.of(Part.STEPS, Part.ARRAYS, Part.RESIDENT, Part.MEMORY, Part.ADAPTERS, Part.INFERENCE, Part.DISK,
                        Part.CONVOLUTION, Part.LSTM, Part.EMBEDDING, Part.ATTENTION, Part.ENCODER, Part.STORAGE, Part.SERVING,
                        Part.PLAN);
    }

    private void measure(Part part, Measurements measurements) throws IOException {
        List<Shape> grid = full ? Shape.fullGrid() : Shape.defaultGrid();
        switch (part) {
            case STEPS -> measurements.steps(grid);
            case ARRAYS -> measurements.arrays();
            case RESIDENT -> measurements.resident();
            case MEMORY -> measurements.memory();
            case ADAPTERS -> measurements.manyAdapters();
            case INFERENCE -> measurements.inference();
            case DISK -> measurements.disk(grid);
            case CONVOLUTION -> measurements.peers(LayerType.CONVOLUTION);
            case LSTM -> measurements.peers(LayerType.RECURRENT);
            case EMBEDDING -> measurements.peers(LayerType.EMBEDDING);
            case ATTENTION -> measurements.peers(LayerType.ATTENTION);
            case ENCODER -> measurements.encoder();
            case BERT_BASE -> measurements.bertBase();
            case TEXTS -> measurements.texts();
            case STORAGE -> measurements.storage();
            case SERVING -> measurements.serving();
            case PLAN -> measurements.plans();
            case LAYERS -> measurements.layers();
            case VARIANTS -> measurements.variants();
            case ONNX -> measurements.onnx();
            case BUILDS -> measurements.builds(tasks, builds);
        }
    }
}
