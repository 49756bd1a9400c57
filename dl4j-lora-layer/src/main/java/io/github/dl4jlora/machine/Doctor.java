package io.github.dl4jlora.machine;

import io.github.dl4jlora.internal.onednn.OneDnn;
import io.github.dl4jlora.internal.processor.MemoryBound;
import io.github.dl4jlora.internal.processor.Processor;
import io.github.dl4jlora.internal.processor.ThreadConflict;
import io.github.dl4jlora.internal.processor.ThreadCounts;
import org.bytedeco.javacpp.Pointer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.databind.ObjectMapper;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalDouble;

/**
 * Finds out how fast this process computes, and what keeps it from being faster: processor, BLAS, threads and memory. For each
 * finding it tells the cost here, measured now, and the remedy.
 *
 * <pre>{@code
 * Doctor doctor = Doctor.report();       // takes some seconds
 * System.out.println(doctor);
 * for (Doctor.Finding finding : doctor.findings()) {
 *     System.out.println(finding.what() + ": " + finding.remedy());
 * }
 * }</pre>
 */
public final class Doctor {

    private static final int COLUMNS = 80;
    private static final int LABEL = 12;

    private final Map<String, String> lines = new LinkedHashMap<>();
    private final Map<String, @Nullable Object> values = new LinkedHashMap<>();
    private final List<Finding> findings;

    /**
     * Something that makes training slower, or a process larger, than it need be.
     *
     * @param what   what was found
     * @param costs  what it costs here, in words, as measured; or that it was not measured
     * @param remedy the flag, variable, call or dependency that ends it
     */
    public record Finding(String what, String costs, String remedy) {
    }

    private Doctor() {
        if (!Nd4j.getBackend().getEnvironment().isCPU()) {
            String backend = Nd4j.getBackend().getClass().getSimpleName();
            lines.put("backend", backend + ": this report only covers ND4J's CPU backend");
            values.put("backend", backend);
            findings = List.of();
            return;
        }
        ThreadConflict.told();
        Processor processor = Processor.here();
        ThreadCounts counts = ThreadCounts.now();
        tellOfProcessor(processor);
        tellOfThreads(counts);
        tellOfMemory();
        findings = examineSpeed(processor, counts);
    }

    /**
     * Examines this process on the calling thread, which usually computes for twenty seconds, and for a minute at most. It
     * trains small networks here and, for each finding, another one in a second JVM that has the remedy; neither prints. Call
     * it when nothing else computes. Random generators, thread counts and networks are left as they are.
     *
     * @return what was found
     */
    public static Doctor report() {
        return new Doctor();
    }

    /**
     * What could be better.
     *
     * @return the findings; none where there is nothing to change
     */
    public List<Finding> findings() {
        return findings;
    }

    private void tellOfProcessor(Processor processor) {
        int allowed = Runtime.getRuntime().availableProcessors();
        int cores = ThreadCounts.cores();
        String kernel = Processor.kernel().orElse("unknown");
        String version = Processor.openBlasVersion().orElse("unknown");
        String forced = System.getenv(Diagnosis.CORE_TYPE);
        Processor.Vectors ofKernel = Processor.Vectors.ofKernel(kernel);
        lines.put("backend", "ND4J's CPU backend");
        lines.put("processor", processor.name() + ", " + processor.vectors() + ", " + cores + (cores == 1 ? " core" : " cores")
                + " for this process (availableProcessors: " + allowed + ")");
        lines.put("BLAS", "OpenBLAS " + version + ", kernels " + kernel + " (" + ofKernel + ")"
                + (forced == null ? "" : ", " + Diagnosis.CORE_TYPE + "=" + forced));
        lines.put("oneDNN", OneDnn.description());
        values.put("backend", "CPU");
        values.put("processor", processor.name());
        values.put("vectors", processor.vectors().toString());
        values.put("cores", cores);
        values.put("availableProcessors", allowed);
        values.put("openblas", version);
        values.put("kernel", kernel);
        values.put("kernelVectors", ofKernel.toString());
        values.put("coreType", forced);
        values.put("oneDnn", OneDnn.isUsed() ? OneDnn.description() : null);
    }

    private void tellOfThreads(ThreadCounts counts) {
        lines.put("threads", "BLAS " + counts.blas() + ", ND4J's loops " + counts.openMp()
                + (ThreadConflict.isSettled() ? ", settled by Threads.settle()" : ""));
        values.put("blasThreads", counts.blas());
        values.put("openMpThreads", counts.openMp());
        values.put("settled", ThreadConflict.isSettled());
    }

    private void tellOfMemory() {
        long heap = Runtime.getRuntime().maxMemory();
        long physical = Pointer.maxPhysicalBytes();
        long process = MemoryBound.ofProcess();
        lines.put("memory", "heap " + bound(heap) + "; the process, with ND4J's arrays, " + bound(process)
                + (physical > 0 ? " (maxphysicalbytes)" : process > 0 ? " (Threads.settle())" : ""));
        values.put("processBoundBytes", process);
        values.put("maxHeapBytes", heap);
        values.put("maxBytes", Pointer.maxBytes());
        values.put("maxPhysicalBytes", physical);
    }

    private static String bound(long bytes) {
        return bytes == 0 ? "without a limit" : "up to " + mebibytes(bytes);
    }

    static String mebibytes(long bytes) {
        return String.format(Locale.ROOT, "%,d MiB", bytes >> 20);
    }

    private List<Finding> examineSpeed(Processor processor, ThreadCounts counts) {
        double gflops = StepProbe.gflops();
        OptionalDouble peak = processor.peakGflops(ThreadCounts.cores());
        lines.put("product", String.format(Locale.ROOT, "%.0f GFLOP/s of ", gflops)
                + (peak.isEmpty() ? "an unknown peak" : estimate(processor, peak.getAsDouble())));
        values.put("gflops", gflops);
        values.put("peakGflops", peak.isEmpty() ? null : peak.getAsDouble());
        double[] floors = StepProbe.floors();
        double[] onOneThread = floorsOnOneThread(counts);
        double[] steps = StepProbe.steps();
        List<Map<String, Object>> byWidth = new ArrayList<>();
        for (int i = 0; i < steps.length; i++) {
            int width = StepProbe.WIDTHS[i];
            lines.put("step " + width, String.format(Locale.ROOT,
                    "%.2f ms, LoRA on three layers %d wide, batch 32; their products alone %.2f ms", steps[i], width, floors[i]));
            byWidth.add(Map.of("width", width, "millis", steps[i], "productsMillis", floors[i],
                    "productsOnOneThreadMillis", onOneThread[i]));
        }
        values.put("steps", byWidth);
        return new Diagnosis(processor, counts, floors, onOneThread, steps).findings();
    }

    private static String estimate(Processor processor, double peak) {
        return String.format(Locale.ROOT, "about %.0f: %d cores x %.1f GHz as in /proc/cpuinfo x %d per cycle (two units of %s); "
                + "a turbo clock gives more", peak, ThreadCounts.cores(), processor.gigahertz().getAsDouble(),
                processor.vectors().flopsPerCycle(), processor.vectors());
    }

    private static double[] floorsOnOneThread(ThreadCounts counts) {
        try {
            new ThreadCounts(counts.openMp(), counts.master(), 1).set();
            return StepProbe.floors();
        } finally {
            counts.set();
        }
    }

    /**
     * All of it as a JSON object: words and figures by name, {@code steps} by width, and {@code findings}, a list of objects
     * with {@code what}, {@code costs} and {@code remedy}.
     *
     * @return one line
     */
    public String toJson() {
        Map<String, @Nullable Object> all = new LinkedHashMap<>(values);
        all.put("findings", findings.stream().map(finding -> {
            Map<String, String> parts = new LinkedHashMap<>();
            parts.put("what", finding.what());
            parts.put("costs", finding.costs());
            parts.put("remedy", finding.remedy());
            return parts;
        }).toList());
        try {
            return new ObjectMapper().writeValueAsString(all);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("The report cannot be written as JSON: " + e.getMessage(), e);
        }
    }

    /** The report for people, in lines of at most 80 columns. */
    @Override
    public String toString() {
        StringBuilder text = new StringBuilder();
        lines.forEach((label, line) -> wrap(text, String.format("%-" + LABEL + "s", label), line));
        if (findings.isEmpty()) {
            text.append("\nNothing to change.\n");
        }
        int number = 0;
        for (Finding finding : findings) {
            text.append('\n');
            wrap(text, ++number + ". ", finding.what());
            wrap(text, "   costs: ", finding.costs());
            wrap(text, "   do: ", finding.remedy());
        }
        return text.toString().stripTrailing();
    }

    private static void wrap(StringBuilder text, String label, String line) {
        StringBuilder row = new StringBuilder(label);
        boolean begun = false;
        for (String word : line.split(" ")) {
            if (begun && row.length() + 1 + word.length() > COLUMNS) {
                text.append(row).append('\n');
                row = new StringBuilder(" ".repeat(label.length()));
                begun = false;
            }
            row.append(begun ? " " : "").append(word);
            begun = true;
        }
        text.append(row).append('\n');
    }
}
