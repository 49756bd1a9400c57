package io.github.dl4jlora.machine;

import io.github.dl4jlora.internal.onednn.OneDnn;
import io.github.dl4jlora.internal.processor.AnotherJvm;
import io.github.dl4jlora.internal.processor.MemoryBound;
import io.github.dl4jlora.internal.processor.Processor;
import io.github.dl4jlora.internal.processor.ThreadConflict;
import io.github.dl4jlora.internal.processor.ThreadCounts;
import org.bytedeco.javacpp.Pointer;

import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * What could be better, and what it costs. Remedies are tried one after the other, each in addition to those before it, in
 * another JVM: otherwise a conflict of threads would hide all other costs.
 */
final class Diagnosis {

    static final String CORE_TYPE = "OPENBLAS_CORETYPE";

    private static final String PHYSICAL = "org.bytedeco.javacpp.maxphysicalbytes";
    private static final String NEWER = "org.bytedeco:openblas:0.3.31-1.5.13";
    private static final String ONE_DNN = "org.bytedeco:dnnl:3.11-1.5.13";
    private static final String OPEN_CL = "org.bytedeco:opencl:3.0-1.5.13";
    private static final int[] NEWER_VERSION = {0, 3, 31};
    private static final long LITTLE = 1L << 30;
    private static final int PATIENCE_SECONDS = 15;
    private static final double NOISE = 0.03;
    private static final double COMPANY = 0.1;

    private final Processor processor;
    private final ThreadCounts counts;
    private final AnotherJvm jvm = new AnotherJvm();
    private final List<Doctor.Finding> findings = new ArrayList<>();
    private boolean settle = ThreadConflict.isSettled();
    private double[] before;

    /**
     * All times are in milliseconds, one for each of {@link StepProbe#WIDTHS}.
     *
     * @param floors      times of the products of a step, as this process computes them
     * @param onOneThread times of the same products with one thread of BLAS
     * @param steps       times of whole steps, as this process computes them
     */
    Diagnosis(Processor processor, ThreadCounts counts, double[] floors, double[] onOneThread, double[] steps) {
        this.processor = processor;
        this.counts = counts;
        before = steps;
        if (Pointer.maxPhysicalBytes() > 0) {
            // Otherwise the other JVM would set it to 0 when it settles its threads, and its cost would be counted with theirs.
            jvm.property(PHYSICAL, String.valueOf(Pointer.maxPhysicalBytes()));
        }
        threads();
        company(floors, onOneThread);
        physicalBytes();
        kernels();
        oneDnn();
        bounds();
    }

    List<Doctor.Finding> findings() {
        return List.copyOf(findings);
    }

    private void threads() {
        String openMp = System.getenv("OMP_NUM_THREADS");
        if (ThreadConflict.isOn()) {
            settle = true;
            timed("ND4J's loops (" + counts.openMp() + " threads) and BLAS (" + counts.blas() + ") spin against each other.",
                    "call Threads.settle() in the first line of main, or set OMP_WAIT_POLICY=passive in the environment");
        }
        if (counts.blas() < ThreadCounts.cores()) {
            settle = true;
            jvm.without("OMP_NUM_THREADS").without("OPENBLAS_NUM_THREADS");
            timed("BLAS computes on " + counts.blas() + " of " + ThreadCounts.cores() + " cores.",
                    (openMp == null ? "remove OPENBLAS_NUM_THREADS" : "remove OMP_NUM_THREADS=" + openMp) + " from the "
                            + "environment, and call Threads.settle() in the first line of main");
        }
    }

    /**
     * BLAS's threads wait for each other by spinning: a thread that has to wait for a core costs a time slice of the scheduler.
     */
    private void company(double[] floors, double[] onOneThread) {
        int widest = floors.length - 1;
        if (onOneThread[widest] < (1 - COMPANY) * floors[widest]) {
            List<String> costs = new ArrayList<>();
            for (int i = 0; i < floors.length; i++) {
                costs.add(String.format(Locale.ROOT, "%.2f ms for the products of a step %d wide, %.2f ms on one thread",
                        floors[i], StepProbe.WIDTHS[i], onOneThread[i]));
            }
            findings.add(new Doctor.Finding("BLAS on " + counts.blas()
                    + " threads is slower than on one: something else computes on these cores.", String.join("; ", costs),
                    "stop the other programs; if they must run, set OMP_NUM_THREADS=1 in the environment"));
        }
    }

    private void physicalBytes() {
        if (Pointer.maxPhysicalBytes() > 0) {
            jvm.property(PHYSICAL, "0");
            timed((Threads.physicalBytesAreFree()
                            ? "JavaCPP's default limit of " + Doctor.mebibytes(Pointer.maxPhysicalBytes())
                            + " is in force (maxphysicalbytes, from maxbytes and three times the heap): JavaCPP"
                            : "maxphysicalbytes is set: JavaCPP") + " asks the system for the process's size at each allocation.",
                    "call Threads.settle() in the first line of main, which has a thread check the size now and then; java -D"
                            + PHYSICAL + "=0 alone leaves ND4J's arrays without a limit");
        }
    }

    private void kernels() {
        String forced = System.getenv(CORE_TYPE);
        String kernel = Processor.kernel().orElse("unknown");
        Processor.Vectors chosen = Processor.Vectors.ofKernel(kernel);
        if (chosen == Processor.Vectors.UNKNOWN || chosen.compareTo(processor.vectors()) >= 0) {
            return;
        }
        String what = "OpenBLAS computes with " + chosen + " (" + kernel + "), but the processor has " + processor.vectors()
                + ".";
        String unset = "remove " + CORE_TYPE + "=" + forced + " from the environment";
        String other = CORE_TYPE + "=" + processor.vectors().anyKernel();
        if (forced != null && !isOld()) {
            jvm.without(CORE_TYPE);
            timed(what, unset);
            return;
        }
        jvm.variable(CORE_TYPE, processor.vectors().anyKernel());
        timed(what, isOld() ? "use a newer OpenBLAS, " + NEWER + " with its natives" + (forced == null ? "" : ", and " + unset)
                + "; or set " + other + ", which is what was measured" : "set " + other + " in the environment");
    }

    private static boolean isOld() {
        int[] version = Processor.openBlasVersion().map(words -> Arrays.stream(words.split("\\.")).mapToInt(Integer::parseInt)
                .toArray()).orElse(NEWER_VERSION);
        return Arrays.compare(version, NEWER_VERSION) < 0;
    }

    private void oneDnn() {
        if (OneDnn.isUsed()) {
            return;
        }
        double convolution = StepProbe.convolutionGflops();
        double product = StepProbe.gflops();
        if (OneDnn.isPresent() || convolution < product) {
            findings.add(new Doctor.Finding(OneDnn.isPresent() ? "oneDNN is not used." : "oneDNN is not on the class path.",
                    String.format(Locale.ROOT, "a convolution of 64 channels runs at %.0f GFLOP/s, where a product of matrices "
                            + "runs at %.0f; dense layers were not measured", convolution, product),
                    OneDnn.isPresent() ? "remove -D" + OneDnn.PROPERTY + "=false" : "add " + ONE_DNN + " and " + OPEN_CL
                            + " with their natives" + (isOld() ? ", and a newer OpenBLAS, " + NEWER : "")));
        }
    }

    private void bounds() {
        long machine = machineBytes();
        boolean bounded = ManagementFactory.getRuntimeMXBean().getInputArguments().stream()
                .anyMatch(option -> option.startsWith("-Xmx") || option.startsWith("-XX:MaxHeapSize")
                        || option.startsWith("-XX:MaxRAM"));
        long heap = Runtime.getRuntime().maxMemory();
        long bound = MemoryBound.ofProcess();
        // The bound is maxbytes and three times the heap: five eighths of the machine.
        String example = machine >> 33 == 0
                ? "for example java -Xmx" + (machine >> 23) + "m -Dorg.bytedeco.javacpp.maxbytes=" + (machine >> 22) + "m"
                : "for example java -Xmx" + (machine >> 33) + "g -Dorg.bytedeco.javacpp.maxbytes=" + (machine >> 32) + "g";
        boolean said = bound > 0 && bound == Pointer.maxPhysicalBytes() && bound != MemoryBound.ofJavaCpp();
        if (!bounded) {
            findings.add(new Doctor.Finding("No limit is set for the heap.",
                    "no time, but memory, because ND4J's arrays wait for the garbage collector: up to " + Doctor.mebibytes(heap)
                            + " of heap, and a process "
                            + (bound == 0 ? "without a limit" : "of up to " + Doctor.mebibytes(bound)) + ", on a machine with "
                            + Doctor.mebibytes(machine), example));
        } else if (bound == 0 && Pointer.maxBytes() == 0) {
            findings.add(new Doctor.Finding("Nothing limits ND4J's arrays: maxbytes is 0.",
                    "no time; the system may kill the process", example));
        } else if (bound == 0) {
            findings.add(new Doctor.Finding("Nothing limits ND4J's arrays: maxphysicalbytes is 0.",
                    "no time; the system may kill the process", "remove -D" + PHYSICAL + "=0: Threads.settle() sets it and has a "
                            + "thread check the size instead"));
        } else if (bound - heap < LITTLE) {
            findings.add(new Doctor.Finding("The process is limited to " + Doctor.mebibytes(bound) + ", and ND4J's arrays get "
                    + "what the heap leaves.", "a garbage collection at each step, and finally an OutOfMemoryError, once "
                    + "networks and batches need more; not measured", said ? "raise -D" + PHYSICAL + ", or leave it out"
                    : "for example java -Dorg.bytedeco.javacpp.maxbytes=2g"));
        } else if (bound > machine) {
            findings.add(new Doctor.Finding("The process may grow to " + Doctor.mebibytes(bound)
                    + (said ? " (maxphysicalbytes)" : " (maxbytes and three times the heap)")
                    + "; the machine or container has only " + Doctor.mebibytes(machine) + ".",
                    "no time; the system may kill the process", said ? "lower -D" + PHYSICAL + ", or leave it out: " + example
                            : example));
        }
    }

    private static long machineBytes() {
        return ManagementFactory.getOperatingSystemMXBean() instanceof com.sun.management.OperatingSystemMXBean system
                ? system.getTotalMemorySize() : Long.MAX_VALUE;
    }

    /** Adds a finding whose remedy the other JVM now has, and what the remedy saves there. */
    private void timed(String what, String remedy) {
        Optional<double[]> after = jvm.run(StepProbe.class.getName(), settle ? StepProbe.SETTLED : "as it is", StepProbe.ANSWER,
                PATIENCE_SECONDS).map(line -> Arrays.stream(line.split(" ")).mapToDouble(Double::parseDouble).toArray());
        String costs = after.map(this::costs).orElse("not measured: the other JVM gave no answer");
        findings.add(new Doctor.Finding(what, costs, remedy));
        after.ifPresent(steps -> before = steps);
    }

    private String costs(double[] after) {
        List<String> costs = new ArrayList<>();
        for (int i = 0; i < after.length; i++) {
            costs.add(before[i] - after[i] < NOISE * before[i]
                    ? String.format(Locale.ROOT, "nothing that could be measured %d wide (%.2f ms)", StepProbe.WIDTHS[i],
                    after[i])
                    : String.format(Locale.ROOT, "%.2f of the %.2f ms of a step %d wide", before[i] - after[i], before[i],
                    StepProbe.WIDTHS[i]));
        }
        return String.join(", ", costs);
    }
}
